"""A run's student comes back from the bounds beside its record, and from nothing else."""

from __future__ import annotations

import pytest
import torch
from tiny import plugin, plugins, silent

from sr_ptq_bench import SrqError
from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.quantization.state import bounds_sha256
from sr_ptq_bench.records.files import bounds_path
from sr_ptq_bench.runs.prepare import prepare
from sr_ptq_bench.runs.restore import load_or_calibrate, student_of
from sr_ptq_bench.runs.run import measure

TRAINED = {"dqc.iterations": "2", "dqc.batch": "2", "dqc.patch": "8"}


def must_not_calibrate():
    raise AssertionError("calibrated anew")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "home")


def ready(suite, *more, method="minmax", **spec):
    return prepare(suite.spec(method, **spec), plugins(*more))


def test_the_student_of_a_record_scores_as_the_record_says(tiny_suite, cache, tmp_path):
    run = ready(tiny_suite, method="2dquant", **TRAINED)
    measured = measure(run, cache, silent)
    student = student_of(run, measured.write(tmp_path / "out"), silent)
    assert bounds_sha256(student) == measured.record.bounds_sha256
    pair = run.tests["noise"][0]
    from sr_ptq_bench.evaluation.score import network_upscaler

    scores = run.plugins.evaluate(network_upscaler(student)(pair.lr), pair.hr, 2)
    assert scores == measured.record.scores["noise"].images[pair.name]


def test_rewritten_weights_are_rewritten_again(tiny_suite, cache, tmp_path):
    def transform_model(student):
        for weight in student.weights.values():
            weight.data.mul_(1 + torch.rand(()))

    run = ready(tiny_suite, plugin("noisy", transform_model=transform_model), method="minmax+noisy")
    student = student_of(run, measure(run, cache, silent).write(tmp_path / "out"), silent)
    assert not torch.equal(student.weights["fc1.weight"], run.model.network.fc1.weight)
    again = student_of(run, tmp_path / "out" / run.record_name, silent)
    assert torch.equal(student.weights["fc1.weight"], again.weights["fc1.weight"])


def test_bounds_of_another_run_are_refused(tiny_suite, cache, tmp_path):
    one, other = ready(tiny_suite), ready(tiny_suite, method="percentile")
    path, source = (measure(run, cache, silent).write(tmp_path / "out") for run in (one, other))
    bounds_path(path).write_bytes(bounds_path(source).read_bytes())
    with pytest.raises(SrqError, match="are not those of the record beside them; measure again"):
        student_of(one, path, silent)


def test_a_run_without_kept_bounds_is_calibrated(tiny_suite, cache, tmp_path):
    run = ready(tiny_suite, method="2dquant", **TRAINED)
    student = load_or_calibrate(run, tmp_path / "none", cache, silent)
    assert bounds_sha256(student) == measure(run, cache, silent).record.bounds_sha256


@pytest.mark.parametrize("place", ["results", "cache"])
def test_kept_bounds_are_taken(tiny_suite, cache, tmp_path, place):
    run = ready(tiny_suite, plugin("once", calibrate=lambda: {"checkpoint": "last"}), method="minmax+once")
    measured = measure(run, cache, silent)
    measured.write(tmp_path / "out" if place == "results" else cache.records)
    same = ready(tiny_suite, plugin("once", calibrate=must_not_calibrate), method="minmax+once")
    (tmp_path / "out").mkdir(exist_ok=True)
    for path in [*(tmp_path / "out").iterdir(), *(cache.records.iterdir() if cache.records.exists() else ())]:
        path.rename(path.with_name(same.record_name).with_suffix(path.suffix))
    student = load_or_calibrate(same, tmp_path / "out", cache, silent)
    assert bounds_sha256(student) == measured.record.bounds_sha256


def test_a_record_without_bounds_beside_it_does_not_help(tiny_suite, cache, tmp_path):
    run = ready(tiny_suite)
    measured = measure(run, cache, silent)
    bounds_path(measured.write(tmp_path / "out")).unlink()
    student = load_or_calibrate(run, tmp_path / "out", cache, silent)
    assert bounds_sha256(student) == measured.record.bounds_sha256
