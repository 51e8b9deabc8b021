"""A killed run is continued where that gives the same result, and only there."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load
from tiny import Heard, TinySuite, comparable, plugin, plugins, prepare, session
from torch import nn
from training import Killed

from sr_ptq_bench import Bounds, Quantizer
from sr_ptq_bench.cache.resume import ResumeState
from sr_ptq_bench.runs import identity
from sr_ptq_bench.runs.run import measure
from sr_ptq_bench.storage.files import read_sealed

TRAINED = {"dqc.iterations": "4", "dqc.batch": "2", "dqc.patch": "8"}


# A run


class DeadlyMetric:
    """Metrics that end the run at the `last` image."""

    def __init__(self, last: int = -1) -> None:
        self.scored, self.last = 0, last

    def plugin(self):
        def evaluate():
            self.scored += 1
            if self.scored == self.last:
                raise Killed
            return {"mine": 1.0}

        return plugin("deadly", evaluate=evaluate)


def once(suite: TinySuite, home, *more, method="minmax+dqc", reporter=None, **options):
    """Measure without remembering it."""
    options = TRAINED if method.endswith("dqc") else options
    prepared = prepare(suite.spec(method, **options), plugins(*more))
    return measure(prepared, session(home=home, reporter=reporter, interval_s=0))


def test_a_run_that_ends_while_scoring_goes_on_with_the_next_image(tiny_suite, tmp_path):
    """Two images by FP, bicubic, bilinear and the student; the eighth score is the student's second image."""
    expected = once(tiny_suite, tmp_path / "a", DeadlyMetric().plugin())
    with pytest.raises(Killed):
        once(tiny_suite, tmp_path / "b", DeadlyMetric(8).plugin())
    rest, heard = DeadlyMetric(), Heard()
    found = once(tiny_suite, tmp_path / "b", rest.plugin(), reporter=heard)
    assert rest.scored == 1
    assert comparable(found.record) == comparable(expected.record)
    assert found.state == expected.state
    assert heard.lines == []


@pytest.mark.parametrize("change", ["tiles", "metric"])
def test_scores_of_other_tiles_or_metrics_are_not_continued(tiny_suite, tmp_path, change):
    """The killed run has scored one image of two; another way to score begins anew."""

    def metric(value):
        made = plugin("deadly", evaluate=lambda: {"mine": value})
        return replace(made, code=hashlib.sha256(str(value).encode()).hexdigest())

    with pytest.raises(Killed):
        once(tiny_suite, tmp_path / "b", DeadlyMetric(8).plugin())
    if change == "tiles":
        tiny_suite.change(tiles={"size": 8, "overlap": 0})
        rest = DeadlyMetric()
        once(tiny_suite, tmp_path / "b", rest.plugin())
        assert rest.scored >= 2, "both images of the student"
    else:
        found = once(tiny_suite, tmp_path / "b", metric(2.0))
        assert [image["mine"] for image in found.record.scores["noise"].images.values()] == [2.0, 2.0]


def test_references_that_end_half_way_go_on_with_the_next_image(tiny_suite, tmp_path):
    with pytest.raises(Killed):
        once(tiny_suite, tmp_path / "b", DeadlyMetric(2).plugin())
    rest = DeadlyMetric()
    once(tiny_suite, tmp_path / "b", rest.plugin())
    assert rest.scored == 7
    assert not list((tmp_path / "b").rglob("*.part"))


def test_a_finished_calibration_is_not_made_again(tiny_suite, tmp_path, monkeypatch):
    expected = once(tiny_suite, tmp_path / "a")
    first = once(tiny_suite, tmp_path / "b")
    made = prepare(tiny_suite.spec("minmax+dqc", **TRAINED), plugins())
    monkeypatch.setattr(type(made.method), "calibrate", None)
    second = measure(made, session(home=tmp_path / "b"))
    assert second.state == first.state
    assert comparable(second.record) == comparable(first.record) == comparable(expected.record)


def test_a_finished_run_leaves_its_state_and_no_checkpoint(tiny_suite, tmp_path):
    result = once(tiny_suite, tmp_path / "a")
    (folder,) = (tmp_path / "a" / "cache" / "states").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["calibrated.json", "calibrated.safetensors"]
    assert read_sealed(folder / "calibrated.safetensors", print) == result.state


def test_other_test_sets_are_scored_without_another_calibration(tiny_suite, tmp_path, monkeypatch):
    first = once(tiny_suite, tmp_path / "a")
    tiny_suite.change(test={"more": {"hr": "calibration"}})
    prepared = prepare(tiny_suite.spec("minmax+dqc", **TRAINED), plugins())
    monkeypatch.setattr(type(prepared.method), "calibrate", None)
    second = measure(prepared, session(home=tmp_path / "a"))
    assert second.state == first.state
    assert list(second.record.scores) == ["more"]
    assert second.record.calibrated_on == {"more": ("a", "b")}


