"""Rows of a table: their order, bold scores, seeds, and what is left out."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import methods, record, render, rows, scored

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.tables.leaderboard import MARK, groups


def test_one_record_makes_this_table() -> None:
    assert (
        render([record(psnr=34.394)])
        == """\
<!-- Made by `srq table --suite sample` from 1 record; do not edit. -->

# swinir-light x2, suite sample

| Method           |  W/A bits  | Scope         |   Compression (theoretical) |   Speedup (theoretical) |       Set5 PSNR / SSIM |
|:-----------------|:----------:|:--------------|----------------------------:|------------------------:|-----------------------:|
| FP               |   32/32    | –             |                        1.00 |                    1.00 |         38.15 / 0.9000 |
| bicubic (MATLAB) |     –      | –             |                           – |                       – |         33.68 / 0.9000 |
| bilinear         |     –      | –             |                           – |                       – |         32.25 / 0.9000 |
| minmax           |    4/4     | linear+matmul |                        2.98 |                    3.74 | **34.39** / **0.9000** |

- PSNR in dB and SSIM, each the mean over the images; per bit-width and column the best is in bold.
- Scope linear+matmul: Linear layers and matrix products; 384 sites, 691,200 weights of 910,152 parameters.
- Theoretical compression and speedup: closed forms of the bits, not measurements, of all parameters and of 1,045,620 multiply-accumulates per LR pixel (docs/efficiency.md).
- Weights: sha256 `aaaaaaaaaaaa`. Padding at test time: flip.
- Calibration: 32 LR patches of 64 x 64 pixels, sha256 `bbbbbbbbbbbb`.
- Set5: 1 image, sha256 `cccccccccccc`.
"""  # noqa: E501
    )


def test_the_first_line_counts_and_is_the_mark() -> None:
    text = render([record("minmax"), record("dobi")])
    assert text.startswith(MARK)
    assert text.splitlines()[0].endswith("`srq table --suite sample` from 2 records; do not edit. -->")


def test_every_line_of_the_source_table_has_the_same_width() -> None:
    text = render([record("minmax"), record("dobi+dqc", 37.87, "w4a8"), record("dobi", -1.5, "2")])
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1
    two = render([record("minmax"), record("dobi+dqc", 37.87)]).partition("## Differences")
    assert all(len({len(line) for line in part.splitlines() if line.startswith("|")}) == 1 for part in (two[0], two[2]))


def test_rows_go_from_many_bits_to_few_and_from_bad_to_good() -> None:
    given_ = [
        record("a", 30.0, "2"),
        record("b", 29.0, "2"),
        record("c", 35.0, "4"),
        record("d", 36.0, "w4a8"),
        record("e", 37.0, "8"),
        record("f", 33.0, "w3a3"),
        record("h", 35.0, "4"),
        record("g", 35.001, "4"),
    ]
    table = rows(render(given_))
    assert [row[0] for row in table] == ["FP", "bicubic (MATLAB)", "bilinear", *"edcghfba"]
    assert [row[1] for row in table] == [
        "32/32",
        "–",
        "–",
        "8/8",
        "4/8",
        "4/4",
        "4/4",
        "4/4",
        "3/3",
        "2/2",
        "2/2",
    ]


def test_the_best_of_each_bit_width_and_column_is_bold_judged_as_printed() -> None:
    table = rows(
        render(
            [
                record("a", scores=scored(30.004, 0.8)),
                record("b", scores=scored(30.001, 0.9)),
                record("c", scores=scored(29.99, 0.85)),
                record("d", 20.0, "2"),
            ]
        )
    )
    assert [row[5] for row in table[3:]] == [
        "29.99 / 0.8500",
        "**30.00** / 0.8000",
        "**30.00** / **0.9000**",
        "**20.00** / **0.9000**",
    ]


def test_test_sets_that_were_not_at_hand_are_named() -> None:
    text = render([record(not_scored=("B100", "Urban100"))])
    assert text.endswith("\n- Not scored, because the images were missing: B100, Urban100.\n")
    assert "Not scored" not in render([record()])


@pytest.mark.parametrize(("count", "said"), [(1, "1 run"), (2, "2 runs")])
def test_runs_on_fewer_test_sets_are_left_out_and_counted(count: int, said: str) -> None:
    names = ("Set5", "B100")
    more = record("dobi", scores=scored(31.0, names=names), not_scored=("Urban100",))
    fewer = [record("minmax", seed=seed, not_scored=("B100", "Urban100")) for seed in range(count)]
    text = render([*fewer, more])
    assert methods(*fewer, more) == ["dobi"]
    assert text.splitlines()[0].endswith("from 1 record; do not edit. -->")
    assert text.endswith(f"were missing: Urban100.\n- Left out: {said} on fewer test sets; measure again.\n")


def test_runs_on_other_test_sets_are_refused() -> None:
    one = record("a", not_scored=("B100",))
    other = record("b", scores=scored(31.0, names=("B100",)), not_scored=("Set5",))
    with pytest.raises(SrqError, match="they differ in test images"):
        render([one, other])


def test_test_sets_are_columns_in_the_records_order() -> None:
    names = ("Set5", "B100", "Urban100")
    text = render([record(scores=scored(30.0, names=names))])
    assert re.findall(r"(\w+) PSNR / SSIM", text) == list(names)


def test_the_order_of_records_and_their_times_do_not_matter() -> None:
    several = [record("minmax", 30.0 + seed / 7, bits, seed=seed) for seed in range(3) for bits in ("2", "4")]
    later = [r.model_copy(update={"timings": {"x": 9.0}, "peak_memory_bytes": 5}) for r in reversed(several)]
    assert render(several) == render(later) == render(several)


@settings(max_examples=15, deadline=None)
@given(
    st.permutations([("minmax", 30.1, 0), ("minmax", 30.2, 1), ("minmax", 30.4, 2), ("dobi", 30.4, 0), ("x", 30.4, 0)])
)
def test_any_order_of_records_makes_the_same_bytes(order: list[tuple[str, float, int]]) -> None:
    of = {each: record(each[0], each[1], seed=each[2]) for each in order}
    assert render([of[each] for each in order]) == render([of[each] for each in sorted(order)])


def test_several_seeds_are_one_row_with_mean_and_spread() -> None:
    text = render([record(scores=scored(psnr, 0.9), seed=seed) for seed, psnr in ((0, 30.0), (2, 31.0), (11, 32.0))])
    assert rows(text)[3] == [
        "minmax [seeds 0, 2, 11]",
        "4/4",
        "linear+matmul",
        "2.98",
        "3.74",
        "**31.00** ± 1.00 / **0.9000** ± 0.0000",
    ]
    assert "± the sample standard deviation" in text


def test_a_single_seed_is_named_unless_it_is_zero() -> None:
    text = render([record("minmax", seed=7), record("dobi")])
    assert methods(record("minmax", seed=7), record("dobi")) == ["dobi", "minmax [seed 7]"]
    assert "±" in text
    assert "±" not in render([record("dobi")])


def test_an_infinite_score_stays_infinite() -> None:
    both = [record("minmax", math.inf), record("dobi", math.inf, seed=0), record("dobi", math.inf, seed=1)]
    table = rows(render(both))
    assert table[3][5] == "**inf** / **0.9000** ± 0.0000"
    assert table[4][5] == "**inf** / **0.9000**"


def test_a_missing_metric_is_a_dash() -> None:
    only = {"Set5": DatasetScores.of({"baby": {"psnr": 30.0, "lpips": 0.1}})}
    assert rows(render([record(scores=only)]))[3][5] == "**30.00** / –"


def test_markdown_in_a_name_cannot_break_the_table() -> None:
    text = render([record(scores=scored(30.0, names=("a|b\nc",)), options={"minmax": {"x": "|\n"}})])
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")} == {7}
    assert r"a\|b c PSNR / SSIM" in text


def test_each_suite_model_and_scale_has_its_own_table() -> None:
    of = groups([record(), record(scale=3), record(model="edsr"), record(suite="paper"), record("dobi")])
    assert list(of) == ["paper/swinir-light-x2", "sample/edsr-x2", "sample/swinir-light-x2", "sample/swinir-light-x3"]
    assert render(of["sample/swinir-light-x2"]) == render([record(), record("dobi")])
    assert groups([]) == {}
