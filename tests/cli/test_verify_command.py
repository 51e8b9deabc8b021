"""`srq verify` says whether the scores of a record come back from its bounds."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import FILE, write_images

from sr_ptq_bench.records.files import bounds_path, read_record

TRAINED = ("-o", "dqc.iterations=2", "-o", "dqc.batch=2", "-o", "dqc.patch=8")


@pytest.fixture
def measured(srq, tiny_suite, tmp_path):
    """Measure on the tiny suite; the record's path."""

    def call(*more, method="minmax", bits=4):
        fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--out", tmp_path / "out")
        before = set((tmp_path / "out").rglob("*.json"))
        outcome = srq("run", *fixed, "--method", method, "--bits", bits, *more)
        assert outcome.status == 0, outcome.err
        (path,) = set((tmp_path / "out").rglob("*.json")) - before
        return path

    return call


@pytest.fixture
def verify(srq, tiny_suite):
    return lambda *paths: srq("verify", *paths, "--suite", tiny_suite.path, "--plugin", FILE)


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


def test_several_records_in_one_call(measured, verify):
    paths = [measured(bits=bits) for bits in (2, 4)]
    outcome = verify(*paths)
    assert outcome.status == 0
    assert [line for line in outcome.out.splitlines() if not line.startswith(" ")] == [str(path) for path in paths]


def test_the_scores_of_other_scopes_options_and_seeds_come_back(measured, verify):
    path = measured("--seed", 3, "-o", "p=0.1", method="percentile")
    assert verify(path).status == 0


def edited(path, change):
    """The record after a change by hand that leaves it valid."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def shift(content, by):
    of = content["scores"]["noise"]
    for image in of["images"].values():
        image["psnr"] += by
    of["mean"]["psnr"] += by


def test_a_score_that_does_not_come_back_is_status_1(measured, verify):
    path = measured()
    edited(path, lambda content: shift(content, 0.25))
    outcome = verify(path)
    assert outcome.status == 1
    assert "differs by -0.25\n" in outcome.out
    assert "noise SSIM" in outcome.out


def test_a_difference_behind_the_printed_digits_is_told_and_holds(measured, verify):
    path = measured()
    edited(path, lambda content: shift(content, 0.001))
    outcome = verify(path)
    assert outcome.status == 0
    assert "differs by -0.001, less than what is printed" in outcome.out


def test_other_bounds_are_refused(measured, verify):
    path = measured()
    stored = load_file(bounds_path(path))
    first = next(iter(stored))
    save_file(stored | {first: stored[first] + torch.tensor([0.0, 1.0])}, bounds_path(path))
    outcome = verify(path)
    assert outcome.status == 2
    assert "are not those of the record beside them" in outcome.err


def test_missing_bounds_are_named(measured, verify):
    path = measured()
    bounds_path(path).unlink()
    outcome = verify(path)
    assert outcome.status == 2
    assert f"has no bounds beside it, {bounds_path(path).name}" in outcome.err


def test_other_test_images_are_refused(measured, verify, tiny_suite):
    path = measured()
    write_images(tiny_suite.folder / "test", first=(26, 28))
    outcome = verify(path)
    assert outcome.status == 2
    assert "not the same run: hashes.test.noise is" in outcome.err


def test_a_record_under_another_name_is_refused(measured, verify):
    path = measured()
    renamed = path.rename(path.with_name("mine.json"))
    outcome = verify(renamed)
    assert outcome.status == 2
    assert "belongs into" in outcome.err


def test_another_suite_is_refused(measured, srq):
    path = measured()
    outcome = srq("verify", path, "--suite", "sample", "--plugin", FILE)
    assert outcome.status == 2
    assert "the record is of suite 'tiny', not of 'sample'" in outcome.err


def test_one_s_own_photos_are_verified_with_the_same_argument(measured, srq, tiny_suite, tmp_path):
    write_images(tmp_path / "mine", a=(20, 24))
    path = measured("--test", f"mine={tmp_path / 'mine'}")
    outcome = srq("verify", path, "--suite", tiny_suite.path, "--plugin", FILE, "--test", f"mine={tmp_path / 'mine'}")
    assert outcome.status == 0, outcome.err
