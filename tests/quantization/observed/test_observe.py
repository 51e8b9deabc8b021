"""The calibration pass on networks small enough to know every tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exact import eighths, integers
from oracle import bounded, images, tiny_teacher
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.distribution import BINS
from sr_ptq_bench.quantization.network import Operand, SRModel
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Bounds
from sr_ptq_bench.quantization.student import Student


class Toy(nn.Module):
    """Two convolutions read one tensor; their outputs are added and marked."""

    def __init__(self, unused: bool = False) -> None:
        super().__init__()
        if unused:
            self.unused = nn.Conv2d(3, 3, 1)
        self.right = integers(nn.Conv2d(3, 3, 3, padding=1), 1)
        self.left = integers(nn.Conv2d(3, 3, 1), 2)
        self.sum = Operand("value")

    def forward(self, x: Tensor) -> Tensor:
        y = self.left(x)  # the left one runs first though the right one stands first
        y = y + self.right(x)
        return F.interpolate(self.sum(y), scale_factor=2)


def toy(*more: str, unused: bool = False) -> Student:
    teacher = SRModel("toy", 2, Toy(unused), dict.fromkeys(("left", "right", *more), "image"), ())
    student = quantize(teacher, Bits(weight=2, activation=2))
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(-0.01, 0.01))  # were a quantizer on, everything behind it would show
    return student


def test_every_site_is_observed_on_the_full_precision_network():
    student, x = toy(), eighths(4)
    seen = observe(student, lambda: [x])
    network = Toy()
    y = network.left(x) + network.right(x)
    assert list(seen) == list(student.quantizers)
    assert (seen["sum"].minimum, seen["sum"].maximum) == (float(y.min()), float(y.max()))
    assert (seen["left.input"].minimum, seen["left.input"].maximum) == (0.0, 1.0)
    assert seen["sum"].count == y.numel()
    assert seen["left.input"].count == x.numel()


def test_activations_are_histograms_of_the_tensor():
    student, x = toy(), eighths(4)
    sites = observe(student, lambda: [x])
    y = Toy().left(x) + Toy().right(x)
    again = torch.repeat_interleave(sites["sum"].values, sites["sum"].bin_counts)
    assert sites["sum"].is_histogram
    assert float((again - y.flatten().sort().values).abs().max()) <= 0.6 * float(y.max() - y.min()) / BINS


@pytest.mark.parametrize("sizes", [[1] * 6, [2, 3, 1], [5, 1]])
def test_the_size_of_a_batch_does_not_matter(sizes):
    student, x = toy(), eighths(6)
    whole, parts = observe(student, lambda: [x]), observe(student, lambda: x.split(sizes))
    for name, distribution in whole.items():
        assert (distribution.minimum, distribution.maximum) == (parts[name].minimum, parts[name].maximum)
        assert torch.equal(distribution.counts, parts[name].bin_counts)
        assert torch.equal(distribution.values, parts[name].values)


def test_channels_have_ranges_over_all_batches():
    student, x = toy(), eighths(5)
    seen = observe(student, lambda: x.split(2))["left.input"]
    assert torch.equal(seen.channel_minimum, x.amin((0, 2, 3)))
    assert torch.equal(seen.channel_maximum, x.amax((0, 2, 3)))


def test_a_site_without_channels_has_none():
    assert observe(toy(), lambda: [eighths(1)])["sum"].channel_minimum is None


def test_a_range_that_grows_with_a_later_batch():
    x = eighths(2)
    x[1] *= 40
    seen = observe(toy(), lambda: x.split(1))["left.input"]
    assert seen.maximum == float(x.max())
    assert seen.count == x.numel()


def test_sites_that_read_one_tensor_share_its_distribution():
    seen = observe(toy(), lambda: eighths(3).split(1))
    assert seen["left.input"] is seen["right.input"]
    assert seen["left.weight"] is not seen["right.weight"]


def test_weights_are_observed_exactly():
    student = toy()
    seen = observe(student, lambda: [eighths(1)])
    for name, weight in student.weights.items():
        again = torch.repeat_interleave(seen[name].values, seen[name].bin_counts)
        assert torch.equal(again, weight.double().flatten().sort().values)
        assert torch.equal(seen[name].channel_minimum, weight.flatten(1).amin(1))
        assert torch.equal(seen[name].channel_maximum, weight.flatten(1).amax(1))


def test_bounds_do_not_depend_on_other_bounds():
    teacher, x = tiny_teacher(), images(2, 16)
    student = bounded(teacher)
    before = observe(student, lambda: [x])
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(0.0, 1e-3))
    after = observe(student, lambda: [x])
    assert all(torch.equal(before[name].counts, after[name].bin_counts) for name in before)


def test_the_batches_are_asked_for_twice_and_never_kept():
    calls = []

    def batches():
        calls.append(1)
        yield eighths(1)

    observe(toy(), batches)
    assert len(calls) == 2


def test_the_student_is_left_as_it_was():
    student = toy()
    student.quantizers["sum"].enabled = False
    before = {name: v.clone() for name, v in student.network.state_dict().items()}
    observe(student, lambda: [eighths(1)])
    assert [name for name, q in student.quantizers.items() if not q.enabled] == ["sum"]
    assert all(torch.equal(v, before[name]) for name, v in student.network.state_dict().items())
    assert not any(q._forward_pre_hooks for q in student.quantizers.values())


def test_an_error_leaves_quantizers_on_and_no_hooks():
    student = toy()

    def batches():
        yield eighths(1)
        raise KeyError("no more images")

    with pytest.raises(KeyError):
        observe(student, batches)
    assert all(quantizer.enabled for quantizer in student.quantizers.values())
    assert not any(q._forward_pre_hooks for q in student.quantizers.values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite(bad):
    x = eighths(2)
    x[1, 0, 0, 0] = bad
    with pytest.raises(SrqError, match=r"site left\.input has values that are not finite"):
        observe(toy(), lambda: x.split(1))


def test_a_site_that_is_never_reached():
    with pytest.raises(SrqError, match=r"site unused\.input was never reached"):
        observe(toy("unused", unused=True), lambda: [eighths(1)])


def test_no_batches_at_all():
    with pytest.raises(SrqError, match="never reached"):
        observe(toy(), list)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_constant_image(value):
    seen = observe(toy(), lambda: [torch.full((2, 3, 4, 4), value)])
    assert seen["left.input"].minimum == seen["left.input"].maximum == value
    assert seen["left.input"].count == 96


def test_sites_that_read_the_same_tensors_share_one_histogram():
    student = toy()
    seen = observe(student, lambda: [eighths(2), eighths(2)])
    assert seen["left.input"] is seen["right.input"]


class HalfInside(nn.Module):
    """The second convolution sees numbers of 16 bits."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.first, self.second = kind, nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1).to(kind)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).to(self.kind)).float()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_numbers_of_16_bits_are_binned_as_float32(kind: torch.dtype) -> None:
    model = SRModel("half", 1, HalfInside(kind).eval().requires_grad_(False), {"first": "image", "second": "conv"}, ())
    found = observe(quantize(model, Bits(weight=4, activation=4)), lambda: [images(2, 8)])["second.input"]
    with torch.no_grad():
        expected = model.network.first(images(2, 8)).to(kind).float()
    assert (found.minimum, found.maximum) == (float(expected.min()), float(expected.max()))
    assert found.count == expected.numel()
    for share in (0.1, 0.3, 0.5, 0.8):
        exact = np.quantile(expected.numpy(), share, method="inverted_cdf")
        assert found.quantile(share) == pytest.approx(float(exact), abs=(found.maximum - found.minimum) / BINS)


def test_a_site_that_sometimes_sees_nothing_has_the_rest() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = integers(nn.Linear(3, 3), 0)

        def forward(self, x: Tensor) -> Tensor:
            rows = x.movedim(1, -1)
            return torch.cat([self.layer(part) for part in (rows[:, :0], rows)], 1).movedim(-1, 1)

    model = SRModel("parts", 1, Parts(), {"layer": "image"}, ())
    found = observe(quantize(model, Bits(weight=4, activation=4)), lambda: [images(1, 8)])["layer.input"]
    assert (found.count, found.maximum) == (192, float(images(1, 8).max()))
