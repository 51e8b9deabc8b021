"""A student comes back from its state bit for bit, and the same student has the same bytes."""

from __future__ import annotations

import pytest
import torch
from oracle import bounded, images, mixed, normed
from refusals import error_of
from states import TEACHERS, W4A4, assert_same, parts_of, scaled_on_operands, tensors_of
from torch import Tensor, nn
from training import convolutional_teacher, teacher_and_student

from sr_ptq_bench import Bounds
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.state.header import read_header
from sr_ptq_bench.quantization.state.network_tensors import changed_tensors, network_sha256, same_bits
from sr_ptq_bench.quantization.state.save_load import load_state, save_state, state_sha256


@pytest.mark.parametrize("name", TEACHERS)
def test_bounds_come_back(name):
    teacher = TEACHERS[name]()
    student = bounded(teacher, "3", images(1, 16))
    assert_same(load_state(save_state(student, teacher), teacher), student)


def test_a_state_of_bounds_alone_holds_nothing_of_the_network():
    teacher, student = teacher_and_student()
    _, tensors = parts_of(save_state(student, teacher))
    assert set(tensors) == {f"quantizer|{site}|{end}" for site in student.quantizers for end in ("lower", "upper")}
    assert changed_tensors(student, teacher) == {}


def test_bounds_per_channel_come_back():
    teacher = convolutional_teacher()
    student = bounded(teacher, "4", images(1, 16))
    rows = student.weights["first.weight"].flatten(1)
    student.quantizers["first.weight"].set_bounds(Bounds(rows.amin(1) / 3, rows.amax(1) / 3))
    student.quantizers["last.input"].set_bounds(Bounds(-torch.arange(1.0, 6.0), torch.arange(1.0, 6.0) / 7))
    found = load_state(save_state(student, teacher), teacher)
    assert found.quantizers["first.weight"].lower.shape == (5,)
    assert_same(found, student)


def test_bounds_of_any_bits_come_back():
    """The smallest number, -0, and both ends equal."""
    teacher = mixed()
    student = quantize(teacher, W4A4)
    for quantizer, low, high in zip(
        student.quantizers.values(), (-0.0, 1e-45, -3.0, 0.1, 0.0), (0.0, 1e-38, -3.0, 0.3, 3e38), strict=True
    ):
        quantizer.set_bounds(Bounds(low, high))
    found = load_state(save_state(student, teacher), teacher)
    for name, quantizer in student.quantizers.items():
        assert same_bits(quantizer.lower, found.quantizers[name].lower)
        assert same_bits(quantizer.upper, found.quantizers[name].upper)


def changes():
    """Changes of a student of `normed`, by name, and the tensors that are then in the state."""
    return {
        "weight": (lambda s: s.weights["first.weight"].data.mul_(1.01), {"first.weight"}),
        "bias": (lambda s: s.network.first.layer.bias.data.add_(0.5), {"first.bias"}),
        "norm": (lambda s: s.network.group.weight.data.add_(0.5), {"group.weight"}),
        "buffer": (lambda s: s.network.norm.running_var.mul_(2), {"norm.running_var", "again.running_var"}),
        "integer buffer": (lambda s: s.network.seen.add_(7), {"seen"}),
        "counter": (
            lambda s: s.network.norm.num_batches_tracked.add_(3),
            {"norm.num_batches_tracked", "again.num_batches_tracked"},
        ),
        "shared weight": (lambda s: s.weights["last.weight"].data.neg_(), {"last.weight", "other.weight"}),
        "new memory": (lambda s: replace_memory(s.network.first.layer.bias), {"first.bias"}),
        "not contiguous": (
            lambda s: set_data(s.weights["first.weight"], torch.rand(3, 3, 3, 4).permute(3, 2, 1, 0)),
            {"first.weight"},
        ),
        "one bit": (
            lambda s: set_data(s.network.group.bias, torch.nextafter(s.network.group.bias, torch.ones(4))),
            {"group.bias"},
        ),
        "sign of zero": (lambda s: s.network.group.bias.data.neg_(), {"group.bias"}),
    }


def set_data(parameter: nn.Parameter, value: Tensor) -> None:
    parameter.data = value


def replace_memory(parameter: nn.Parameter) -> None:
    parameter.data = parameter.data + 1


@pytest.mark.parametrize("what", changes())
def test_what_a_method_changed_comes_back(what):
    change, names = changes()[what]
    teacher = normed()
    student = bounded(teacher, "4", images(1, 16))
    change(student)
    state = save_state(student, teacher)
    assert {name.partition("|")[2] for name in parts_of(state)[1] if name.startswith("network|")} == names
    assert set(changed_tensors(student, teacher)) == names
    assert_same(load_state(state, teacher), student)


@pytest.mark.parametrize("name", TEACHERS)
def test_everything_at_once_comes_back(name):
    teacher = TEACHERS[name]()
    student = bounded(teacher, "4", images(1, 16))
    for number, tensor in enumerate(student.network.state_dict().values()):
        tensor.copy_(tensor + number / 64)
    for number, quantizer in enumerate(student.quantizers.values()):
        quantizer.bits = 2 + number % 7
    assert_same(load_state(save_state(student, teacher), teacher), student)


