"""DOBI against a search that quantizes the tensor K times."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import FLOAT64, squared_errors
from srq_2dquant import dobi
from srq_2dquant.dobi import Options, candidates

from sr_ptq_bench import Bounds, Distribution, Site

PLAIN = Site("x", "activation", "layernorm")


def must_not_ask() -> torch.Tensor:
    raise AssertionError("asked for costs")


def srq_init_bounds(output_cost=must_not_ask, **arguments) -> Bounds:
    return dobi.srq_init_bounds(output_cost=output_cost, **arguments)


def of(input_kind: str) -> Site:
    return Site("x", "activation", input_kind)


def options(**values) -> Options:
    return Options.parse(values)


@pytest.mark.parametrize(
    ("low", "high"), [(-0.3674026131629944, 1.4596412181854248), (-0.11537165194749832, 0.3020285367965698)]
)
def test_the_middle_between_two_floats(low, high):
    """In float64 the last l is an ulp above the last u, and float32 rounds the two further apart."""
    Bounds(*(end[-1] for end in candidates(low, high, False, options()))).tensors()
    middle = Distribution.of_tensor(torch.tensor([low, *[(low + high) / 2] * 5000, high], dtype=FLOAT64))
    chosen = srq_init_bounds(site=PLAIN, distribution=middle, bits=2, options=options())
    lower, upper = chosen.tensors()
    assert float(lower) == float(upper) == pytest.approx((low + high) / 2)


def test_ties_of_a_real_search():
    """All values in the middle of the range: the last pair alone has no error; of two values both ends are exact."""
    two = Distribution.of_tensor(torch.tensor([-1.0, 1.0]))
    bounds = srq_init_bounds(site=PLAIN, distribution=two, bits=2, options=options())
    assert (float(bounds.lower), float(bounds.upper)) == (-1.0, 1.0)
    constant = Distribution.of_tensor(torch.full((9,), 3.0))
    for tie in ("first", "last"):
        bounds = srq_init_bounds(site=PLAIN, distribution=constant, bits=2, options=options(tie=tie))
        assert (float(bounds.lower), float(bounds.upper)) == (3.0, 3.0)


@pytest.mark.parametrize(("tie", "expected"), [("first", (0.0, 9.0)), ("last", (1.5, 7.5))])
def test_a_tie_of_two_pairs_by_hand(tie, expected):
    """K = 3, 2 bits: [0, 9] has levels 0, 3, 6, 9 and [1.5, 7.5] has 1.5, 3.5, 5.5, 7.5."""
    values = torch.tensor([0.0, 9.0, *[4.5] * 4])  # errors 4 * 2.25 = 9, then 2 * 2.25 + 4 * 1 = 8.5
    errors = Distribution.of_tensor(values).squared_error(*candidates(0.0, 9.0, False, options(K=3)), 2)
    assert errors.tolist()[:2] == [9.0, 8.5]
    even = torch.tensor([0.0, 9.0, *[4.5] * 4, 3.0, 6.0])  # 3 and 6 add 0 and 2 * 0.25: both errors are now 9
    errors = Distribution.of_tensor(even).squared_error(*candidates(0.0, 9.0, False, options(K=3)), 2)
    assert errors.tolist()[:2] == [9.0, 9.0]
    chosen = srq_init_bounds(
        site=PLAIN, distribution=Distribution.of_tensor(even), bits=2, options=options(K=3, tie=tie, last_step=False)
    )
    assert (float(chosen.lower), float(chosen.upper)) == expected


@pytest.mark.parametrize("input_kind", ["softmax", "gelu", "relu"])
def test_one_sided_after_softmax_gelu_and_relu(input_kind):
    v = torch.rand(500, generator=torch.Generator().manual_seed(0)) ** 4
    distribution = Distribution.of_tensor(v)
    kept = srq_init_bounds(site=of(input_kind), distribution=distribution, bits=2, options=options())
    moved = srq_init_bounds(site=of(input_kind), distribution=distribution, bits=2, options=options(one_sided=False))
    assert float(kept.lower) == distribution.minimum
    assert float(kept.upper) < distribution.maximum
    assert float(moved.lower) > distribution.minimum


@pytest.mark.parametrize("input_kind", ["parameter", "layernorm", "linear", "query", "key", "value", "conv", "image"])
def test_two_sided_elsewhere(input_kind):
    v = torch.randn(500, generator=torch.Generator().manual_seed(0))
    distribution = Distribution.of_tensor(v)
    bounds = srq_init_bounds(site=of(input_kind), distribution=distribution, bits=2, options=options())
    assert distribution.minimum < float(bounds.lower) < float(bounds.upper) < distribution.maximum


def normal(count: int) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(4))


def laplace(count: int) -> torch.Tensor:
    u = torch.rand(count, generator=torch.Generator().manual_seed(4)) - 0.5
    return -torch.sign(u) * torch.log1p(-2 * u.abs())


DATA = {
    "normal": ("layernorm", normal),
    "laplace": ("parameter", laplace),
    "gelu": ("gelu", lambda n: F.gelu(2 * normal(n))),
    "softmax": ("softmax", lambda n: torch.softmax(3 * normal(n).view(-1, 16), -1).flatten()),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_the_winner_is_that_of_a_search_over_the_tensor(data, bits, preset):
    input_kind, make = DATA[data]
    v, chosen = make(1600), options(preset=preset)
    bounds = srq_init_bounds(site=of(input_kind), distribution=Distribution.of_tensor(v), bits=bits, options=chosen)
    low, step = float(v.min()), float(v.double().max() - v.double().min()) / 200
    one_sided = preset == "paper" and input_kind in ("gelu", "softmax")
    steps = range(101 if preset == "paper" else 100)
    lowers = [low + (0 if one_sided else i * step) for i in steps]
    uppers = [float(v.max()) - i * step for i in steps]
    errors = squared_errors(v, lowers, uppers, bits)
    best = int(errors.argmin())
    assert (errors < errors[best] * (1 + 1e-9)).sum() == 1
    assert (float(bounds.lower), float(bounds.upper)) == pytest.approx((lowers[best], uppers[best]), abs=1e-12)


@pytest.mark.parametrize("bits", [2, 4])
def test_the_joint_search_moves_each_end_on_its_own(bits):
    v = torch.cat([normal(400), torch.tensor([9.0])])
    chosen = options(search="joint", K=6)
    bounds = srq_init_bounds(site=of("gelu"), distribution=Distribution.of_tensor(v), bits=bits, options=chosen)
    line = candidates(float(v.min()), float(v.max()), False, chosen)
    pairs = [(low, high) for low in line[0].tolist() for high in line[1].tolist()]
    errors = squared_errors(v, *zip(*pairs, strict=True), bits)
    best = pairs[int(errors.argmin())]
    assert (float(bounds.lower), float(bounds.upper)) == pytest.approx(best, abs=1e-12)
    together = srq_init_bounds(site=PLAIN, distribution=Distribution.of_tensor(v), bits=bits, options=options(K=6))
    assert float(errors.min()) <= float(squared_errors(v, [together.lower], [together.upper], bits))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=25),
    bits=st.integers(2, 8),
    input_kind=st.sampled_from(["softmax", "query"]),
    preset=st.sampled_from(["paper", "official"]),
    search=st.sampled_from(["line", "joint"]),
)
def test_never_worse_than_minmax(values, bits, input_kind, preset, search):
    v = torch.tensor(values)
    distribution = Distribution.of_tensor(v)
    chosen = options(preset=preset, search=search, K=9)
    bounds = srq_init_bounds(site=of(input_kind), distribution=distribution, bits=bits, options=chosen)
    bounds.tensors()
    minmax, found = squared_errors(
        v, [distribution.minimum, bounds.lower], [distribution.maximum, bounds.upper], bits
    ).tolist()
    assert found <= minmax + 1e-9 * len(values) * float(v.double().abs().max()) ** 2
    assert distribution.minimum <= float(bounds.lower) <= float(bounds.upper) <= distribution.maximum


def test_outliers_are_cut():
    v = torch.cat([normal(4000), torch.tensor([80.0, -80.0])])
    bounds = srq_init_bounds(site=PLAIN, distribution=Distribution.of_tensor(v), bits=4, options=options())
    assert -20 < float(bounds.lower) < float(bounds.upper) < 20


def test_the_bounds_are_two_numbers():
    bounds = srq_init_bounds(site=PLAIN, distribution=Distribution.of_tensor(normal(50)), bits=4, options=options())
    assert [end.shape for end in bounds.tensors()] == [(), ()]
    assert bounds.lower.dtype == FLOAT64
    assert all(math.isfinite(float(end)) for end in bounds.tensors())


# Errors weighted by what they cost at the output

WEIGHTED = {"weighting": "output"}


def test_a_value_that_costs_nothing_is_cut_off_by_hand():
    """Levels from 0 to 6 fit 0, 2, 4 and 6 exactly, and the error of 12 counts only if it costs something."""
    v = torch.tensor([0.0, 2.0, 4.0, 6.0, 12.0])
    where = {"site": of("gelu"), "distribution": Distribution.of_tensor(v), "bits": 2}
    costs = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=FLOAT64)
    bounds = srq_init_bounds(**where, output_cost=lambda: costs, options=options(K=8, **WEIGHTED))
    assert (float(bounds.lower), float(bounds.upper)) == (0.0, 6.0)
    costs = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0], dtype=FLOAT64)
    bounds = srq_init_bounds(**where, output_cost=lambda: costs, options=options(K=8, tie="first", **WEIGHTED))
    assert (float(bounds.lower), float(bounds.upper)) == (0.0, 12.0)


@pytest.mark.parametrize("search", ["line", "joint"])
@pytest.mark.parametrize("bits", [2, 3])
def test_the_winner_has_the_least_weighted_error_of_the_tensor(search, bits):
    v = laplace(200)
    distribution, chosen = Distribution.of_tensor(v), options(K=8, search=search, **WEIGHTED)
    costs = distribution.values.abs() + 0.01
    bounds = srq_init_bounds(
        site=PLAIN, distribution=distribution, bits=bits, output_cost=lambda: costs, options=chosen
    )
    lowers, uppers = candidates(distribution.minimum, distribution.maximum, False, chosen)
    pairs = zip(lowers, uppers, strict=True) if search == "line" else ((a, b) for a in lowers for b in uppers)

    def error(lower, upper):
        of_each = [squared_errors(x.view(1), [lower], [upper], bits) for x in v]
        return float((torch.cat(of_each) * (v.double().abs() + 0.01)).sum())

    assert error(bounds.lower, bounds.upper) == pytest.approx(min(error(*pair) for pair in pairs), rel=1e-9)


def test_equal_costs_change_nothing():
    where = {"site": PLAIN, "distribution": Distribution.of_tensor(laplace(500)), "bits": 3}
    for costs in (torch.full((500,), 7.0, dtype=FLOAT64), torch.zeros(500, dtype=FLOAT64)):
        weighted = srq_init_bounds(**where, output_cost=lambda costs=costs: costs, options=options(**WEIGHTED))
        assert weighted.tensors() == srq_init_bounds(**where, options=options()).tensors()
