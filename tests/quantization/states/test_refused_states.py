"""What is no state of this network is refused in one line, and leaves the teacher as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from oracle import bounded, images, mixed, normed
from refusals import error_of
from safetensors.torch import save
from states import joined, parts_of

from sr_ptq_bench import SrqError
from sr_ptq_bench.quantization.state.network_tensors import network_sha256
from sr_ptq_bench.quantization.state.save_load import load_state, save_state


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
            lambda _, tensors: tensors.update(
                {"quantizer|mark|lower": torch.zeros(2), "quantizer|mark|upper": torch.ones(2)}
            ),
            "site mark has no channels; its bounds must be two numbers",
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
            "not a state that this srq reads: teacher_sha256 is missing",
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
