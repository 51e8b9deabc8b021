"""Bounds and the quantizer module."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.quantization.fake_quantize import fake_quantize
from sr_ptq_bench.quantization.quantizer import Bounds, Quantizer, Site

PLAIN = Site("x", "activation", "query")
ROWS = Site("w", "weight", "parameter", 0)
LAST = Site("w", "activation", "layernorm", -1)
ENDS = st.floats(-1e6, 1e6, width=32)


def test_numbers_become_scalars_of_float32():
    lower, upper = Bounds(-1, 2.5).tensors()
    assert (lower.shape, upper.shape, lower.dtype, upper.dtype) == ((), (), torch.float32, torch.float32)
    assert (float(lower), float(upper)) == (-1.0, 2.5)


def test_tensors_are_detached_and_keep_their_channels():
    lower = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    ends = Bounds(lower, torch.tensor([0.0, 1.0])).tensors()
    assert [end.shape for end in ends] == [(2,), (2,)]
    assert not any(end.requires_grad for end in ends)


def test_equal_bounds_are_allowed():
    assert [float(end) for end in Bounds(1.0, 1.0).tensors()] == [1.0, 1.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39])
@pytest.mark.parametrize("end", ["lower", "upper"])
def test_bounds_that_are_not_finite(bad, end):
    with pytest.raises(SrqError, match="not finite"):
        Bounds(**{"lower": -1.0, "upper": 1.0, end: bad}).tensors()


def test_bounds_whose_distance_is_not_finite():
    with pytest.raises(SrqError, match="float32 cannot hold their distance"):
        Bounds(-3e38, 3e38).tensors()


def test_one_channel_that_is_not_finite():
    with pytest.raises(SrqError, match="not finite"):
        Bounds(torch.zeros(3), torch.tensor([1.0, math.nan, 1.0])).tensors()


def test_unordered_bounds():
    with pytest.raises(SrqError, match="above its upper"):
        Bounds(1.0, 0.5).tensors()
    with pytest.raises(SrqError, match="above its upper"):
        Bounds(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])).tensors()


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(torch.zeros(2), torch.ones(3)), (0.0, torch.ones(3)), (torch.zeros(2, 1), torch.ones(2, 1))],
    ids=["lengths", "number and tensor", "matrix"],
)
def test_shapes_that_do_not_fit(lower, upper):
    with pytest.raises(SrqError, match=r"expected \(\) or \(C,\)"):
        Bounds(lower, upper).tensors()


def test_a_new_quantizer_is_on_and_its_bounds_do_not_learn():
    quantizer = Quantizer(PLAIN, 4)
    assert quantizer.enabled
    assert [p.requires_grad for p in quantizer.parameters()] == [False, False]


def test_the_bounds_come_back_detached_and_apart():
    quantizer = Quantizer(PLAIN, 4)
    quantizer.set_bounds(Bounds(-1.0, 2.0))
    bounds = quantizer.bounds
    with torch.no_grad():
        quantizer.lower.fill_(-9.0)
    assert (float(bounds.lower), float(bounds.upper)) == (-1.0, 2.0)


def test_set_bounds_copies_the_tensors():
    quantizer, given = Quantizer(ROWS, 4), torch.zeros(3)
    quantizer.set_bounds(Bounds(given, torch.ones(3)))
    given.fill_(-5.0)
    assert quantizer.lower.tolist() == [0.0, 0.0, 0.0]


def test_set_bounds_makes_parameters_that_do_not_learn_yet():
    quantizer = Quantizer(PLAIN, 4)
    quantizer.set_bounds(Bounds(torch.tensor(0.0, requires_grad=True), torch.tensor(1.0)))
    assert isinstance(quantizer.lower, nn.Parameter)
    assert not quantizer.lower.requires_grad
    assert set(dict(quantizer.named_parameters())) == {"lower", "upper"}


def test_set_bounds_stays_on_the_device():
    quantizer = Quantizer(PLAIN, 4).to("meta")
    quantizer.set_bounds(Bounds(0.0, 1.0))
    assert (quantizer.lower.device.type, quantizer.upper.device.type) == ("meta", "meta")


def test_bad_bounds_leave_the_old_ones():
    quantizer = Quantizer(PLAIN, 4)
    quantizer.set_bounds(Bounds(-1.0, 2.0))
    with pytest.raises(SrqError):
        quantizer.set_bounds(Bounds(1.0, 0.0))
    assert (float(quantizer.lower), float(quantizer.upper)) == (-1.0, 2.0)


def test_channel_bounds_on_a_site_without_channels():
    with pytest.raises(SrqError, match="site x has no channels"):
        Quantizer(PLAIN, 4).set_bounds(Bounds(torch.zeros(3), torch.ones(3)))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_wrong_number_of_channels(channels):
    quantizer = Quantizer(ROWS, 4)
    quantizer.set_bounds(Bounds(torch.zeros(channels), torch.ones(channels)))
    with pytest.raises(SrqError, match=f"site w has 3 channels, its bounds have {channels}"):
        quantizer(torch.rand(3, 4))


def test_per_tensor():
    quantizer, v = Quantizer(PLAIN, 3), torch.linspace(-2, 2, 50)
    quantizer.set_bounds(Bounds(-1.0, 1.5))
    assert torch.equal(quantizer(v), fake_quantize(v, torch.tensor(-1.0), torch.tensor(1.5), 3))


@pytest.mark.parametrize(("site", "axis"), [(ROWS, 0), (LAST, 2)])
def test_per_channel(site: Site, axis: int):
    v = torch.linspace(-2, 2, 60).view(3, 4, 5)
    channels = v.shape[axis]
    lower, upper = -torch.arange(1.0, channels + 1) / 4, torch.arange(1.0, channels + 1) / 3
    quantizer = Quantizer(site, 4)
    quantizer.set_bounds(Bounds(lower, upper))
    q = quantizer(v)
    for c in range(channels):
        assert torch.equal(q.select(axis, c), fake_quantize(v.select(axis, c), lower[c], upper[c], 4))


def test_channel_bounds_learn_in_their_own_shape():
    quantizer = Quantizer(LAST, 2)
    quantizer.set_bounds(Bounds(-torch.ones(5), torch.ones(5)))
    quantizer.requires_grad_()
    quantizer(torch.linspace(-2, 2, 20).view(4, 5)).square().sum().backward()
    assert quantizer.lower.grad is not None
    assert quantizer.lower.grad.shape == (5,)
    assert bool((quantizer.lower.grad != 0).all())


def test_off_hands_the_tensor_itself_on():
    quantizer, v = Quantizer(PLAIN, 2), torch.rand(4)
    quantizer.set_bounds(Bounds(0.2, 0.4))
    quantizer.enabled = False
    assert quantizer(v) is v
    quantizer.enabled = True
    assert not torch.equal(quantizer(v), v)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_the_bits_are_the_number_of_levels(bits):
    quantizer = Quantizer(PLAIN, bits)
    quantizer.set_bounds(Bounds(0.0, 1.0))
    assert len(torch.unique(quantizer(torch.linspace(0, 1, 4000)))) == 2**bits


class Halves(Quantizer):
    """A method's own quantizer: everything rounds to halves."""

    def quantize(self, v: Tensor) -> Tensor:
        return (v * 2).round() / 2


