"""DBDC: the search by hand and against one that counts the tensor anew after every step; weights; edge layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import images
from srq_baselines.dbdc import (
    BINS,
    Options,
    clipped_share,
    dense_bins,
    dual_clipping,
    srq_init_bounds,
    srq_make_quantizer,
)
from torch import Tensor
from training import convolutional_teacher, supply, teacher_and_student

from sr_ptq_bench import Distribution, Site, SrqError
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.distribution import BINS as FINE_BINS
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize

PLAIN = Site("x", "activation", "layernorm")
CONV = Site("c.weight", "weight", "parameter", 0, layer="conv")
LINEAR = Site("f.weight", "weight", "parameter", 0, layer="linear")
COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60).filter(any)
SHARES = st.sampled_from([0.0, 1e-5, 1e-4, 5e-4, 1e-2, 0.1, 0.5, 0.9])


def options(**values) -> Options:
    return Options.parse(values)


def normal(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


def pair(bounds) -> tuple[float, float]:
    return float(bounds.lower), float(bounds.upper)


def clipped(v: Tensor, p: float, offset: int = 0) -> tuple[float, float]:
    return pair(dual_clipping(Distribution.of_tensor(v), p, offset))


def two_pointers(counts: list[int], p: float) -> tuple[int, int]:
    """The loop as the paper states it: the mass is counted anew after every step."""
    low, high = 0, len(counts) - 1
    while sum(counts[low : high + 1]) > (1 - p) * sum(counts) and low < high:
        if counts[low] < counts[high]:
            low += 1
        else:
            high -= 1
    return low, high


def by_hand(v: Tensor, p: float) -> tuple[float, float]:
    """The bounds from the tensor itself."""
    v = v.double()
    low, high = two_pointers(torch.histc(v, BINS).tolist(), p)
    width = float(v.max() - v.min()) / BINS
    return float(v.min()) + low * width, float(v.min()) + (high + 1) * width


# The search


def test_the_emptier_end_goes_and_of_equals_the_upper_one():
    """20 elements, at most 18 may stay: the upper 1 goes, then the lower 1."""
    assert dense_bins([1, 5, 9, 4, 1], 0.1) == (1, 3)
    assert dense_bins([1, 5, 9, 4, 1], 0.05) == (0, 3)


def test_whole_bins_go_until_the_share_is_reached():
    """Of 20 elements 4 go at p = 0.1 and 0.2, and 8 at p = 0.3."""
    assert [dense_bins([5, 7, 4, 4], p) for p in (0.1, 0.2, 0.3)] == [(0, 2), (0, 2), (0, 1)]


def test_nothing_goes_at_zero():
    assert dense_bins([0, 3, 0], 0.0) == (0, 2)


def test_the_last_bin_stays():
    assert dense_bins([0, 0, 9, 0], 0.5) == (2, 2)
    assert dense_bins([4], 0.9) == (0, 0)


@settings(max_examples=300, deadline=None)
@given(counts=COUNTS, p=SHARES)
def test_the_search_is_the_plain_loop(counts, p):
    assert dense_bins(counts, p) == two_pointers(counts, p)


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, p=SHARES)
def test_at_most_the_share_stays_and_one_bin_more_would_be_too_much(counts, p):
    first, last = dense_bins(counts, p)
    inside, enough = sum(counts[first : last + 1]), (1 - p) * sum(counts)
    assert inside <= enough or first == last
    dropped_last = [*counts[max(first - 1, 0) : first], *counts[last + 1 : last + 2]]
    assert not dropped_last or inside + max(dropped_last) > enough


@settings(max_examples=200, deadline=None)
@given(counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True).filter(any), p=SHARES)
def test_a_mirrored_histogram_gives_the_mirrored_range(counts, p):
    """Without ties neither end is preferred."""
    first, last = dense_bins(counts, p)
    assert dense_bins(counts[::-1], p) == (len(counts) - 1 - last, len(counts) - 1 - first)


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_gives_a_narrower_range(counts, shares):
    outer, inner = (dense_bins(counts, p) for p in sorted(shares))
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]


# The bounds of an activation


@pytest.mark.parametrize("p", [1e-4, 1e-3, 0.05, 0.4])
def test_the_bounds_of_stored_values(p):
    v = normal(5000)
    assert clipped(v, p) == pytest.approx(by_hand(v, p), rel=1e-12)


@pytest.mark.parametrize("p", [5e-4, 1e-2])
def test_the_bounds_of_a_histogram(p):
    """The 2^16 bins were filled in float32, so that an element on an edge may lie one off."""
    v = normal(FINE_BINS + 40_000) ** 3
    assert Distribution.of_tensor(v).is_histogram
    width = float(v.max() - v.min()) / BINS
    assert clipped(v, p) == pytest.approx(by_hand(v, p), rel=0, abs=1.001 * width)


def test_a_histogram_of_fine_bins_falls_into_coarse_ones_exactly():
    """32 fine bins make one: three elements at each end, in the first and the last coarse bin only, are cut off."""
    fine = torch.zeros(FINE_BINS)
    fine[:32], fine[-32:], fine[32:-32] = 3 / 32, 3 / 32, 1000
    share = 5 / float(fine.sum())
    bounds = dual_clipping(Distribution(-4.0, 12.0, fine), share)
    assert pair(bounds) == (-4.0 + 16 / BINS, 12.0 - 16 / BINS)


def test_outliers_go_and_the_dense_side_stays():
    v = torch.cat([normal(40_000).abs(), torch.tensor([60.0, 80.0, 100.0])])
    lower, upper = clipped(v, 5e-4)
    assert lower == float(v.min())
    assert upper < 5.0


def test_the_released_code_s_lower_bound_is_one_bin_higher():
    v = normal(5000)
    (lower, upper), (shifted, same) = clipped(v, 1e-3), clipped(v, 1e-3, offset=1)
    assert same == upper
    assert shifted - lower == pytest.approx(float(v.max() - v.min()) / BINS, rel=1e-9)


@pytest.mark.parametrize("offset", [0, 1])
def test_a_constant_keeps_its_value(offset):
    assert clipped(torch.full((7,), 0.3), 1e-4, offset) == (pytest.approx(0.3), pytest.approx(0.3))


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30),
    p=SHARES,
    offset=st.integers(0, 1),
)
def test_bounds_are_ordered_and_within_the_range(values, p, offset):
    lower, upper = clipped(torch.tensor(values), p, offset)
    assert min(values) <= lower <= upper <= max(values)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30), p=SHARES, data=st.data())
def test_neither_order_nor_unit_matters(values, p, data):
    shuffled = data.draw(st.permutations(values))
    lower, upper = clipped(torch.tensor(values), p)
    assert clipped(torch.tensor(shuffled), p) == (lower, upper)
    assert clipped(torch.tensor(values) * 8, p) == (8 * lower, 8 * upper)


@pytest.mark.parametrize("input_kind", ["image", "gelu", "softmax", "query", "value"])
def test_every_activation_is_clipped_per_tensor(input_kind):
    v = normal(6000).view(2, 3, 1000)
    site = Site("x", "activation", input_kind, channel_axis=1)
    bounds = srq_init_bounds(site=site, distribution=Distribution.of_tensor(v, 1), bits=4, options=options())
    assert pair(bounds) == pytest.approx(by_hand(v, 5e-4), rel=1e-12)


# The bounds of a weight


@pytest.mark.parametrize(
    ("granularity", "site", "channels"),
    [
        ("mixed", CONV, True), ("mixed", LINEAR, False),
        ("channel", CONV, True), ("channel", LINEAR, True),
        ("tensor", CONV, False), ("tensor", LINEAR, False),
    ],
)  # fmt: skip
def test_weights_keep_their_range(granularity, site, channels):
    weight = normal(24).view((4, 6) if site is LINEAR else (4, 2, 3, 1))
    found = srq_init_bounds(
        site=site,
        distribution=Distribution.of_tensor(weight, 0),
        bits=2,
        options=options(weight_granularity=granularity, p=0.5),
    ).tensors()
    over = weight.flatten(1) if channels else weight.flatten()
    assert torch.equal(torch.stack(found), torch.stack([over.amin(-1), over.amax(-1)]))


# Edge layers


def test_edge_layers_have_8_bits():
    edge = Site("first.input", "activation", "image", 1, edge=True, layer="conv")
    assert srq_make_quantizer(site=edge, options=options()).bits == 8
    assert srq_make_quantizer(site=edge, options=options(edge_layers_8bit=False)) is None
    assert srq_make_quantizer(site=PLAIN, options=options()) is None


def initialised(bits: str, **values: str):
    """The convolutional network under `dbdc+pac`, as a run builds it."""
    method = resolve_method(Plugins(), "dbdc+pac", {f"dbdc.{key}": value for key, value in values.items()})
    student = quantize(convolutional_teacher(), Bits.parse(bits), method.make_quantizer)
    for name, distribution in observe(student, lambda: [images(4, 32)]).items():
        quantizer = student.quantizers[name]
        quantizer.set_bounds(method.init_bounds(quantizer.site, distribution, quantizer.bits))
    return student


def test_a_convolutional_network():
    quantizers = initialised("w2a4").quantizers
    assert {name: (q.bits, tuple(q.lower.shape)) for name, q in quantizers.items()} == {
        "first.weight": (8, (5,)),
        "first.input": (8, ()),
        "block.0.weight": (2, (6,)),
        "block.0.input": (4, ()),
        "block.2.weight": (2, (5,)),
        "block.2.input": (4, ()),
        "last.weight": (8, (12,)),
        "last.input": (8, ()),
    }


def test_an_edge_layer_is_clipped_by_the_share_of_8_bits():
    narrow = initialised("4", edge_layers_8bit="false").quantizers["last.input"].bounds.tensors()
    wide = initialised("4").quantizers["last.input"].bounds.tensors()
    same = initialised("8", edge_layers_8bit="false").quantizers["last.input"].bounds.tensors()
    assert wide == same
    assert float(wide[1] - wide[0]) > float(narrow[1] - narrow[0])


def test_a_transformer_has_one_pair_a_site():
    teacher, _ = teacher_and_student()
    method = resolve_method(Plugins(), "dbdc", {})
    student = quantize(teacher, Bits.parse("4"), method.make_quantizer)
    for name, distribution in observe(student, supply().fixed).items():
        bounds = method.init_bounds(student.quantizers[name].site, distribution, 4)
        assert bounds.tensors()[0].ndim == 0
    assert {quantizer.bits for quantizer in student.quantizers.values()} == {4}


# Options


def test_the_share_by_bit_width():
    """Between and below the widths that the paper names, the next one above decides."""
    of = {name: [clipped_share(bits, options(preset=name)) for bits in range(2, 9)] for name in ("paper", "official")}
    assert of["paper"] == [5e-4, 5e-4, 5e-4, 1e-4, 1e-4, 1e-5, 1e-5]
    assert of["official"] == [1e-4] * 6 + [1e-5]


def test_a_share_that_is_given_holds_for_all():
    assert {clipped_share(bits, options(p="0.01")) for bits in range(2, 9)} == {0.01}
    assert clipped_share(4, options(p=0)) == 0


def test_presets():
    paper, official = options(), options(preset="official")
    for chosen, offset in ((paper, 0), (official, 1)):
        found = (chosen.p, chosen.lower_edge_offset, chosen.weight_granularity, chosen.edge_layers_8bit)
        assert found == (None, offset, "mixed", True)


def test_a_single_value_wins_over_the_preset():
    chosen = Options.parse({"preset": "official", "lower_edge_offset": "0", "edge_layers_8bit": "false"})
    assert (chosen.lower_edge_offset, chosen.edge_layers_8bit, clipped_share(4, chosen)) == (0, False, 1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"p": 1.0}, {"p": -0.1}, {"p": "nan"}, {"p": "few"}, {"q": 1}, {"lower_edge_offset": 2},
        {"lower_edge_offset": -1}, {"weight_granularity": "row"}, {"edge_layers_8bit": "perhaps"}, {"preset": "x"},
    ],
)  # fmt: skip
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)


def test_a_share_out_of_range_is_said_in_one_line():
    with pytest.raises(SrqError, match=r"^option p: Input should be less than 1, got '2'$"):
        Options.parse({"p": "2"})
