"""`srq_calibrate`."""

from __future__ import annotations

from spied import calls
from tiny import plugin, run

from sr_ptq_bench import Batches, Bounds, SRModel, Student
from sr_ptq_bench.cache.teacher import CachedTeacher


def test_srq_calibrate_is_called_once_with_student_teacher_batches_and_progress(log):
    ((student, teacher, batches, _, progress),) = calls(log, "calibrate")
    assert isinstance(student, Student)
    assert isinstance(teacher, CachedTeacher)
    assert isinstance(teacher.model, SRModel)
    assert isinstance(batches, Batches)
    assert progress(1, 2) is None
    assert progress(2, 2, "note") is None


def test_srq_calibrate_s_figures_are_in_the_record(tiny_suite):
    figures = {"checkpoint": "last", "loss": 0.5, "steps": 3, "losses": [0.75, 0.5]}
    record = run(tiny_suite, plugin("mine", calibrate=lambda: figures), method="minmax+mine")
    assert record.figures == {**figures, "losses": (0.75, 0.5)}


def test_srq_calibrate_without_figures_leaves_none(tiny_suite):
    assert run(tiny_suite, plugin("mine", calibrate=lambda: None), method="minmax+mine").figures == {}


def test_srq_calibrate_decides_the_scores(tiny_suite):
    def calibrate(student):
        for quantizer in student.quantizers.values():
            quantizer.set_bounds(Bounds(0.0, 0.0))

    flat = run(tiny_suite, plugin("flatten", calibrate=calibrate), method="minmax+flatten")
    assert flat.scores != run(tiny_suite).scores
