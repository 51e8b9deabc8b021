"""The scores of a record come back from its state."""

from __future__ import annotations

import os

import pytest
import torch
from forged import edited, shift
from tiny import FILE, write_images

from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.runs import environment
from sr_ptq_bench.runs import verify as again

SCALES = """
from sr_ptq_bench import hookimpl

@hookimpl
def srq_calibrate(student):
    for parameter in student.network.parameters():
        parameter.data.mul_(0.9)
    return {}
"""
TRAINED = ("-o", "dqc.iterations=2", "-o", "dqc.batch=2", "-o", "dqc.patch=8")


@pytest.mark.parametrize("method", ["minmax", "percentile", "dbdc", "2dquant", "dbdc+pac"])
def test_the_scores_come_back(measured, verify, method):
    trained = {"2dquant": TRAINED, "dbdc+pac": ("-o", "pac.iterations=1", "-o", "pac.patch=8")}
    path = measured(*trained.get(method, ()), method=method)
    outcome = verify(path)
    assert outcome.status == 0, outcome.err
    record = read_record(path)
    mean = record.scores["noise"].mean
    assert outcome.out.splitlines() == [
        str(path),
        f"  noise PSNR: recorded {mean['psnr']:.6g}, again {mean['psnr']:.6g}: equal",
        f"  noise SSIM: recorded {mean['ssim']:.6g}, again {mean['ssim']:.6g}: equal",
    ]


@pytest.mark.parametrize("words", [("verify",), ("upscale", "photo.png", "--record")])
def test_the_file_of_a_suite_that_is_not_built_in_is_asked_for(measured, srq, tmp_path, monkeypatch, words):
    path = measured()
    write_images(tmp_path, photo=(20, 24))
    monkeypatch.chdir(tmp_path)
    outcome = srq(*words, path, "--plugin", FILE)
    assert (outcome.status, outcome.out) == (2, "")
    said = "suite 'tiny' of the record is not built in; give its file: --suite FILE.toml"
    assert outcome.err.splitlines()[-1].endswith(said)


def test_the_scores_of_other_scopes_options_and_seeds_come_back(measured, verify):
    path = measured("--seed", 3, "-o", "p=0.1", method="percentile")
    assert verify(path).status == 0


def test_the_scores_of_a_calibrator_that_changes_the_whole_network_come_back_without_it(measured, verify, tmp_path):
    """The state is the student: neither the method nor its plugin is asked again."""
    (tmp_path / "scales.py").write_text(SCALES)
    path = measured("--plugin", tmp_path / "scales.py", method="percentile+scales")
    plain = measured(method="percentile")
    outcome = verify(path)
    assert outcome.status == 0, outcome.err
    assert outcome.out.count(": equal\n") == 2
    assert read_record(path).scores != read_record(plain).scores


def test_the_scores_of_tiles_come_back(measured, verify):
    whole, tiled = measured(), measured("--tile", 8, "--tile-overlap", 4)
    assert read_record(whole).scores != read_record(tiled).scores
    outcome = verify(tiled)
    assert outcome.status == 0, outcome.err
    assert outcome.out.count(": equal\n") == 2


@pytest.mark.parametrize(("recorded", "used"), [(1, 1), (10**6, os.cpu_count())])
def test_scores_are_made_with_the_record_s_number_of_threads(measured, verify, monkeypatch, recorded, used):
    """It decides the order of sums; a record of a larger machine gets all processors of this one."""
    path, threads, before = measured(), [], torch.get_num_threads()
    edited(path, lambda content: content["environment"].update(threads=recorded))
    original = again.score_student

    def noting(*arguments):
        threads.append(torch.get_num_threads())
        return original(*arguments)

    monkeypatch.setattr(again, "score_student", noting)
    torch.set_num_threads(2)
    try:
        outcome = verify(path)
        assert (outcome.status, threads, torch.get_num_threads()) == (0, [used], 2), outcome.err
    finally:
        torch.set_num_threads(before)


def test_a_score_that_does_not_come_back_is_status_1(measured, verify):
    path = measured()
    edited(path, lambda content: shift(content, 0.25))
    outcome = verify(path)
    assert outcome.status == 1
    assert "differs by -0.25\n" in outcome.out
    assert "noise SSIM" in outcome.out


def from_another_processor(content):
    content["environment"]["cpu"] = "Abacus 8"


def of_another_torch(content):
    content["environment"]["versions"]["torch"] = "1.0"


@pytest.mark.parametrize(
    ("machine", "share", "status", "said"),
    [
        (None, 0.0, 0, "less than what is printed"),
        (None, 0.08, 1, ""),
        (from_another_processor, 0.08, 0, "as on another processor"),
        (of_another_torch, 0.08, 0, "as on another processor"),
        (from_another_processor, 0.12, 1, ""),
    ],
)
def test_a_difference_that_another_order_of_sums_may_make_is_told_and_holds(
    measured, verify, machine, share, status, said
):
    path = measured(bits=2)
    record = read_record(path)
    by = 0.001 + share * (record.references.fp["noise"].mean["psnr"] - record.scores["noise"].mean["psnr"])
    edited(path, lambda content: shift(content, by))
    edited(path, machine or (lambda _: None))
    outcome = verify(path)
    assert outcome.status == status
    assert f"differs by {-by:+.2g}{said and f', {said}'}\n" in outcome.out


def test_a_name_of_many_processors_is_not_that_of_one(measured, verify, monkeypatch):
    monkeypatch.setattr(environment, "_cpu_name", lambda: "Abacus")
    path = measured(bits=2)
    record = read_record(path)
    lost = record.references.fp["noise"].mean["psnr"] - record.scores["noise"].mean["psnr"]
    edited(path, lambda content: shift(content, 0.08 * lost))
    assert ", as on another processor\n" in verify(path).out


def test_one_s_own_photos_are_verified_with_the_same_argument(measured, srq, tiny_suite, tmp_path):
    write_images(tmp_path / "mine", a=(20, 24))
    path = measured("--test", f"mine={tmp_path / 'mine'}")
    outcome = srq("verify", path, "--suite", tiny_suite.path, "--plugin", FILE, "--test", f"mine={tmp_path / 'mine'}")
    assert outcome.status == 0, outcome.err


def test_a_record_of_another_environment_is_verified(measured, verify):
    """Versions, machine, threads, times and code of the other place do not count; scores and state do."""
    path = measured("-o", "p=0.1", method="percentile")

    def elsewhere(content):
        environment = content["environment"]
        environment["versions"] = dict.fromkeys(environment["versions"], "99.0")
        environment |= {"platform": "another system", "cpu": "another processor", "threads": 64}
        content["timings"] = dict.fromkeys(content["timings"], 0.5)
        content["code"] = dict.fromkeys(content["code"], "0" * 64)
        content["peak_memory_bytes"] = 1

    edited(path, elsewhere)
    outcome = verify(path)
    assert outcome.status == 0, outcome.err
