"""Center: channels of mean zero, and a network that computes what it did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import images, tiny_teacher
from srq_baselines.center import srq_transform_model
from torch import nn

from sr_ptq_bench import Batches, Bits, SRModel
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off

NORMS = [f"layers.0.residual_group.blocks.{block}.norm{i}" for block in (0, 1) for i in (1, 2)]


def batches() -> Batches:
    photos = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    return Batches(photos, [photos[0]])


def off_centre() -> SRModel:
    """A network whose norms have large shifts."""
    teacher = tiny_teacher()
    for name in NORMS:
        norm = teacher.network.get_submodule(name)
        norm.bias.data = 3 * torch.randn(norm.bias.shape, generator=torch.Generator().manual_seed(0))
    return teacher


def centered(teacher: SRModel):
    student = quantize(teacher, Bits.parse("4"))
    with quantizers_off(student):
        srq_transform_model(student=student, batches=batches())
    return student


def means(student, names: list[str]) -> list[torch.Tensor]:
    """Of each channel of these modules' outputs over all calibration patches, seen by hooks of torch."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    handles = [
        student.network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, y, name=name: seen[name].append(y.flatten(0, -2))
        )
        for name in names
    ]
    with torch.no_grad(), quantizers_off(student):
        for lr in batches().fixed(3):
            student(lr)
    for handle in handles:
        handle.remove()
    return [torch.cat(seen[name]).mean(0) for name in names]


def test_channels_have_mean_zero():
    assert min(float(mean.abs().max()) for mean in means(quantize(off_centre(), Bits.parse("4")), NORMS)) > 1
    assert max(float(mean.abs().max()) for mean in means(centered(off_centre()), NORMS)) < 1e-5


def test_the_network_computes_the_same():
    teacher, lr = off_centre(), images(2, 16)
    student = centered(teacher)
    with torch.no_grad(), quantizers_off(student):
        assert torch.allclose(student(lr), teacher(lr), atol=1e-4)


def test_weights_and_scales_stay():
    teacher = off_centre()
    student = centered(teacher)
    before = dict(teacher.network.named_parameters())
    after = {name.replace(".layer.", "."): of for name, of in student.model.network.named_parameters()}
    moved = [name for name, of in before.items() if not torch.equal(of, after[name])]
    assert moved
    assert all(name.endswith("bias") for name in moved)


class Shared(nn.Module):
    """A norm that a Linear layer and, if asked, a sum read."""

    def __init__(self, also_sum: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.fc, self.also_sum = nn.LayerNorm(3), nn.Linear(3, 3), also_sum
        self.norm.bias.data += torch.tensor([1.0, 2.0, 3.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x.permute(0, 2, 3, 1))
        return (self.fc(y) + y * self.also_sum).permute(0, 3, 1, 2)


@pytest.mark.parametrize("also_sum", [False, True])
def test_a_norm_with_another_reader_is_left_alone(also_sum):
    model = SRModel("shared", 1, Shared(also_sum).requires_grad_(False), {"fc": "layernorm"}, ())
    student = centered(model)
    stayed = torch.equal(student.model.network.norm.bias, model.network.norm.bias)
    assert stayed == also_sum
