"""The mode that sees products: errors, interrupts, threads, other modes, parts and copies of the student."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from around import W4A4, Around, Of, attend, mixed, mixing, model_of, q, with_bounds
from oracle import images
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Bounds
from sr_ptq_bench.quantization.state.save_load import load_state, save_state
from sr_ptq_bench.tracing.open_network import open_network


def test_no_mode_stays_after_an_error_in_the_network() -> None:
    def fail(_module: nn.Module, x: Tensor) -> Tensor:
        y = x @ mixing(x)
        if x.shape[0] == 3:
            raise ZeroDivisionError
        return y

    student = with_bounds(quantize(model_of(fail), W4A4))
    with pytest.raises(ZeroDivisionError):
        student(images(3, 8))
    assert torch.overrides._get_current_function_mode() is None
    student(images(1, 8))


@pytest.mark.parametrize("interrupted", ["product", "layer"])
def test_an_interrupt_leaves_no_mode_behind(interrupted: str) -> None:
    """Torch calls no hook after a KeyboardInterrupt; a matrix product of the user would be quantized then."""
    at = {"product": "inner.matmul0.a", "layer": "tail.input"}[interrupted]
    student = with_bounds(quantize(model_of(lambda _m, x: x @ mixing(x)), W4A4))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handle = student.quantizers[at].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt), torch.no_grad():
        student(images(1, 8))
    handle.remove()
    assert torch.overrides._get_current_function_mode() is None
    fresh = with_bounds(quantize(model_of(lambda _m, x: x @ mixing(x)), W4A4))
    with torch.no_grad():
        assert torch.equal(student(images(1, 8)), fresh(images(1, 8)))


def test_threads_may_use_one_student_at_once() -> None:
    student = with_bounds(quantize(model_of(lambda _m, x: torch.softmax(x @ mixing(x), -1) @ mixing(x)), W4A4))
    photos = [images(1, 8 + 2 * number) for number in range(6)]

    def upscaled(photo: Tensor) -> Tensor:
        with torch.no_grad():
            return student(photo)

    alone = [upscaled(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert all(map(torch.equal, pool.map(upscaled, photos), alone))


def test_another_mode_does_not_disturb() -> None:
    class Onlooker(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    class Inside(Of):
        def forward(self, x: Tensor) -> Tensor:
            with Onlooker():
                return self.function(self, x)

    plain, inside = (open_network(Around(kind(mixed)), "any", 2) for kind in (Of, Inside))
    one, other = (with_bounds(quantize(model, W4A4)) for model in (plain, inside))
    with torch.no_grad(), Onlooker():
        assert torch.equal(one(images(1, 8)), other(images(1, 8)))


def test_a_part_of_the_student_that_runs_alone_is_quantized() -> None:
    student = with_bounds(quantize(model_of(mixed), W4A4))
    x = torch.rand(1, 16, 4) - 0.5
    with torch.no_grad():
        expected = q(x) @ q(q(x.transpose(1, 2)) @ q(x) / 16)
        torch.testing.assert_close(student.network.inner(x), expected, atol=1e-6, rtol=0)
    assert torch.overrides._get_current_function_mode() is None


def test_a_copy_of_the_network_has_quantizers_of_its_own() -> None:
    student = with_bounds(quantize(model_of(mixed), W4A4))
    twin = copy.deepcopy(student.network)
    x = images(1, 8)
    with torch.no_grad():
        before = student.network(x)
        for name, module in twin.named_modules():
            if name.endswith((".a", ".b")):
                module.set_bounds(Bounds(-0.01, 0.01))
        assert not torch.equal(twin(x), before)
        assert torch.equal(student.network(x), before)


def test_gradients_reach_the_bounds_of_operands() -> None:
    student = with_bounds(quantize(model_of(attend), W4A4))
    for bound in student.bound_parameters():
        bound.requires_grad_()
    student(images(1, 8)).square().mean().backward()
    assert all(bound.grad is not None for bound in student.bound_parameters())
    assert student.quantizers["inner.matmul1.a"].upper.grad != 0


def test_the_state_of_a_student_holds_its_operands() -> None:
    model = model_of(lambda m, x: mixed(m, x) @ m.matrix)
    student = with_bounds(quantize(model, W4A4))
    student.quantizers["inner.matmul1.a"].set_bounds(Bounds(-1.5, 2.5))
    restored = load_state(save_state(student, model), model)
    assert list(restored.quantizers) == list(student.quantizers)
    with torch.no_grad():
        assert torch.equal(restored(images(1, 8)), student(images(1, 8)))
