"""Bounds come back from their file bit for bit, and nothing else is taken for them."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from training import convolutional_teacher, teacher_and_student

from sr_ptq_bench import Bits, Bounds, SrqError
from sr_ptq_bench.quantization.state import bounds_sha256, packed, restore
from sr_ptq_bench.quantization.student import quantize


@pytest.fixture
def student():
    return teacher_and_student()[1]


@pytest.fixture
def path(student, tmp_path):
    (tmp_path / "bounds.safetensors").write_bytes(packed(student))
    return tmp_path / "bounds.safetensors"


def test_bounds_come_back_bit_for_bit(student, path):
    other = teacher_and_student()[1]
    for quantizer in other.quantizers.values():
        quantizer.set_bounds(Bounds(-1.0, 1.0))
    assert bounds_sha256(other) != bounds_sha256(student)
    restore(other, path)
    assert bounds_sha256(other) == bounds_sha256(student)


def test_bounds_per_channel_come_back(tmp_path):
    one, other = (quantize(convolutional_teacher(), Bits.parse("4")) for _ in range(2))
    lower = -torch.arange(1, 6, dtype=torch.float32) / 3
    one.quantizers["first.weight"].set_bounds(Bounds(lower, -lower))
    (tmp_path / "b.safetensors").write_bytes(packed(one))
    restore(other, tmp_path / "b.safetensors")
    assert torch.equal(other.quantizers["first.weight"].lower, lower)
    assert bounds_sha256(other) == bounds_sha256(one)


def test_there_is_one_pair_per_site(student, path):
    stored = load_file(path)
    assert sorted(stored) == sorted(student.quantizers)
    assert {tuple(pair.shape) for pair in stored.values()} == {(2,)}


def changed(path, change):
    stored = load_file(path)
    change(stored)
    save_file(stored, path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda stored, site: stored.pop(site), "are of other sites than this student's"),
        (lambda stored, site: stored.update(another=torch.zeros(2)), "are of other sites than this student's"),
        (lambda stored, site: stored.update({site: torch.zeros(3)}), r"has the shape \(3,\), expected"),
        (lambda stored, site: stored.update({site: torch.zeros(())}), r"has the shape \(\), expected"),
        (lambda stored, site: stored.update({site: torch.zeros(2, 1, 1)}), "expected"),
        (lambda stored, site: stored.update({site: torch.tensor([0.0, float("nan")])}), "not finite"),
        (lambda stored, site: stored.update({site: torch.tensor([1.0, 0.0])}), "above its upper bound"),
    ],
)
def test_what_is_not_this_students_bounds_is_refused(student, path, change, complaint):
    site = next(iter(student.quantizers))
    changed(path, lambda stored: change(stored, site))
    with pytest.raises(SrqError, match=complaint):
        restore(student, path)


def test_a_truncated_file_is_refused(student, path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SrqError, match="damaged"):
        restore(student, path)
