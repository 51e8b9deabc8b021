"""What the host knows of a network: padding, scope, features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from oracle import images, mixed, tiny_teacher
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel, pad, with_padding, with_scope
from sr_ptq_bench.quantization.quantize import quantize

W4A4 = Bits(weight=4, activation=4)


def test_with_features_are_the_outputs_of_the_named_modules_in_order():
    teacher, lr = mixed(), images(2, 5)
    output, (fc, conv) = teacher.with_features(lr)
    assert torch.equal(output, teacher(lr))
    x = torch.cat([lr, lr[:, :1]], 1)
    assert torch.equal(conv, teacher.network.get_submodule("conv")(x))
    assert torch.equal(fc, teacher.network.get_submodule("fc")(conv.relu().permute(0, 2, 3, 1)))
    assert not any(module._forward_hooks for module in teacher.network.modules())


def test_with_features_of_swinir_are_those_of_the_groups():
    teacher = tiny_teacher((1, 1))
    _, features = teacher.with_features(images(1, 16))
    assert [f.shape for f in features] == [(1, 256, 12)] * 2
    assert not torch.equal(features[0], features[1])


def test_with_features_leaves_no_hooks_after_an_error():
    teacher = mixed()
    with pytest.raises(RuntimeError):
        teacher.with_features(torch.zeros(1, 7, 4, 4))
    assert not any(module._forward_hooks for module in teacher.network.modules())


def test_to_and_device():
    teacher = mixed()
    assert teacher.device == torch.device("cpu")
    assert teacher.to("cpu") is teacher


def row(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("flip", (1, 2, 3, 4, 5, 5, 4, 3)),
        ("reflect", (1, 2, 3, 4, 5, 4, 3, 2)),
        ("window", (1, 2, 3, 4, 5, 5, 4, 3)),
    ],
)
def test_padding_by_hand(mode, expected):
    x = row(1, 2, 3, 4, 5).expand(1, 1, 4, 5)
    padded = pad(x, 4, mode)[0, 0, 0]
    assert padded.tolist() == list(expected)


@pytest.mark.parametrize(("mode", "size"), [("flip", 8), ("reflect", 8), ("window", 16)])
def test_a_size_that_is_a_multiple_already(mode, size):
    x = images(1, 8)
    padded = pad(x, 8, mode)
    assert padded.shape == (1, 3, size, size)
    assert torch.equal(padded[..., :8, :8], x)


def test_window_adds_a_mirrored_window():
    assert pad(row(1, 2), 1, "window").tolist() == [[[[1, 2, 2], [1, 2, 2]]]]
    doubled = pad(images(1, 8), 8, "window")
    assert torch.equal(doubled[..., 8:], doubled[..., :8].flip(-1))
    assert torch.equal(doubled[..., 8:, :], doubled[..., :8, :].flip(-2))


@pytest.mark.parametrize("height", range(8, 18))
@pytest.mark.parametrize("width", (8, 11, 15, 16))
def test_padding_mirrors_pixel_by_pixel(height, width):
    x = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    for mode, edge in (("flip", 1), ("reflect", 0), ("window", 1)):
        padded = pad(x, 8, mode)
        for axis, size in ((2, height), (3, width)):
            extra = padded.shape[axis] - size
            assert padded.shape[axis] % 8 == 0
            assert extra == ((-size) % 8 or (8 if mode == "window" else 0))
            for k in range(extra):
                mirrored = padded.select(axis, size - k - 2 + edge)
                assert torch.equal(padded.select(axis, size + k), mirrored)
        assert torch.equal(padded[..., :height, :width], x)


@pytest.mark.parametrize("size", [(9, 9), (13, 16), (15, 23)])
def test_reflect_is_torch_s(size):
    x = images(1, *size)
    extra = [(-s) % 8 for s in size]
    assert torch.equal(pad(x, 8, "reflect"), F.pad(x, (0, extra[1], 0, extra[0]), "reflect"))


@pytest.mark.parametrize("mode", ["flip", "reflect", "window"])
@pytest.mark.parametrize("size", [(7, 8), (8, 7), (1, 30)])
def test_an_image_under_one_window(mode, size):
    with pytest.raises(SrqError, match=f"{size[1]}x{size[0]} pixels is smaller than one window of 8x8"):
        pad(images(1, *size), 8, mode)


@pytest.mark.parametrize("mode", ["flip", "reflect", "window"])
@pytest.mark.parametrize("size", [(8, 8), (9, 15), (17, 8)])
@pytest.mark.parametrize("scale", [2, 3])
def test_the_output_has_the_size_of_the_image_whatever_the_padding(mode, size, scale):
    teacher = with_padding(tiny_teacher((1,), scale=scale), mode)
    lr = images(1, *size)
    sr = teacher(lr)
    assert sr.shape == (1, 3, scale * size[0], scale * size[1])
    whole = teacher.network(pad(lr, 8, mode))
    assert torch.equal(sr, whole[..., : scale * size[0], : scale * size[1]])


def test_scope_linear_leaves_the_convolutions_fp():
    student = quantize(with_scope(mixed(), "linear"), W4A4)
    assert set(student.quantizers) == {"fc.weight", "fc.input", "mark"}
    assert isinstance(student.network.get_submodule("conv"), nn.Conv2d)


def test_without_a_scope_the_network_s_own_stays():
    assert with_scope(mixed(), None).scope == "all"
    assert with_scope(tiny_teacher(), None).scope == "linear"
    assert with_scope(tiny_teacher(), "all").scope == "all"


def test_a_scope_that_holds_nothing():
    convolution = SRModel("bare", 1, nn.Sequential(nn.Conv2d(3, 3, 1)), {"0": "image"}, ())
    with pytest.raises(SrqError, match=r"scope 'linear' quantizes nothing of 'bare': .*; choose 'all'"):
        with_scope(convolution, "linear")
    with pytest.raises(SrqError, match=r"scope 'all' quantizes nothing of 'bare': it names no layers"):
        with_scope(replace(convolution, input_kinds={}), None)


def test_with_padding_changes_nothing_else():
    teacher = tiny_teacher()
    other = with_padding(teacher, "reflect")
    assert (teacher.padding, other.padding) == ("flip", "reflect")
    assert other.network is teacher.network


def test_a_network_that_overwrites_its_input_leaves_the_image_as_it_was():
    class Overwriting(nn.Module):
        def forward(self, x):
            return x.mul_(255)

    model = SRModel("overwriting", 1, Overwriting(), {}, ())
    lr = torch.rand(1, 3, 8, 8)
    before = lr.clone()
    assert torch.equal(model(lr), before * 255)
    assert torch.equal(lr, before)
