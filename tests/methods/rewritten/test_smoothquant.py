"""SmoothQuant: scales by hand, and a network that computes what it did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import images, tiny_teacher
from srq_baselines.norms import pairs
from srq_baselines.smoothquant import Options, scales, srq_transform_model
from torch import nn

from sr_ptq_bench import Batches, Bits, SRModel
from sr_ptq_bench.quantization.network import with_scope
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off


def batches() -> Batches:
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Batches(np.stack([photo[:16, :16], photo[16:, 16:]]), [photo])


def smoothed(teacher, alpha=0.5):
    student = quantize(teacher, Bits.parse("4"))
    with quantizers_off(student):
        srq_transform_model(student=student, batches=batches(), options=Options(alpha=alpha))
    return student


def test_scales_by_hand():
    x, w = torch.tensor([16.0, 1.0, 0.0]), torch.tensor([4.0, 1.0, 1.0])
    assert scales(x, w, 0.5).tolist() == pytest.approx([2.0, 1.0, 1e-5**0.5])
    assert scales(x, w, 1.0).tolist() == pytest.approx([16.0, 1.0, 1e-5])


def test_q_k_v_and_fc1_are_found():
    student = quantize(with_scope(tiny_teacher(), "all"), Bits.parse("4"))
    with quantizers_off(student), torch.no_grad():
        found = [pair.names for pair in pairs(student, images(1, 16))]
    block = "layers.0.residual_group.blocks"
    expected = [[f"{block}.{i}.attn.qkv.{x}" for x in "qkv"] if part == 0 else [f"{block}.{i}.mlp.fc1"]
                for i in (0, 1) for part in (0, 1)]  # fmt: skip
    assert found == expected


def test_the_search_changes_nothing():
    student = quantize(tiny_teacher(), Bits.parse("4"))
    before = {name: value.clone() for name, value in student.network.state_dict().items()}
    with quantizers_off(student), torch.no_grad():
        pairs(student, images(1, 16))
    assert all(torch.equal(value, before[name]) for name, value in student.network.state_dict().items())


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_network_computes_the_same(alpha):
    teacher, lr = tiny_teacher(), images(2, 16)
    student = smoothed(teacher, alpha)
    with torch.no_grad(), quantizers_off(student):
        assert torch.allclose(student(lr), teacher(lr), atol=1e-4)
    before, after = (dict(model.network.named_parameters()) for model in (teacher, student.model))
    assert not torch.allclose(after["layers.0.residual_group.blocks.0.norm1.weight"],
                              before["layers.0.residual_group.blocks.0.norm1.weight"])  # fmt: skip


def test_activations_and_weights_have_equal_ranges_at_one_half():
    """Max|X/s| = sqrt(max|X| max|W|) = max|W s|."""
    student = smoothed(tiny_teacher())
    seen = []
    name = "layers.0.residual_group.blocks.1.mlp.fc1"
    quantizer = student.quantizers[f"{name}.input"]
    handle = quantizer.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].abs().flatten(0, -2).amax(0)))
    with torch.no_grad(), quantizers_off(student):
        student(next(iter(batches().fixed(2))))
    handle.remove()
    assert torch.allclose(seen[0], student.weights[f"{name}.weight"].abs().amax(0), rtol=1e-3)


class Shared(nn.Module):
    """A norm that a Linear layer and a sum read."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.fc = nn.LayerNorm(3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x.permute(0, 2, 3, 1))
        return (y + self.fc(y)).permute(0, 3, 1, 2)


def test_a_norm_with_another_reader_is_left_alone():
    model = SRModel("shared", 1, Shared().requires_grad_(False), {"fc": "layernorm"}, ())
    student = quantize(model, Bits.parse("4"))
    with torch.no_grad(), quantizers_off(student):
        assert pairs(student, images(1, 8)) == []


class Recursive(nn.Module):
    """A norm and a layer that run twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.fc = nn.LayerNorm(3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.permute(0, 2, 3, 1)
        for _ in range(2):
            y = y + self.fc(self.norm(y))
        return y.permute(0, 3, 1, 2)


def test_a_norm_and_a_layer_that_run_twice_are_one_pair():
    model = SRModel("recursive", 1, Recursive().requires_grad_(False), {"fc": "layernorm"}, ())
    student = quantize(model, Bits.parse("4"))
    with torch.no_grad(), quantizers_off(student):
        (pair,) = pairs(student, images(1, 8))
    assert pair.names == ["fc"]


class TwoNorms(nn.Module):
    """A norm that a Linear layer alone reads, then one that a sum reads too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.fc, self.shared = nn.LayerNorm(3), nn.Linear(3, 3), Shared()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(self.fc(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2))


def test_of_several_norms_those_with_other_readers_are_left_alone():
    kinds = {"fc": "layernorm", "shared.fc": "layernorm"}
    student = quantize(SRModel("two", 1, TwoNorms().requires_grad_(False), kinds, ()), Bits.parse("4"))
    with torch.no_grad(), quantizers_off(student):
        assert [pair.names for pair in pairs(student, images(1, 8))] == [["fc"]]