def test_running_statistics_of_a_norm_in_training_come_back():
    teacher = normed()
    student = bounded(teacher, "4", images(1, 16))
    student.network.train()
    with torch.no_grad():
        student(images(3, 16, seed=1))
    student.network.eval()
    found = load_state(save_state(student, teacher), teacher)
    assert int(found.network.norm.num_batches_tracked) == 2  # the norm is at work twice
    assert_same(found, student)


def test_a_shared_tensor_is_shared_again():
    teacher = normed()
    student = bounded(teacher, "4", images(1, 16))
    found = load_state(save_state(student, teacher), teacher)
    assert list(found.weights) == ["first.weight", "last.weight"]  # layers that share a weight share its site
    assert found.network.other.layer.weight is found.weights["last.weight"]
    assert found.network.other.weight_quantizer is found.network.last.weight_quantizer
    assert found.network.norm is found.network.again


def test_bits_per_site_come_back():
    teacher = mixed()
    own = {"fc.weight": 2, "mark": 8, "conv.input": 32, "conv.weight": 1}
    student = quantize(teacher, W4A4, None, own)
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(-1.0, 1.0))
    found = load_state(save_state(student, teacher), teacher)
    assert {name: quantizer.bits for name, quantizer in found.quantizers.items()} == {"fc.input": 4} | own
    assert_same(found, student)


def test_the_loaded_student_shares_no_memory_with_its_teacher():
    teacher, student = teacher_and_student()
    found = load_state(save_state(student, teacher), teacher)
    taken = {tensor.data_ptr() for tensor in teacher.network.state_dict().values()}
    assert not taken & {tensor.data_ptr() for tensor in tensors_of(found).values() if tensor.numel()}
    before = network_sha256(teacher)
    for tensor in tensors_of(found).values():
        tensor.zero_()
    assert network_sha256(teacher) == before


def test_the_same_student_gives_the_same_bytes():
    teacher, student = teacher_and_student()
    _, other = teacher_and_student()
    assert save_state(student, teacher) == save_state(other, teacher)
    assert save_state(student, teacher) == save_state(student, teacher)


def test_a_loaded_student_has_the_state_that_it_was_loaded_from(own):
    teacher, student = own
    student.network.plain.bias.data += 1
    state = save_state(student, teacher)
    assert save_state(load_state(state, teacher, scaled_on_operands), teacher) == state


def test_the_hash_sees_the_last_bit_and_the_bits():
    teacher, student = teacher_and_student()
    name = next(iter(student.quantizers))
    hashes = {state_sha256(save_state(student, teacher))}
    student.quantizers[name].upper.data = torch.nextafter(student.quantizers[name].upper.data, torch.tensor(9.0))
    hashes.add(state_sha256(save_state(student, teacher)))
    student.quantizers[name].bits += 1
    hashes.add(state_sha256(save_state(student, teacher)))
    assert len(hashes) == 3


def test_saving_changes_nothing():
    teacher, student = teacher_and_student()
    before = {name: tensor.clone() for name, tensor in tensors_of(student).items()}
    save_state(student, teacher)
    assert all(same_bits(tensor, before[name]) for name, tensor in tensors_of(student).items())
    assert tensors_of(student).keys() == before.keys()


def test_the_header_says_what_the_state_is_of(own):
    teacher, student = own
    header = read_header(save_state(student, teacher))
    assert header.teacher_sha256 == network_sha256(teacher)
    assert list(header.sites) == list(student.quantizers)
    assert header.sites["fc.weight"].model_dump(exclude_none=True) == {"kind": "uniform", "bits": 4}
    assert header.sites["mark"].model_dump() == {
        "kind": "Scaled", "bits": 4, "plugin": "mine", "version": "a-test 1.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda network: network.register_buffer("more", torch.zeros(2)),
            "the student has the tensor more; a method may change tensors, not add or remove them",
        ),
        (
            lambda network: network.group.register_parameter("scale", nn.Parameter(torch.zeros(2))),
            "the student has the tensor group.scale; a method may change tensors, not add or remove them",
        ),
        (
            lambda network: setattr(network.first.layer, "bias", None),
            "the student lacks the tensor first.bias; a method may change tensors, not add or remove them",
        ),
        (
            lambda network: setattr(network.group.bias, "data", torch.zeros(5)),
            "the tensor group.bias is (5,) torch.float32; expected (4,) torch.float32",
        ),
        (
            lambda network: setattr(network.group.bias, "data", torch.zeros(4, dtype=torch.float16)),
            "the tensor group.bias is (4,) torch.float16; expected (4,) torch.float32",
        ),
        (
            lambda network: setattr(network.first.layer.weight, "data", torch.zeros(4, 3, 1, 1)),
            "the tensor first.weight is (4, 3, 1, 1) torch.float32; expected (4, 3, 3, 3) torch.float32",
        ),
    ],
)
def test_tensors_that_were_added_removed_or_reshaped_are_named(change, expected):
    teacher = normed()
    student = quantize(teacher, W4A4)
    change(student.network)
    assert error_of(save_state, student, teacher) == expected
    assert error_of(changed_tensors, student, teacher) == expected
