"""The states that `srq upscale` has built in."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from oracle import images
from training import convolutional_teacher, teacher_and_student, with_student

TOOL = Path(__file__).parents[2] / "tools/built_in_states.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("built_in_states", TOOL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("make", [teacher_and_student, lambda: with_student(convolutional_teacher(), "3")])
def test_a_student_with_quantized_weights_is_the_same_to_the_last_bit(tool, make):
    _, student = make()
    lr = images(2, 8)
    with torch.no_grad():
        before = student(lr)
        assert any(len(weight.unique()) > 8 for weight in student.weights.values())
        after = tool.with_quantized_weights(student)(lr)
    assert torch.equal(before, after)
    assert all(len(weight.unique()) <= 8 for weight in student.weights.values())
