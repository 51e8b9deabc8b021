"""A student comes back from its state bit for bit, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from oracle import bounded, images, mixed, normed, tiny_teacher
from refusals import error_of
from safetensors.torch import load, save
from torch import Tensor, nn
from training import convolutional_teacher, teacher_and_student

from sr_ptq_bench import Bits, Bounds, Quantizer, SrqError
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Maker
from sr_ptq_bench.quantization.state.header import read_header
from sr_ptq_bench.quantization.state.network_tensors import changed_tensors, network_sha256, same_bits
from sr_ptq_bench.quantization.state.save_load import load_state, save_state, state_sha256
from sr_ptq_bench.quantization.student import Student

W4A4 = Bits(weight=4, activation=4)


TEACHERS = {"swinir": lambda: tiny_teacher((1, 1), 8), "mixed": mixed, "normed": normed, "conv": convolutional_teacher}


def tensors_of(student: Student) -> dict[str, Tensor]:
    return student.network.state_dict()


def assert_same(one: Student, other: Student) -> None:
    """Equal to the last bit in all that a state holds, and in what they make of an image."""
    assert list(one.quantizers) == list(other.quantizers)
    for name, quantizer in one.quantizers.items():
        twin = other.quantizers[name]
        assert (type(quantizer), quantizer.bits, quantizer.site) == (type(twin), twin.bits, twin.site)
        assert (quantizer.enabled, quantizer.inplace) == (twin.enabled, twin.inplace)
    before, after = tensors_of(one), tensors_of(other)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert (tensor.shape, tensor.dtype) == (after[name].shape, after[name].dtype), name
        assert same_bits(tensor, after[name]), name
    with torch.no_grad():
        assert torch.equal(one(images(1, 16)), other(images(1, 16)))


def parts_of(state: bytes) -> tuple[dict, dict[str, Tensor]]:
    """The header and the tensors of a state."""
    length = int.from_bytes(state[:8], "little")
    return json.loads(json.loads(state[8 : 8 + length])["__metadata__"]["srq"]), load(state)


def joined(header: object, tensors: dict[str, Tensor]) -> bytes:
    return save(tensors, {"srq": json.dumps(header)})


# Round trips


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


# Quantizers of a method's own


class Scaled(Quantizer):
    """With a parameter per channel and a buffer of integers beside the bounds."""

    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))
        self.inner = nn.Linear(1, 1, bias=False)

    def quantize(self, v):
        return super().quantize(v) * self.gain


class Plain(Quantizer):
    """With nothing of its own."""


def scaled_on_operands(site, bits):
    made = Scaled(site, bits) if site.role == "activation" else None
    if made is not None:
        made.maker = Maker("mine", "a-test 1.0")
    return made


@pytest.fixture
def own():
    """A teacher, and its student with quantizers that only a plugin knows."""
    teacher = mixed()
    student = quantize(teacher, W4A4, scaled_on_operands)
    for number, quantizer in enumerate(student.quantizers.values()):
        quantizer.set_bounds(Bounds(-1.0 - number, 1.0))
        if isinstance(quantizer, Scaled):
            quantizer.gain.data = torch.tensor(1 + number / 3)
            quantizer.steps += number
            quantizer.inner.weight.data.fill_(number / 7)
    return teacher, student


def test_quantizers_of_own_kinds_come_back_with_all_their_tensors(own):
    teacher, student = own
    found = load_state(save_state(student, teacher), teacher, scaled_on_operands)
    assert isinstance(found.quantizers["mark"], Scaled)
    assert type(found.quantizers["fc.weight"]) is Quantizer
    assert_same(found, student)


def test_a_method_is_asked_for_quantizers_of_its_own_kinds_only(own):
    teacher, student = own
    asked = []

    def make(site, bits):
        asked.append(site.name)
        return scaled_on_operands(site, bits)

    load_state(save_state(student, teacher), teacher, make)
    assert asked == ["conv.input", "fc.input", "mark"]


def test_tensors_of_an_own_kind_may_have_other_shapes_than_when_it_was_made(own):
    teacher, student = own
    student.quantizers["conv.input"].set_bounds(Bounds(-torch.ones(4), torch.ones(4)))
    student.quantizers["conv.input"].gain.data = torch.arange(4.0).view(1, 4, 1, 1)
    assert_same(load_state(save_state(student, teacher), teacher, scaled_on_operands), student)


def test_bits_of_an_own_kind_come_back(own):
    teacher, student = own
    student.quantizers["mark"].bits = 7
    found = load_state(save_state(student, teacher), teacher, lambda site, _bits: scaled_on_operands(site, 3))
    assert found.quantizers["mark"].bits == 7


@pytest.mark.parametrize("make", [None, lambda site, bits: None, Plain, Quantizer])
def test_a_kind_of_a_plugin_that_is_missing_is_named_with_plugin_and_version(own, make):
    teacher, student = own
    assert error_of(load_state, save_state(student, teacher), teacher, make) == (
        "site conv.input has a quantizer of kind 'Scaled' of plugin 'mine' a-test 1.0, which is not at work here"
    )


def test_a_kind_without_a_maker_is_of_an_unknown_plugin(own):
    teacher, student = own
    student.quantizers["conv.input"].maker = None
    message = error_of(load_state, save_state(student, teacher), teacher)
    assert "of kind 'Scaled' of plugin 'unknown' unknown" in message


def test_a_quantizer_keeps_tensors_only(own):
    class Odd(Plain):
        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            pass

    teacher, _ = own
    assert error_of(save_state, quantize(teacher, W4A4, Odd), teacher) == (
        "the quantizer of site conv.weight keeps _extra_state, a dict; expected tensors only"
    )


# The same student, the same bytes


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


# Students that no state can hold


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


# States that are refused


@pytest.fixture
def whole():
    """A teacher, and the state of its student with a changed bias."""
    teacher = mixed()
    student = bounded(teacher, "4", images(1, 16))
    student.network.plain.bias.data += 1
    return teacher, save_state(student, teacher)


def test_a_teacher_of_other_weights_is_refused(whole):
    teacher, state = whole
    teacher.network.plain.bias[0] += 1
    assert error_of(load_state, state, teacher) == (
        "the state is of another full-precision network; expected the weights that the run was made with"
    )


def test_another_network_is_refused(whole):
    assert error_of(load_state, whole[1], normed()).startswith("the state is of another full-precision network")


def test_another_scope_is_refused(whole):
    teacher, state = whole
    narrow = replace(teacher, scope="linear")
    assert error_of(load_state, state, narrow) == (
        "the state has the site conv.input, which the network lacks; it may be of another scope"
    )
    of_narrow = save_state(bounded(narrow, "4", images(1, 16)), narrow)
    message = error_of(load_state, of_narrow, teacher)
    assert message == "the state has no site conv.weight; it is of another network or scope"


def edited(state: bytes, change) -> bytes:
    header, tensors = parts_of(state)
    change(header, tensors)
    return joined(header, tensors)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda _, tensors: tensors.pop("quantizer|mark|lower"),
            "site mark: the state lacks the tensor lower; expected lower, upper",
        ),
        (
            lambda _, tensors: tensors.update({"quantizer|mark|more": torch.zeros(2)}),
            "site mark: the state has the tensor more; expected lower, upper",
        ),
        (
            lambda _, tensors: tensors.update({"quantizer|other|lower": torch.zeros(())}),
            "the state has the tensor quantizer|other|lower, which belongs to no site",
        ),
        (
            lambda _, tensors: tensors.update({"mark": torch.zeros(2)}),
            "the state has the tensor mark, which belongs to no site",
        ),
        (
            lambda _, tensors: tensors.update({"network|plain.more": torch.zeros(2)}),
            "the state changes the tensor plain.more, which the network lacks",
        ),
        (
            lambda _, tensors: tensors.update({"network|plain.bias": torch.zeros(4)}),
            "the tensor plain.bias is (4,) torch.float32; expected (3,) torch.float32",
        ),
        (
            lambda _, tensors: tensors.update({"network|plain.bias": torch.zeros(3, dtype=torch.float64)}),
            "the tensor plain.bias is (3,) torch.float64; expected (3,) torch.float32",
        ),
        (
            lambda _, tensors: tensors.update({"quantizer|mark|lower": torch.tensor(0)}),
            "site mark: the tensor lower is torch.int64; expected torch.float32",
        ),
        (
            lambda _, tensors: tensors.update({"quantizer|mark|lower": torch.zeros(2)}),
            "site mark: bounds of shapes (2,) and (); expected () or (C,), both the same",
        ),
        (
            lambda _, tensors: tensors.update({"quantizer|mark|lower": torch.tensor(float("nan"))}),
            "site mark: bounds are not finite",
        ),
        (
            lambda _, tensors: tensors.update({"quantizer|mark|lower": torch.tensor(1e9)}),
            "site mark: a lower bound is above its upper bound",
        ),
        (
            lambda header, _: header["sites"].pop("mark"),
            "the state has no site mark; it is of another network or scope",
        ),
        (
            lambda header, _: header["sites"].update(more={"kind": "uniform", "bits": 4}),
            "the state has the site more, which the network lacks; it may be of another scope",
        ),
        (
            lambda header, _: header["sites"]["mark"].update(kind="log3"),
            "site mark has a quantizer of kind 'log3', which this srq does not know",
        ),
        (
            lambda header, _: header.update(version=2),
            "not a state that this srq reads: version: Input should be 1, got 2",
        ),
        (
            lambda header, _: header.update(format="other"),
            "not a state that this srq reads: format: Input should be 'srq student', got 'other'",
        ),
        (
            lambda header, _: header["sites"]["mark"].update(bits=0),
            "not a state that this srq reads: sites.mark.bits: Input should be greater than or equal to 1, got 0",
        ),
        (
            lambda header, _: header["sites"]["mark"].update(bits=33),
            "not a state that this srq reads: sites.mark.bits: Input should be less than or equal to 32, got 33",
        ),
        (
            lambda header, _: header.pop("teacher_sha256"),
            "not a state that this srq reads: teacher_sha256: Field required",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(whole, change, expected):
    teacher, state = whole
    assert edited(state, lambda *_: None) == state
    assert error_of(load_state, edited(state, change), teacher) == expected


def test_a_header_of_a_later_version_says_so_whatever_else_it_holds(whole):
    teacher, state = whole

    def later(header, _):
        header.update(version=2, packing="dense")
        header["sites"] = []

    message = error_of(load_state, edited(state, later), teacher)
    assert message == "not a state that this srq reads: version: Input should be 1, got 2"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00" * 8,
        b"\xff" * 8,
        b"PK\x03\x04" * 9,
        save({"a": torch.zeros(2)}),
        save({"a": torch.zeros(2)}, {"format": "pt"}),
        (2**40).to_bytes(8, "little") + b"{}",
    ],
)
def test_foreign_bytes_are_refused(whole, data):
    assert error_of(load_state, data, whole[0]) == (
        "not the state of a student: damaged, or a file of bounds of srq 0.1; measure again"
    )


def test_every_truncation_is_refused(whole):
    teacher, state = whole
    for length in range(0, len(state), max(1, len(state) // 200)):
        error_of(load_state, state[:length], teacher)
    assert error_of(load_state, state[:-1], teacher).startswith("the state is damaged: ")
    assert error_of(load_state, state + b"\x00", teacher).startswith("the state is damaged: ")


def test_every_flipped_byte_of_the_header_gives_a_student_or_one_line(whole):
    teacher, state = whole
    length = 8 + int.from_bytes(state[:8], "little")
    for at in range(0, length, 5):
        data = bytearray(state)
        data[at] ^= 0x11
        try:
            load_state(bytes(data), teacher)
        except SrqError as error:
            assert "\n" not in str(error)


def test_a_refused_state_leaves_the_teacher_as_it_was(whole):
    teacher, state = whole
    before = network_sha256(teacher)
    for at in (0, len(state) // 2, len(state) - 1):
        with pytest.raises(SrqError):
            load_state(state[:at], teacher)
    assert network_sha256(teacher) == before


# The identity of a network


def test_the_hash_of_a_network_sees_names_shapes_types_and_bits():
    def changed(change):
        teacher = normed()
        change(teacher.network)
        return network_sha256(teacher)

    hashes = {
        changed(change)
        for change in (
            lambda network: None,
            lambda network: network.group.bias.neg_(),
            lambda network: network.seen.add_(1),
            lambda network: setattr(network.group.bias, "data", network.group.bias.view(2, 2)),
            lambda network: network.group.bfloat16(),
            lambda network: network.register_buffer("more", torch.zeros(0)),
        )
    }
    assert len(hashes) == 6
    assert network_sha256(normed()) == network_sha256(normed())


def test_equal_bits():
    zero, nan = torch.zeros(2), torch.tensor([float("nan")])
    assert same_bits(zero, zero.clone())
    assert not same_bits(zero, -zero)
    assert same_bits(nan, nan.clone())
    assert same_bits(torch.zeros(()), torch.zeros(()))
    assert same_bits(torch.zeros(0), torch.zeros(0))
    assert same_bits(torch.arange(6).view(2, 3).T, torch.arange(6).view(2, 3).T.contiguous())
