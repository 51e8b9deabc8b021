"""With quantizers off a student is its teacher, which stays untouched."""

from __future__ import annotations

import pytest
import torch
from oracle import bounded, images, mixed, tiny_teacher
from torch import Tensor

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel, with_padding
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import cached_quantized_weights, quantizers_off

W4A4 = Bits(weight=4, activation=4)


def state(model: SRModel) -> dict[str, Tensor]:
    return {name: v.clone() for name, v in model.network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[name]) for name, v in one.items())


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (13, 9)])
def test_off_is_the_teacher_to_the_last_bit(size):
    teacher = tiny_teacher()
    student, lr = bounded(teacher, "2"), images(2, *size)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), teacher(lr))
    with torch.no_grad():
        assert not torch.equal(student(lr), teacher(lr))


def test_off_is_the_teacher_with_convolutions():
    teacher, lr = mixed(), images(2, 7)
    student = quantize(teacher, W4A4)
    with quantizers_off(student):
        assert torch.equal(student(lr), teacher(lr))


def test_quantizers_off_restores_each_even_after_an_error():
    student = quantize(mixed(), W4A4)
    student.quantizers["mark"].enabled = False
    with pytest.raises(KeyError), quantizers_off(student):
        assert not any(q.enabled for q in student.quantizers.values())
        raise KeyError
    assert [name for name, q in student.quantizers.items() if not q.enabled] == ["mark"]


def test_the_teacher_is_never_touched():
    teacher, lr = tiny_teacher(), images(1, 16)
    before, output, modules = state(teacher), teacher(lr), [type(m) for m in teacher.network.modules()]
    student = bounded(teacher, "2")
    observe(student, lambda: [lr])
    student.network.requires_grad_()
    student(lr).sum().backward()
    with torch.no_grad():
        for parameter in student.network.parameters():
            parameter.mul_(3)
    with cached_quantized_weights(student):
        student(lr)
    assert same(state(teacher), before)
    assert [type(m) for m in teacher.network.modules()] == modules
    assert not any(p.requires_grad or p.grad is not None for p in teacher.network.parameters())
    assert torch.equal(teacher(lr), output)


def test_student_and_teacher_share_no_memory():
    teacher = tiny_teacher()
    taken = {v.data_ptr() for v in teacher.network.state_dict().values()}
    student = quantize(teacher, W4A4)
    assert not taken & {p.data_ptr() for p in student.network.parameters() if p.numel()}


def test_the_student_keeps_all_else_of_the_teacher():
    teacher = with_padding(tiny_teacher(), "window")
    student = quantize(teacher, W4A4)
    for name in ("name", "scale", "features", "first_last_layers", "size_multiple", "padding", "scope"):
        assert getattr(student.model, name) == getattr(teacher, name)
    assert student.network is student.model.network
    assert student.device == teacher.device


def test_a_student_is_called_as_its_network():
    student, lr = bounded(tiny_teacher((1, 1)), "3"), images(1, 9)
    with torch.no_grad():
        output, features = student.with_features(lr)
        assert torch.equal(student(lr), student.model(lr))
        assert torch.equal(output, student.model(lr))
        assert all(map(torch.equal, features, student.model.with_features(lr)[1]))
    assert len(features) == 2
