"""Records that are not what they say."""

from __future__ import annotations

import json
import os

import pytest
from forged import edited
from tiny import FILE, write_images

from sr_ptq_bench.records.files import read_record, state_path

SCALES = """
from sr_ptq_bench import hookimpl

@hookimpl
def srq_calibrate(student):
    for parameter in student.network.parameters():
        parameter.data.mul_(0.9)
    return {}
"""


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


def test_a_record_of_one_s_own_photos_says_which_argument_is_missing(measured, verify, tmp_path):
    write_images(tmp_path / "mine", a=(20, 24))
    path = measured("--test", f"mine={tmp_path / 'mine'}")
    outcome = verify(path)
    assert outcome.status == 2
    assert outcome.err == f"srq: {path}: the record has the test set 'mine'; give --test mine=HR_DIR, as to the run\n"


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


def renamed_image(record):
    for sets in (record["scores"], *record["references"].values()):
        images = sets["noise"]["images"]
        images["another"] = images.pop("first")


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
        (renamed_image, "the scores of noise are of other images, such as 'another'"),
        (set_to("not_scored", value=["Urban100"]), "the record has another not_scored than its state and images"),
        (
            set_to("scope", "description", value="every operation"),
            "the record has another scope.description than its state and images",
        ),
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


def test_the_records_after_a_forged_one_are_verified(measured, verify):
    bad, good = measured(), measured(method="percentile")
    edited(bad, renamed_image)
    outcome = verify(bad, good)
    assert outcome.status == 2
    assert str(good) in outcome.out
    assert outcome.out.count(": equal\n") == 2


@pytest.mark.parametrize(
    ("method", "said"),
    [("minmax", "the record says otherwise"), ("percentile+scales", "the record does not say so")],
)
def test_a_record_that_is_silent_on_what_was_changed_is_refused(measured, verify, tmp_path, method, said):
    """The state of a method that changes weights, with a record that has no word about them."""
    (tmp_path / "scales.py").write_text(SCALES)
    changed = measured("--plugin", tmp_path / "scales.py", method="percentile+scales")
    path = changed if method == "percentile+scales" else measured(method=method)
    state, content = state_path(changed, read_record(changed)).read_bytes(), json.loads(changed.read_text())

    def forge(record):
        record |= {key: content[key] for key in ("scores", "state_sha256")}
        del record["learned"]

    edited(path, forge)
    state_path(path, read_record(path)).write_bytes(state)
    outcome = verify(path)
    assert outcome.status == 2
    assert outcome.err.endswith(f"the state changes weights, biases or norms; {said}\n")


def test_pipes_are_no_records(measured, verify):
    path = measured()
    os.mkfifo(path.with_name("pipe.json"))
    assert verify(path.parent).status == 0
    state = state_path(path, read_record(path))
    state.unlink()
    os.mkfifo(state)
    assert "is a pipe; expected a file" in verify(path).err
