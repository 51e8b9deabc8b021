"""MSE: a grid search against one that quantizes the tensor for every point."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import squared_errors
from srq_baselines.mse import Options, srq_init_bounds

from sr_ptq_bench import Distribution, Site, SrqError

WEIGHT = Site("fc.weight", "weight", "parameter", 0, layer="linear")
ACTIVATION = Site("fc.input", "activation", "layernorm", -1, layer="linear")
WHOLE = Site("query", "activation", "query")


def bounds(v: torch.Tensor, bits: int = 2, site: Site = WHOLE, **options):
    distribution = Distribution.of_tensor(v, site.channel_axis)
    return srq_init_bounds(site=site, distribution=distribution, bits=bits, options=Options(**options)).tensors()


def test_by_hand():
    """Levels of [-1, 2] are -1, 0, 1, 2; of [-2, 4] -2, 0, 2, 4, which misses 40 values by 1 and not one by 2."""
    v = torch.tensor([-2.0, 4.0] + [1.0] * 40 + [-1.0] * 40)
    lower, upper = bounds(v, points=2)
    assert (float(lower), float(upper)) == (-1.0, 2.0)  # errors: 1 + 4 = 5 against 80
    lower, upper = bounds(torch.tensor([-2.0, 4.0, 0.0, 2.0]), points=2)
    assert (float(lower), float(upper)) == (-2.0, 4.0)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_a_search_that_quantizes(bits):
    v = torch.randn(800, generator=torch.Generator().manual_seed(1)) ** 3
    shares = [i / 100 for i in range(1, 101)]
    errors = squared_errors(v, [s * float(v.min()) for s in shares], [s * float(v.max()) for s in shares], bits)
    best = shares[int(errors.argmin())]
    lower, upper = bounds(v, bits)
    assert (float(lower), float(upper)) == pytest.approx((best * float(v.min()), best * float(v.max())), rel=1e-6)
    assert best < 1


def test_every_channel_of_a_weight_has_its_own():
    v = torch.randn(5, 300, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 2, 3, 4, 50])[:, None]
    lower, upper = bounds(v, site=WEIGHT, weights="channel")
    for channel in range(5):
        alone = bounds(v[channel])
        assert (lower[channel], upper[channel]) == alone
    assert lower.shape == upper.shape == (5,)


def test_an_activation_has_one_pair():
    v = torch.randn(7, 30, generator=torch.Generator().manual_seed(3))
    assert bounds(v, site=ACTIVATION, weights="channel")[0].shape == ()


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), bits=st.integers(2, 8))
def test_bounds_are_ordered_and_never_worse_than_minmax(values, bits):
    v = torch.tensor(values)
    lower, upper = bounds(v, bits)
    minmax, found = squared_errors(v, [v.min(), lower], [v.max(), upper], bits).tolist()
    assert lower <= upper
    assert found <= minmax + 1e-6 * len(values) * float(v.double().abs().max()) ** 2


@pytest.mark.parametrize("values", [{"points": 0}, {"weights": "row"}, {"p": 1}])
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)
