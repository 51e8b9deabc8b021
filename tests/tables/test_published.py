"""Measured beside published, and nobody can take one for the other."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from made_records import record, rows, scored

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.record import MostLevels, Record
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.tables.formats import markdown
from sr_ptq_bench.tables.published import page
from sr_ptq_bench.tables.published_scores import OFFICIAL_WEIGHTS, Published

SET5 = "## Set5"
OFFICIAL = next(iter(OFFICIAL_WEIGHTS))


def score(row: str, psnr: float, bits: int = 4, **others: Any) -> Published:
    of = {"source": "A paper", "backbone": "SwinIR-light", "scale": 2, "bits": bits, "method": row.upper()}
    of |= {"dataset": "Set5", "psnr": psnr, "ssim": 0.95, "model": "swinir-light", "scope": "linear+matmul", "row": row}
    return Published.model_validate(of | ({"scope": ""} if bits == 32 else {}) | others)


def text_of(records: list[Record], *published: Published) -> str:
    made = page(records, published)
    assert made is not None
    return markdown(made)


def body(records: list[Record], *published: Published) -> list[list[str]]:
    return rows(text_of(records, *published), SET5)


def test_one_record_makes_this_page() -> None:
    records = [record(psnr=34.394)]
    text = text_of(
        records,
        score("FP", 38.0, 32),
        score("minmax", 34.5),
        score("minmax", 30.0, dataset="B100"),
    )
    head, *_ = (line for line in text.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "Method",
        "W/A bits",
        "Scope",
        "Measured, weights aaaaaaaaaaaa",
        "Published, official weights",
        "Difference",
        "PSNR less FP, measured",
        "PSNR less FP, published",
        "Published as",
    ]
    assert rows(text, SET5) == [
        ["FP", "32/32", "–", "38.15 / 0.9000", "38.00 / 0.9500", "+0.15 / -0.0500", "+0.00", "+0.00", "FP, A paper"],
        ["bicubic (MATLAB)", "–", "–", "33.68 / 0.9000", "–", "–", "-4.47", "–", "–"],
        ["bilinear", "–", "–", "32.25 / 0.9000", "–", "–", "-5.90", "–", "–"],
        [
            "minmax", "4/4", "linear+matmul", "34.39 / 0.9000", "34.50 / 0.9500", "-0.11 / -0.0500", "-3.76", "-3.50",
            "MINMAX, A paper",
        ],
    ]  # fmt: skip
    assert text.startswith(
        "<!-- Made by `srq table --published --suite sample` from 1 record; do not edit. -->\n\n"
        "# swinir-light x2, suite sample: measured beside published\n\n"
        "**Not a reproduction.** Measured on the weights of sha256 `aaaaaaaaaaaa`"
    )
    assert text.splitlines()[-1] == "- Published, but not measured here: B100."


def test_official_weights_are_said_to_be_so() -> None:
    text = text_of([record(weights=OFFICIAL)], score("minmax", 34.5))
    assert "Not a reproduction" not in text
    assert f"Both on the official weights, {OFFICIAL_WEIGHTS[OFFICIAL]} (sha256 `{OFFICIAL[:12]}`)." in text
    assert "| Measured, official weights |" in re.sub(" +", " ", text)


@pytest.mark.parametrize(("weights", "official"), [("a" * 64, False), (OFFICIAL, True)])
def test_every_line_for_programs_says_whose_weights(weights: str, official: bool) -> None:
    made = page([record(weights=weights)], [score("minmax", 34.5)])
    assert made is not None
    assert {(line["weights_sha256"], line["official_weights"]) for line in made.lines} == {(weights, official)}


def test_what_is_published_and_not_measured_has_a_row_and_the_other_way_round() -> None:
    text = body([record("minmax"), record("mine")], score("dobi", 37.44), score("minmax", 34.39))
    assert [(row[0], row[3], row[4], row[8]) for row in text[3:]] == [
        ("dobi", "–", "37.44 / 0.9500", "DOBI, A paper"),
        ("minmax", "30.00 / 0.9000", "34.39 / 0.9500", "MINMAX, A paper"),
        ("mine", "30.00 / 0.9000", "–", "–"),
    ]


def test_rows_go_from_many_bits_to_few_in_the_source_s_order() -> None:
    published = [score(row, 30.0, bits) for bits in (2, 4) for row in ("minmax", "dobi")]
    records = [record("mine", bits=bits) for bits in ("w4a8", "3")]
    found = [(row[0], row[1]) for row in body(records, *published)[3:]]
    assert found == [
        ("mine", "4/8"), ("minmax", "4/4"), ("dobi", "4/4"), ("mine", "3/3"), ("minmax", "2/2"), ("dobi", "2/2"),
    ]  # fmt: skip


def test_other_bits_or_another_scope_are_no_counterpart() -> None:
    records = [record(bits="w4a8"), record(scope={"short": "all"})]
    assert [row[3:5] for row in body(records, score("minmax", 34.39))[3:]] == [
        ["30.00 / 0.9000", "–"],
        ["–", "34.39 / 0.9500"],
        ["30.00 / 0.9000", "–"],
    ]


def test_variants_of_a_method_have_the_same_counterpart() -> None:
    records = [record("dobi", 30.0 + K, options={"dobi": {"K": K}}) for K in (1, 2)]
    assert [(row[0], row[4]) for row in body(records, score("dobi", 37.44))[3:]] == [
        ("dobi (K=1)", "37.44 / 0.9500"),
        ("dobi (K=2)", "37.44 / 0.9500"),
    ]


def test_several_sources_of_a_row_stand_beside_each_other() -> None:
    found = body([record()], score("minmax", 34.39), score("minmax", 34.4, source="Another"))
    assert [(row[3], row[8]) for row in found[3:]] == [
        ("30.00 / 0.9000", "MINMAX, A paper"),
        ("30.00 / 0.9000", "MINMAX, Another"),
    ]


def test_each_source_is_compared_with_its_own_full_precision() -> None:
    fp = [score("FP", 33.0, 32), score("FP", 32.0, 32, source="Another")]
    found = body([record()], *fp, score("minmax", 25.0, source="Another"), score("minmax", 26.0))
    assert [row[7] for row in found if row[0] == "minmax"] == ["-7.00", "-7.00"]


@pytest.mark.parametrize(("source", "loss"), [("Another", "–"), ("A paper Table 4", "-7.00")])
def test_the_full_precision_of_another_paper_gives_no_loss(source: str, loss: str) -> None:
    fp = score("FP", 33.0, 32, source="A paper Table 3")
    found = body([record()], fp, score("minmax", 26.0, source=source))
    assert [row[6:8] for row in found if row[0] == "minmax"] == [["-8.15", loss]]


def test_a_row_whose_levels_are_not_bounded_has_no_rank() -> None:
    most = MostLevels(site="fc2.input", bits=4, levels=37)
    printed = score("minmax", 34.0), score("dobi", 36.0)
    assert "1 of 1 pairs of methods" in text_of([record("minmax", 30.0), record("dobi", 31.0)], *printed)
    loose = record("dobi", 31.0, most_levels=most)
    assert "pairs of methods" not in text_of([record("minmax", 30.0), loose], *printed)


def test_seeds_are_one_row() -> None:
    found = body([record(psnr=30.0), record(psnr=31.0, seed=1)], score("minmax", 30.25))
    assert [found[3][i] for i in (0, 3, 5)] == ["minmax [seeds 0, 1]", "30.50 / 0.9000", "+0.25 / -0.0500"]


def test_a_source_without_ssim_or_fp() -> None:
    found = body([record()], score("minmax", 34.5, ssim=None))
    assert found[3][4:8] == ["34.50 / –", "-4.50 / –", "-8.15", "–"]


def test_a_table_per_test_set_whatever_the_case_of_its_name() -> None:
    records = [record(scores=scored(30.0, names=("set5", "photos", "Set14")))]
    text = text_of(records, score("minmax", 34.5), score("minmax", 31.0, dataset="Set14"))
    assert re.findall(r"^## (\S+),", text, re.MULTILINE) == ["set5", "Set14"]
    assert "not measured here" not in text


def test_nothing_of_the_same_network_scale_and_sets_is_no_page() -> None:
    records = [record(), record("dobi")]
    others = [score("minmax", 30.0, **of) for of in ({"scale": 3}, {"model": "edsr"}, {"dataset": "B100"})]
    assert page(records, []) is None
    assert page(records, others) is None


def test_records_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SrqError, match=r"they differ in weights$"):
        page([record(), record("dobi", weights="e" * 64)], [score("minmax", 30.0)])


def test_lines_for_programs_hold_the_numbers_in_full() -> None:
    only = {"Set5": DatasetScores.of({"a": {"psnr": 30.0}, "b": {"psnr": 31.001}})}
    made = page([record(scores=only)], [score("minmax", 34.5)])
    assert made is not None
    line = made.lines[-1]
    said = {"suite": "sample", "scale": 2, "test_set": "Set5", "method": "minmax", "weight_bits": 4}
    assert said.items() <= line.items()
    assert line["psnr_measured"] == pytest.approx(30.5005)
    assert line["psnr_difference"] == pytest.approx(-3.9995)
    assert (line["ssim_published"], math.isnan(line["ssim_difference"])) == (0.95, True)
    assert line["published_as"] == "MINMAX, A paper"