def test_a_quantizer_of_a_method_overrides_one_function():
    quantizer = Halves(PLAIN, 4)
    assert quantizer(torch.tensor([0.3, 0.8])).tolist() == [0.5, 1.0]
    quantizer.enabled = False
    assert quantizer(torch.tensor([0.25])).tolist() == [0.25]


def test_state_dict_round_trip():
    one, other = Quantizer(PLAIN, 4), Quantizer(PLAIN, 4)
    one.set_bounds(Bounds(-1.0, 2.0))
    other.load_state_dict(one.state_dict())
    assert (float(other.lower), float(other.upper)) == (-1.0, 2.0)


def test_a_site_is_a_value():
    assert Site("a", "weight", "parameter", 0) == Site("a", "weight", "parameter", 0)
    with pytest.raises(AttributeError):
        PLAIN.name = "y"


@settings(max_examples=60, deadline=None)
@given(a=ENDS, b=ENDS, bits=st.integers(2, 8), seed=st.integers(0, 9), grad=st.booleans())
def test_a_tensor_has_two_to_the_bits_levels_at_most(a, b, bits, seed, grad):
    quantizer = Quantizer(PLAIN, bits)
    quantizer.set_bounds(Bounds(min(a, b), max(a, b)))
    spread = 2 * max(abs(a), abs(b), 1e-3)
    v = spread * torch.randn(4000, generator=torch.Generator().manual_seed(seed))
    with torch.set_grad_enabled(grad):
        assert len(quantizer(v).unique()) <= 2**bits


@pytest.mark.parametrize("bits", [2, 4])
def test_every_channel_has_all_of_its_levels(bits):
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(3, 5000, generator=generator)
    quantizer = Quantizer(ROWS, bits)
    quantizer.set_bounds(Bounds(v.amin(1), v.amax(1)))
    v_q = quantizer(v)
    assert [len(row.unique()) for row in v_q] == [2**bits] * 3
    assert len(v_q.unique()) > 2**bits  # so codes are counted channel by channel
