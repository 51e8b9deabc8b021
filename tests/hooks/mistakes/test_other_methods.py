"""What one method does to another."""

from __future__ import annotations

import pytest
import torch
from mistaken import minmax
from tiny import Heard, measured, plugin, plugins, prepare, run
from torch import nn

from sr_ptq_bench import Quantizer


def replace_activation(student):
    student.network.relu = nn.Tanh()


def change_by_hook(student):
    student.network.register_forward_pre_hook(lambda _, args: (1 - args[0],))


@pytest.mark.parametrize("change", [replace_activation, change_by_hook])
def test_a_network_that_a_method_rebuilds_is_no_measure_for_others(tiny_suite, change):
    """Distributions are shared between methods; those of another network must not be."""
    home = tiny_suite.folder / "home"
    plain = plugin("plain", init_bounds=minmax)
    alone = measured(prepare(tiny_suite.spec("plain"), plugins(plain)), tiny_suite.folder / "other").record
    rebuilt = plugin("mine", init_bounds=minmax, transform_model=change)
    measured(prepare(tiny_suite.spec("mine"), plugins(rebuilt)), home)
    after = measured(prepare(tiny_suite.spec("plain"), plugins(plain)), home).record
    assert after.state_sha256 == alone.state_sha256


def test_a_calibrator_in_half_precision_leaves_the_teacher_s_outputs_as_they_are(tiny_suite):
    """Others read what the teacher makes of the patches."""
    seen = []

    def look(teacher, batches):
        lr = next(batches.fixed(2))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            seen.append(teacher(lr))
        with torch.no_grad():
            seen.append(teacher.model(lr))

    run(tiny_suite, plugin("mine", init_bounds=minmax, calibrate=look), method="mine")
    assert torch.equal(*seen)


def test_what_a_quantizer_prints_is_no_result(tiny_suite, capsys):
    class Talks(Quantizer):
        def quantize(self, v):
            print("quantized")
            return super().quantize(v)

    def talks(site, bits):
        return Talks(site, bits)

    run(tiny_suite, plugin("mine", init_bounds=minmax, make_quantizer=talks), method="mine")
    assert "quantized" not in capsys.readouterr().out


class Forgets(Quantizer):
    factor = 1.0

    def fit(self, distribution):
        self.factor = 0.5

    def quantize(self, v):
        return super().quantize(v) * self.factor


@pytest.mark.parametrize(("kind", "lines"), [(Forgets, 1), (Quantizer, 0)])
def test_a_student_that_no_state_restores_is_told(tiny_suite, kind, lines):
    heard = Heard()
    mine = plugin("mine", init_bounds=minmax, make_quantizer=lambda site, bits: kind(site, bits))  # noqa: PLW0108
    measured(prepare(tiny_suite.spec("mine"), plugins(mine)), tiny_suite.folder / "home", heard)
    assert sum("the student that is scored is not the calibrated one" in line for line in heard.lines) == lines
