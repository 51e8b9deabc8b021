"""The calibration pass on networks small enough to know every tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
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


def integers(layer: nn.Module, seed: int) -> nn.Module:
    """Weights that are integers, so that sums are exact in whatever order they are taken."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = torch.randint(-3, 4, parameter.shape, generator=generator).float()
    return layer.requires_grad_(False)


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


def eighths(count: int, size: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 9, (count, 3, size, size), generator=generator).float() / 8


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


def test_query_key_and_value_layers_share_their_input():
    student = quantize(tiny_teacher(), Bits(weight=4, activation=4))
    seen = observe(student, lambda: [images(1, 16)])
    for name in student.quantizers:
        if name.endswith("qkv.q.input"):
            assert seen[name] is seen[name.replace("qkv.q", "qkv.k")] is seen[name.replace("qkv.q", "qkv.v")]
            assert seen[name] is not seen[name.replace("qkv.q.input", "proj.input")]


class Twice(nn.Module):
    """One layer that is used on the same tensor twice in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = integers(nn.Conv2d(3, 3, 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.layer(x)


def test_a_layer_that_is_used_twice_on_one_tensor():
    student = quantize(SRModel("twice", 1, Twice(), {"layer": "image"}, ()), Bits(weight=4, activation=4))
    seen = observe(student, lambda: [eighths(1)])["layer.input"]
    assert (seen.minimum, seen.maximum) == (0.0, 1.0)
    assert seen.count > 0


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


# Sites that read one tensor, and sites that only seem to


class Again(nn.Module):
    """Three layers read one tensor; one of them runs again on another."""

    def __init__(self, again: str) -> None:
        super().__init__()
        self.first, self.second, self.third = (integers(nn.Conv2d(3, 3, 1), seed) for seed in (1, 2, 3))
        self.again = again

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x) + self.second(x) + self.third(x)
        return self.get_submodule(self.again)(y)


class Overwrites(nn.Module):
    """Between two layers that read one tensor it is overwritten."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = (integers(nn.Conv2d(3, 3, 1), seed) for seed in (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        y = self.first(x)
        if self.how == "in place":
            x.mul_(3).sub_(1)
        elif self.how == "through a view":
            x[:, :, 0].fill_(9)
        else:
            x.data.mul_(3)
        return y + self.second(x)


class InferenceMode(Again):
    """As the network of its base, in inference mode, where tensors have no versions."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return super().forward(x)


def inputs_of(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """All that every layer reads, joined: what the sites are, found without quantizers."""
    read: dict[str, list[Tensor]] = {}
    for name, layer in network.named_children():
        layer.register_forward_pre_hook(lambda _m, args, name=name: read.setdefault(name, []).append(args[0].clone()))
    with torch.no_grad():
        network(x)
    return {name: torch.cat([v.flatten() for v in tensors]) for name, tensors in read.items()}


@pytest.mark.parametrize(
    "make",
    [
        *(lambda again=again: Again(again) for again in ("first", "second", "third")),
        *(lambda how=how: Overwrites(how) for how in ("in place", "through a view", "past its version")),
        lambda: InferenceMode("second"),
    ],
)
@pytest.mark.parametrize("images_at_once", [1, 3])
def test_every_site_has_the_distribution_of_what_it_reads(make, images_at_once):
    network, x = make(), eighths(3)
    layers = dict.fromkeys((name for name, _ in network.named_children()), "image")
    student = quantize(SRModel("any", 1, network, layers, ()), Bits(weight=2, activation=2))
    seen = observe(student, lambda: x.split(images_at_once))
    for name, v in inputs_of(make(), x).items():
        found = seen[f"{name}.input"]
        assert (found.minimum, found.maximum, found.count) == (v.min(), v.max(), v.numel())
        values = found.values.repeat_interleave(found.bin_counts.long())
        torch.testing.assert_close(values, v.double().sort().values, rtol=0, atol=float(v.max() - v.min()) / BINS)


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
