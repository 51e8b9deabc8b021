"""`srq verify` says whether the scores of a record come back from the state beside it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import torch
from tiny import FILE, write_images

from sr_ptq_bench.records.files import read_record, state_path
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


@pytest.mark.parametrize("words", [("verify",), ("upscale", "photo.png", "--record")])
def test_the_file_of_a_suite_that_is_not_built_in_is_asked_for(measured, srq, tmp_path, monkeypatch, words):
    path = measured()
    write_images(tmp_path, photo=(20, 24))
    monkeypatch.chdir(tmp_path)
    outcome = srq(*words, path, "--plugin", FILE)
    assert (outcome.status, outcome.out) == (2, "")
    said = "suite 'tiny' of the record is not built in; give its file: --suite FILE.toml"
    assert outcome.err.splitlines()[-1].endswith(said)


def test_several_records_in_one_call(measured, verify):
    paths = [measured(bits=bits) for bits in (2, 4)]
    outcome = verify(*paths)
    assert outcome.status == 0
    assert [line for line in outcome.out.splitlines() if not line.startswith(" ")] == [str(path) for path in paths]


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


@pytest.mark.parametrize(
    ("by", "said"),
    [(0.001, "differs by -0.001, less than what is printed"), (0.015, "differs by -0.015, as on another processor")],
)
def test_a_difference_that_another_order_of_sums_may_make_is_told_and_holds(measured, verify, by, said):
    path = measured()
    edited(path, lambda content: shift(content, by))
    outcome = verify(path)
    assert outcome.status == 0
    assert f"{said}\n" in outcome.out


def test_a_state_with_one_other_bit_is_refused(measured, verify):
    path = measured()
    state = state_path(path, read_record(path))
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    outcome = verify(path)
    assert outcome.status == 2
    assert f"state {state} is not that of the record {path.name}; measure again" in outcome.err


def test_a_missing_state_is_named(measured, verify):
    path = measured()
    state = state_path(path, read_record(path))
    state.unlink()
    outcome = verify(path)
    assert outcome.status == 2
    assert f"record {path} lacks its state {state.name}; measure again" in outcome.err


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
    assert f"record {renamed} is misnamed; expected {path.name}" in outcome.err


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


def test_a_record_of_one_s_own_photos_says_which_argument_is_missing(measured, verify, tmp_path):
    write_images(tmp_path / "mine", a=(20, 24))
    path = measured("--test", f"mine={tmp_path / 'mine'}")
    outcome = verify(path)
    assert outcome.status == 2
    assert outcome.err == f"srq: {path}: the record has the test set 'mine'; give --test mine=HR_DIR, as to the run\n"


def test_a_folder_stands_for_its_records(measured, verify, tmp_path):
    paths = sorted(measured(bits=bits) for bits in (2, 4))
    for folder in (paths[0].parent, tmp_path / "out/results"):
        outcome = verify(folder)
        assert outcome.status == 0, outcome.err
        assert [line for line in outcome.out.splitlines() if not line.startswith(" ")] == list(map(str, paths))
    assert (
        verify(tmp_path / "out").err == f"srq: {tmp_path / 'out'}: no records in this folder or its direct subfolders\n"
    )


def test_a_state_of_more_levels_than_the_record_says_is_refused(measured, verify):
    """The record of 2 bits with the scores, the hash and the state of 4 bits."""
    two, four = measured(bits=2), measured(bits=4)
    forged, other = json.loads(two.read_text()), json.loads(four.read_text())
    forged |= {key: other[key] for key in ("scores", "state_sha256")}
    two.write_text(json.dumps(forged))
    state_path(two, read_record(two)).write_bytes(state_path(four, read_record(four)).read_bytes())
    outcome = verify(two)
    assert outcome.status == 2
    assert "has 4 bits in the state and 2 in the record" in outcome.err


def test_every_bad_record_is_named_and_the_good_ones_are_still_verified(measured, verify):
    good, altered, lost, damaged = (measured("-o", f"p={p}", method="percentile") for p in (0.1, 0.01, 0.02, 0.03))
    edited(altered, lambda content: shift(content, 0.1))
    missing = state_path(lost, read_record(lost)).name
    state_path(lost, read_record(lost)).unlink()
    damaged.write_text("{")
    outcome = verify(good.parent)
    assert outcome.status == 2
    assert f"{good}\n  noise PSNR" in outcome.out
    lines = sorted(line for line in outcome.err.splitlines() if line.startswith("srq: "))
    expected = [
        f"srq: {altered}: the state does not give the recorded scores",
        f"srq: record {damaged}: ",
        f"srq: record {lost} lacks its state {missing}; measure again",
    ]
    assert all(line.startswith(start) for line, start in zip(lines, sorted(expected), strict=True)), lines


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


def test_only_what_changed_since_a_commit_is_verified(measured, verify, srq, tiny_suite, tmp_path, monkeypatch):
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(variable, "somebody@example.org")
    old = measured()
    results = tmp_path / "out/results"
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "old"]):
        subprocess.run(["git", "-C", results, *command], check=True)
    with monkeypatch.context() as nothing_is_opened:
        nothing_is_opened.delattr("sr_ptq_bench.runs.session.Session.open")
        outcome = verify(results, "--since", "HEAD")
        programs = verify(results, "--since", "HEAD", "--json")
    assert (outcome.status, outcome.out) == (0, "no record is new or changed since HEAD\n")
    assert (programs.status, programs.out) == (0, "[]\n")
    new = measured("-o", "p=0.1", method="percentile")
    outcome = verify(results, "--since", "HEAD")
    assert outcome.status == 0, outcome.err
    assert str(new) in outcome.out
    assert str(old) not in outcome.out
    state_path(old, read_record(old)).write_bytes(b"altered")
    outcome = verify(results, "--since", "HEAD")
    assert outcome.status == 2
    assert f"is not that of the record {old.name}" in outcome.err
    assert str(new) in outcome.out


def one_image_up_another_down(record):
    first, second, *_ = record["scores"]["noise"]["images"].values()
    first["psnr"], second["psnr"] = first["psnr"] + 1, second["psnr"] - 1


def set_to(*keys, value):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


def worse_fp(record):
    reference = record["references"]["fp"]["noise"]
    reference["mean"]["psnr"] -= 2
    for image in reference["images"].values():
        image["psnr"] -= 2


def slightly_better_fp(record):
    reference = record["references"]["fp"]["noise"]
    reference["mean"]["psnr"] += 0.04
    for image in reference["images"].values():
        image["psnr"] += 0.04


def no_metrics(record):
    for reference in record["references"].values():
        reference["noise"] = {"images": {name: {} for name in reference["noise"]["images"]}, "mean": {}}


def one_metric_more(record):
    reference = record["references"]["bicubic"]["noise"]
    for scores in (reference["mean"], *reference["images"].values()):
        scores["lpips"] = 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_image_up_another_down, "a score differs: noise, image '"),
        (worse_fp, "a score differs: fp on noise: PSNR "),
        (slightly_better_fp, "a score differs: fp on noise: PSNR "),
        (no_metrics, "the scores are of other test sets or metrics"),
        (one_metric_more, "the scores are of other test sets or metrics"),
        (
            set_to("complexity", "macs", value={"1": 1000}),
            "the record has another complexity than its state and images",
        ),
        (set_to("scope", "sites", value=1), "the record has another scope.sites than its state and images"),
        (set_to("site_bits", value={"nowhere": 8}), "the record has another site_bits than its state and images"),
        (
            set_to("calibrated_on", value={"noise": ["a"]}),
            "the record has another calibrated_on than its state and images",
        ),
        (
            set_to("calibration_images", value="0" * 64),
            "the record has another calibration_images than its state and images",
        ),
        (set_to("learned", "weights", value="trained"), "the state changes bounds alone; the record says otherwise"),
        (
            set_to("most_levels", value={"site": "fc1.weight", "bits": 4, "levels": 99}),
            "the record says that levels are not bounded; every site has 2^bits at most",
        ),
    ],
)
def test_what_else_a_record_says_is_checked_too(measured, verify, change, said):
    path = measured()
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    outcome = verify(path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(f"srq: {path}: {said}")


def test_pipes_are_no_records(measured, verify):
    path = measured()
    os.mkfifo(path.with_name("pipe.json"))
    assert verify(path.parent).status == 0
    state = state_path(path, read_record(path))
    state.unlink()
    os.mkfifo(state)
    assert "is a pipe; expected a file" in verify(path).err
