"""Differences to FP and to the best other method, with their intervals."""

from __future__ import annotations

import math

from made_records import record, render, rows

from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.scores import DatasetScores


def images(*psnr: float) -> dict[str, DatasetScores]:
    return {"Set5": DatasetScores.of({str(i): {"psnr": p, "ssim": 0.9} for i, p in enumerate(psnr)})}


def differences(*records: Record) -> dict[str, list[str]]:
    """By method: the row that it is set against, and the cells of the test sets."""
    return {row[0]: row[3:] for row in rows(render(list(records)), "## Differences")}


def test_a_difference_and_its_interval() -> None:
    by = differences(record("good", scores=images(31, 33, 35)), record("bad", scores=images(30, 32, 34.5)))
    assert by == {"bad": ["good", "**-0.83** [-1.00, -0.50]"], "good": ["bad", "**+0.83** [+0.50, +1.00]"]}


def test_a_difference_that_other_images_may_turn_round_is_not_bold() -> None:
    by = differences(record("a", scores=images(31, 33, 35)), record("b", scores=images(30, 34, 35)))
    assert by["a"] == ["b", "+0.00 [-1.00, +1.00]"]


def test_an_interval_that_is_printed_with_a_zero_is_not_bold() -> None:
    by = differences(record("a", scores=images(31.004, 33.02)), record("b", scores=images(31, 33)))
    assert by == {"a": ["b", "+0.01 [+0.00, +0.02]"], "b": ["a", "-0.01 [-0.02, +0.00]"]}


def test_images_are_paired_by_their_names() -> None:
    turned = {"Set5": DatasetScores.of({str(i): {"psnr": 30.0 + i, "ssim": 0.9} for i in (2, 1, 0)})}
    assert differences(record("a", scores=images(30.5, 31.5, 32.5)), record("b", scores=turned))["a"] == [
        "b",
        "**+0.50** [+0.50, +0.50]",
    ]


def test_relatives_are_not_set_against_each_other() -> None:
    by = differences(
        record("minmax", scores=images(30, 31)),
        record("dobi", scores=images(31, 32)),
        record("minmax+dqc", scores=images(32, 33)),
        record("2dquant", parts=("dobi", "dqc"), scores=images(33, 34)),
    )
    assert {method: other for method, (other, _) in by.items()} == {
        "minmax": "2dquant",
        "dobi": "minmax+dqc",
        "minmax+dqc": "dobi",
        "2dquant": "minmax",
    }


def test_other_bits_and_scopes_are_not_set_against_each_other() -> None:
    by = differences(
        record("minmax", scores=images(30, 31)),
        record("dobi", scores=images(31, 32), bits="2"),
        record("percentile", scores=images(31, 32), scope={"short": "all"}),
        record("noisy", scores=images(29, 30)),
    )
    assert by == {
        "minmax": ["noisy", "**+1.00** [+1.00, +1.00]"],
        "noisy": ["minmax", "**-1.00** [-1.00, -1.00]"],
        "dobi": ["–", "–"],
        "percentile": ["–", "–"],
    }


def test_without_anything_to_compare_there_is_no_second_table() -> None:
    assert "Differences" not in render([record("minmax"), record("dobi", bits="2"), record("minmax+dqc")])


def test_the_first_test_set_decides_what_a_row_is_set_against() -> None:
    def two(first: float, second: float) -> dict[str, DatasetScores]:
        return {name: next(iter(images(psnr, psnr).values())) for name, psnr in (("A", first), ("B", second))}

    hashes = {"test": {"A": "c" * 64, "B": "c" * 64}}
    by = differences(
        *(record(m, scores=two(*s), **hashes) for m, s in (("x", (30, 30)), ("y", (31, 29)), ("z", (29, 35))))
    )
    assert by["x"] == ["y", "**-1.00** [-1.00, -1.00]", "**+1.00** [+1.00, +1.00]"]


def test_seeds_are_averaged_before_images_are_drawn() -> None:
    by = differences(
        *(record("a", seed=seed, scores=images(*psnr)) for seed, psnr in enumerate(((30, 33), (32, 31)))),
        record("b", scores=images(30, 31)),
    )
    assert by["a [seeds 0, 1]"] == ["b", "**+1.00** [+1.00, +1.00]"]
    assert by["b"] == ["a [seeds 0, 1]", "**-1.00** [-1.00, -1.00]"]


def test_one_image_has_a_difference_and_no_interval() -> None:
    assert differences(record("a", scores=images(31)), record("b", scores=images(30)))["a"] == ["b", "+1.00"]


def test_infinite_and_missing_scores_have_no_difference() -> None:
    by = differences(record("a", scores=images(math.inf, 30)), record("b", scores=images(math.inf, 31)))
    assert by == {"a": ["b", "–"], "b": ["a", "–"]}
    only = {"Set5": DatasetScores.of({"baby": {"ssim": 0.9}})}
    assert "Differences" not in render([record(m, scores=only) for m in "ab"])
