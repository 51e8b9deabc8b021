"""Records that may share a table, and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from made_records import methods, record, render, rows, scored

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.files import record_name
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.resolved import Patches
from sr_ptq_bench.records.scores import DatasetScores


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"suite": "paper"}, "suite"),
        ({"model": "edsr"}, "model"),
        ({"scale": 3}, "scale"),
        ({"weights": "e" * 64}, "weights"),
        ({"test": {"Set5": "e" * 64}}, "test images"),
        ({"scores": {"Set5": DatasetScores.of({"bird": {"psnr": 30.0, "ssim": 0.9}})}}, "test images"),
        ({"padding": "reflect"}, "padding"),
        ({"scores": {"Set5": DatasetScores.of({"baby": {"psnr": 30.0}})}}, "metric"),
        (
            {"references": {"bicubic": scored(33.5)}},
            "scores of bicubic (MATLAB), so in their metric or images",
        ),
        ({"references": {"fp": scored(38.15, 0.91)}}, "scores of FP, so in their metric or images"),
        ({"scope": {"sites": 1}}, "what 'linear+matmul' quantizes"),
    ],
)
def test_records_that_do_not_compare_are_refused_by_name(change: dict[str, Any], what: str) -> None:
    one, two = record(), record("dobi", **change)
    with pytest.raises(SrqError) as caught:
        render([one, two])
    names = {record_name(each.spec, each.hashes) for each in (one, two)}
    assert str(caught.value).endswith(f": they differ in {what}")
    assert all(name in str(caught.value) for name in names)


def test_another_number_of_patches_is_refused() -> None:
    other = record("dobi")
    spec = other.spec.model_copy(update={"calibration": Patches(patches=8, size=64)})
    with pytest.raises(SrqError, match=r"they differ in calibration patches$"):
        render([record(), other.model_copy(update={"spec": spec})])


def with_other_calibration(record: Record) -> Record:
    return record.model_copy(update={"hashes": record.hashes.model_copy(update={"calibration": "e" * 64})})


def test_other_calibration_images_are_refused() -> None:
    with pytest.raises(SrqError, match=r"they differ in calibration images$"):
        render([record(), record("dobi", seed=1), with_other_calibration(record("x"))])


def test_another_seed_may_have_drawn_other_patches() -> None:
    text = render([with_other_calibration(record(seed=1)), record()])
    assert "sha256 `bbbbbbbbbbbb`, `eeeeeeeeeeee`." in text
    assert rows(text)[3][0] == "minmax [seeds 0, 1]"


def test_seeds_on_other_calibration_images_are_refused() -> None:
    known, other = ({"calibration_images": digit * 64} for digit in "12")
    with pytest.raises(SrqError, match=r"they differ in calibration images$"):
        render([record(**known), with_other_calibration(record(seed=1, **other))])
    text = render([record(**known), with_other_calibration(record(seed=1, **known)), record(seed=2)])
    assert rows(text)[3][0] == "minmax [seeds 0, 1, 2]"


def test_two_machines_may_differ_in_the_last_digit_of_the_reference() -> None:
    assert len(methods(record(), record("dobi", references={"fp": scored(38.1501, 0.90001)}))) == 2


def test_a_run_given_twice_is_refused() -> None:
    once = record()
    with pytest.raises(SrqError, match=f"^record {record_name(once.spec, once.hashes)} is given twice$"):
        render([once, record("dobi"), once])


def test_no_records_make_no_table() -> None:
    with pytest.raises(SrqError, match="at least one record"):
        render([])


def with_plugins(of: Record, **plugins: str) -> Record:
    hashes = of.hashes.model_copy(update={"plugins": {name: digit * 64 for name, digit in plugins.items()}})
    return of.model_copy(update={"hashes": hashes})


def test_a_metric_or_loader_that_was_edited_in_between_is_refused() -> None:
    with pytest.raises(SrqError, match=r"they differ in the code of plugin 'mine'$"):
        render([with_plugins(record(), mine="1"), with_plugins(record("dobi"), mine="2")])


def test_methods_may_have_code_of_their_own_and_plugins_may_come_and_go() -> None:
    one, two = with_plugins(record("a"), a="1", mine="3"), with_plugins(record("b"), b="2")
    assert set(methods(one, two)) == {"a", "b"}


def test_several_versions_of_what_scores_are_noted() -> None:
    def made_with(of: Record, version: str) -> Record:
        versions = {"sr_ptq_bench": version, "basicsr": "1.4.2"}
        return of.model_copy(update={"environment": of.environment.model_copy(update={"versions": versions})})

    same = render([made_with(record(), "0.1.0"), made_with(record("dobi"), "0.1.0")])
    assert "several versions" not in same
    text = render([made_with(record(), "0.1.0"), made_with(record("dobi"), "0.2.0")])
    assert "Made with several versions of sr_ptq_bench: 0.1.0, 0.2.0." in text
    assert "basicsr" not in text
