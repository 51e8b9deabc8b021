"""What a killed run leaves is continued where that gives the same result, and only there."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load
from tiny import Heard, TinySuite, comparable, plugin, plugins, prepare, session
from torch import nn
from training import Killed

from sr_ptq_bench import Bounds, Quantizer, SrqError
from sr_ptq_bench.cache.resume import Calibrated, PeriodicCheckpoint, ResumeState, ScoreLog
from sr_ptq_bench.runs import identity
from sr_ptq_bench.runs.run import measure
from sr_ptq_bench.storage.files import read_sealed

TRAINED = {"dqc.iterations": "4", "dqc.batch": "2", "dqc.patch": "8"}


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said():
    return []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.tensor(value), "b": torch.arange(3)}


# The checkpoint of a calibrator


def test_a_checkpoint_is_written_once_in_a_while(path, said):
    clock, made = Clock(), []
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=2.0, clock=clock)
    assert checkpoint.load() is None
    for second in range(7):
        clock.now = float(second)
        checkpoint.save(lambda second=second: made.append(second) or tensors(second))
    assert made == [2, 4, 6]
    again = PeriodicCheckpoint(path, said.append, interval_s=2.0, clock=clock)
    assert float(again.load()["a"]) == 6
    assert said == []


def test_slow_writes_are_rare_ones(path, said):
    """A write of one second may come every 200 seconds."""
    clock, made = Clock(), []
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=2.0, clock=clock)
    checkpoint.load()

    def make():
        made.append(clock.now)
        clock.now += 1
        return tensors(0)

    for second in (10, 20, 200, 210, 212):
        clock.now = float(second)
        checkpoint.save(make)
    assert made == [10, 212]


def test_the_time_of_killed_calls_counts(path, said):
    clock = Clock()
    first = PeriodicCheckpoint(path, said.append, interval_s=0, clock=clock)
    first.load()
    clock.now = 7.0
    first.save(lambda: tensors(0))
    clock.now = 100.0
    second = PeriodicCheckpoint(path, said.append, interval_s=0, clock=clock)
    second.load()
    assert second.seconds_before == 7.0
    clock.now = 103.0
    second.save(lambda: tensors(1))
    third = PeriodicCheckpoint(path, said.append, interval_s=0, clock=clock)
    third.load()
    assert third.seconds_before == 10.0


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"x" + data[1:]])
def test_a_damaged_checkpoint_is_set_aside_and_named(path, said, damage):
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=0)
    checkpoint.save(lambda: tensors(1))
    path.write_bytes(damage(path.read_bytes()))
    assert PeriodicCheckpoint(path, said.append).load() is None
    assert said == [f"{path} is damaged; it is now checkpoint.safetensors.bad"]
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.safetensors.bad"]


def test_a_disk_without_space_is_told_once(path, said, monkeypatch):
    def full(path, data):
        raise SrqError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("sr_ptq_bench.cache.resume.write_sealed", full)
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=0)
    for _ in range(3):
        checkpoint.save(lambda: tensors(1))
    assert said == [f"cannot write {path}: No space left on device; going on without a checkpoint"]


def test_a_checkpoint_holds_tensors_only(path, said):
    with pytest.raises(
        SrqError, match=r"^the checkpoint of a calibrator must be tensors by name; found something else$"
    ):
        PeriodicCheckpoint(path, said.append, interval_s=0).save(lambda: {"a": 1.0})


def test_tensors_that_share_memory_and_views_are_kept(path, said):
    whole = torch.arange(6.0)
    shared = {"a": whole, "b": whole[::2], "c": whole.view(2, 3).T}
    PeriodicCheckpoint(path, said.append, interval_s=0).save(lambda: shared)
    found = PeriodicCheckpoint(path, said.append).load()
    assert all(torch.equal(found[name], tensor) for name, tensor in shared.items())


# The scores of images


def test_scores_are_kept_image_by_image(tmp_path):
    scores = {("Set5", "baby"): {"psnr": 1 / 3, "ssim": 0.1}, ("é", "\udc80"): {"psnr": float("inf")}}
    kept = ScoreLog(tmp_path / "new" / "scores.txt")
    for key, value in scores.items():
        kept.append(*key, value)
    assert ScoreLog(tmp_path / "new" / "scores.txt") == scores


def test_every_torn_line_counts_as_none(tmp_path):
    path = tmp_path / "scores.txt"
    kept = ScoreLog(path)
    kept.append("a", "1", {"psnr": 30.25})
    kept.append("a", "2", {"psnr": 31.5})
    assert kept == ScoreLog(path)
    whole = path.read_bytes()
    first = len(whole) // 2
    for length in range(first, len(whole) - 1):
        path.write_bytes(whole[:length])
        again = ScoreLog(path)
        assert again == {("a", "1"): {"psnr": 30.25}}
        again.append("a", "3", {"psnr": 1.0})
        assert ScoreLog(path) == {("a", "1"): {"psnr": 30.25}, ("a", "3"): {"psnr": 1.0}}


def test_scores_that_cannot_be_written_are_known_all_the_same(tmp_path):
    (tmp_path / "file").touch()
    log = ScoreLog(tmp_path / "file" / "scores.txt")
    log.append("a", "1", {"psnr": 1.0})
    assert log == {("a", "1"): {"psnr": 1.0}}


# A calibrated student


@pytest.fixture
def resume(tmp_path, said):
    return ResumeState(tmp_path / "unfinished", said.append)


CALIBRATED = Calibrated(b"the state of a student", {"checkpoint": "last", "losses": [0.1, 2.0]}, 1 / 3)


def test_a_calibrated_student_comes_back(resume):
    assert resume.calibrated() is None
    resume.keep(CALIBRATED)
    assert resume.calibrated() == CALIBRATED
    resume.keep(Calibrated(b"another", {}, 1.0))
    assert resume.calibrated() == Calibrated(b"another", {}, 1.0)


@pytest.mark.parametrize("name", ["calibrated.json", "calibrated.safetensors"])
def test_half_of_a_calibrated_student_is_none(resume, said, name):
    resume.keep(CALIBRATED)
    (resume.folder / name).unlink()
    assert resume.calibrated() is None
    assert said == []


def test_files_of_two_calibrations_are_none(resume, said):
    resume.keep(CALIBRATED)
    before = (resume.folder / "calibrated.json").read_bytes()
    resume.keep(Calibrated(b"another", {}, 1.0))
    (resume.folder / "calibrated.json").write_bytes(before)
    assert resume.calibrated() is None
    assert said == []


def test_a_student_that_cannot_be_kept_costs_time_only(tmp_path, said):
    (tmp_path / "unfinished").write_text("a file")
    resume = ResumeState(tmp_path / "unfinished", said.append)
    resume.keep(CALIBRATED)
    assert len(said) == 1
    assert said[0].startswith("cannot write ")
    assert said[0].endswith("; going on without a checkpoint")


def test_each_state_has_scores_of_its_own(resume):
    resume.scores(b"one", {"a": "0"}).append("a", "1", {"psnr": 1.0})
    assert resume.scores(b"one", {"a": "0"}) == {("a", "1"): {"psnr": 1.0}}
    assert resume.scores(b"other", {"a": "0"}) == {}


def test_other_test_images_have_scores_of_their_own(resume):
    resume.scores(b"one", {"a": "0"}).append("a", "1", {"psnr": 1.0})
    assert resume.scores(b"one", {"a": "1"}) == {}
    assert resume.scores(b"one", {"b": "0"}) == {}


def test_only_the_calibrated_student_stays_of_a_finished_run(resume):
    resume.keep(Calibrated(b"state", {"checkpoint": "last"}, 1.0))
    resume.scores(b"state", {"a": "0"}).append("a", "1", {"psnr": 1.0})
    (resume.folder / "checkpoint.safetensors").write_bytes(b"")
    resume.finish()
    assert sorted(path.name for path in resume.folder.iterdir()) == ["calibrated.json", "calibrated.safetensors"]
    assert resume.calibrated() == Calibrated(b"state", {"checkpoint": "last"}, 1.0)


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