@pytest.mark.parametrize("change", ["code", "part", "threads"])
def test_what_other_code_has_left_is_not_continued(tiny_suite, tmp_path, monkeypatch, change):
    once(tiny_suite, tmp_path / "a")
    prepared = prepare(tiny_suite.spec("minmax+dqc", **TRAINED), plugins())
    if change == "code":
        monkeypatch.setattr(identity, "host_sha256", lambda: "0" * 64)
    elif change == "part":
        dqc = prepared.plugins.plugins["dqc"]
        prepared.plugins.plugins["dqc"] = replace(dqc, code="0" * 64)
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    calls = []
    calibrate = type(prepared.method).calibrate
    monkeypatch.setattr(type(prepared.method), "calibrate", lambda *a: calls.append(1) or calibrate(*a))
    measure(prepared, session(home=tmp_path / "a"))
    assert calls == [1]


class Scaled(Quantizer):
    """A quantizer with a parameter of its own beside the bounds."""

    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)

    def quantize(self, v):
        return super().quantize(v) * self.gain


def everything(calls, asks: bool):
    """A method that rewrites weights, and whose calibrator changes weights, gains and the shape of bounds."""

    def make_quantizer(site, bits):
        return Scaled(site, bits)

    def transform_model(student):
        for weight in student.weights.values():
            weight.data.mul_(1.25)

    def change(student):
        calls.append(1)
        student.quantizers["query"].gain.data.fill_(0.75)
        student.weights["fc1.weight"].data.add_(torch.rand(student.weights["fc1.weight"].shape))
        rows = student.weights["fc2.weight"]
        student.quantizers["fc2.weight"].set_bounds(Bounds(rows.amin(1), rows.amax(1)))
        return {"checkpoint": "last", "some": [0.1, 2.0], "count": 3}

    def asking(student, checkpoint):
        checkpoint.load()
        return change(student)

    hooks = {"make_quantizer": make_quantizer, "transform_model": transform_model}
    return plugin("everything", calibrate=asking if asks else change, **hooks)


@pytest.mark.parametrize("asks", [True, False])
def test_all_tensors_that_a_calibrator_changes_come_back(tiny_suite, tmp_path, asks):
    """Whether it knows of checkpoints or not: what it leaves is kept when it is done."""
    method, calls = "everything+minmax", []
    expected = once(tiny_suite, tmp_path / "a", DeadlyMetric().plugin(), everything([], asks), method=method)
    with pytest.raises(Killed):
        once(tiny_suite, tmp_path / "b", DeadlyMetric(7).plugin(), everything(calls, asks), method=method)
    found = once(tiny_suite, tmp_path / "b", DeadlyMetric().plugin(), everything(calls, asks), method=method)
    assert len(calls) == 1
    assert comparable(found.record) == comparable(expected.record)
    assert found.state == expected.state
    assert found.record.figures == {"checkpoint": "last", "some": (0.1, 2.0), "count": 3}


def test_a_truncated_calibration_is_set_aside_and_made_again(tiny_suite, tmp_path):
    expected = once(tiny_suite, tmp_path / "a")
    (path,) = (tmp_path / "a").rglob("calibrated.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    heard = Heard()
    found = once(tiny_suite, tmp_path / "a", reporter=heard)
    assert comparable(found.record) == comparable(expected.record)
    assert heard.lines == [f"{path} is damaged; it is now calibrated.safetensors.bad"]


def test_a_checkpoint_file_holds_the_state_of_the_training(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(ResumeState, "finish", lambda self: None)
    once(tiny_suite, tmp_path / "a")
    (path,) = (tmp_path / "a").rglob("checkpoint.safetensors")
    kept = load(read_sealed(path, print))
    of_student = {name for name in kept if name.startswith("student ")}
    assert of_student
    assert all(name.endswith((".lower", ".upper")) for name in of_student)  # no step changes weights
    moments = {f"optimizer|{key}|{name}" for key in ("step", "exp_avg", "exp_avg_sq") for name in of_student}
    generators = {"generators torch", "generators python and numpy"}
    generators |= {name for name in kept if name.startswith("generators cuda ")}
    others = {"losses", "settings", "|seconds", "|count steps", "|count patches 2 of 8"}
    assert set(kept) >= others | generators | moments
    assert all(name.startswith("optimizer|") for name in set(kept) - others - generators - of_student)
    assert 1 <= len(kept["losses"]) <= 4
