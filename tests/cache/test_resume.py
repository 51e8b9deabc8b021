"""What a killed run leaves is continued where that gives the same result, and only there."""

from __future__ import annotations

import pytest

from sr_ptq_bench.cache.resume import Calibrated, ResumeState, ScoreLog

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
