"""Quantizers that no student can have."""

from __future__ import annotations

import pytest
import torch
from mistaken import refused

from sr_ptq_bench import Quantizer, Training


class InPlace(Quantizer):
    def quantize(self, v):
        v.mul_(0.5)
        return super().quantize(v)


class Hidden(Quantizer):
    def quantize(self, v):
        v.data.mul_(0.5)
        return super().quantize(v)


class Grows(Quantizer):
    def quantize(self, v):
        self.bits = 8
        return super().quantize(v)


class WithForward(Quantizer):
    def forward(self, v):
        return self.quantize(v)


class WithoutInit(Quantizer):
    def __init__(self, site, bits):
        self.site, self.bits = site, bits


class WithBuffer(Quantizer):
    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.register_buffer("step", torch.tensor(float("nan")))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (InPlace, "site fc1.weight: quantize changes its input"),
        (Hidden, "site fc1.input: quantize changes its input"),
        (Grows, "site fc1.weight: quantize changes bits from 4 to 8; set them when it is made"),
        (WithForward, "has a forward of its own, which cannot be switched off; override quantize"),
        (WithoutInit, "its __init__ must call super().__init__(site, bits)"),
        (WithBuffer, "the quantizer's step has values that are not finite"),
    ],
)
def test_quantizers(tiny_suite, kind, expected):
    said = refused(tiny_suite, make_quantizer=lambda site, bits: kind(site, bits))  # noqa: PLW0108
    assert "plugin 'mine', site " in said
    assert expected in said


class Wider(Quantizer):
    def fit(self, distribution):
        self.bits = 8


def widen_all(student):
    for quantizer in student.quantizers.values():
        quantizer.bits = 8


@pytest.mark.parametrize(
    "hooks",
    [
        {"make_quantizer": lambda site, bits: Quantizer(site, 8)},
        {"make_quantizer": lambda site, bits: Wider(site, bits)},  # noqa: PLW0108
        {"transform_model": widen_all},
        {"calibrate": widen_all},
    ],
)
def test_more_bits_than_the_run_has(tiny_suite, hooks):
    said = refused(tiny_suite, **hooks)
    assert said.startswith("method 'mine': its quantizers of weights have 8.000 bits on average; expected 4 at most")


def test_a_training_without_a_loss_for_a_step_fails_at_the_first(tiny_suite):
    for append in (lambda _: None, lambda losses: losses.append(0.5)):

        def calibrate(student, checkpoint, append=append):
            training = Training(student, checkpoint)
            adam = torch.optim.Adam(student.bound_parameters())
            for _ in training.steps(adam, torch.optim.lr_scheduler.ConstantLR(adam, 1.0), 3):
                append(training.losses)

        assert "each step of a training appends one loss, a tensor" in refused(tiny_suite, calibrate=calibrate)


@pytest.mark.parametrize("batch", [0, -1, 2.0])
def test_batches_of_no_patches(tiny_suite, batch):
    for draw in (lambda batches: next(batches.fixed(batch)), lambda batches: next(batches.random(batch, 8))):
        expected = f"a batch of {batch!r} patches; expected an int of 1 or more"
        assert expected in refused(tiny_suite, calibrate=lambda batches, draw=draw: draw(batches))


@pytest.mark.parametrize("levels", [None, [1.0], torch.tensor(1.0), torch.tensor([]), torch.tensor([1j])])
def test_levels_that_cannot_be_counted(tiny_suite, levels):
    class Odd(Quantizer):
        def levels_of(self, v_q):
            return levels

    said = refused(tiny_suite, make_quantizer=lambda site, bits: Odd(site, bits))  # noqa: PLW0108
    assert "levels_of returns " in said
    assert "expected real numbers in a tensor with an axis for channels" in said
