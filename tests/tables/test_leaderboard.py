"""Tables say what the records say: rows, order, bold, notes; and records that do not compare are refused."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import record, rows, scored

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.files import record_name
from sr_ptq_bench.records.record import Learned, MostLevels, Record
from sr_ptq_bench.records.resolved import Patches
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.tables.formats import markdown
from sr_ptq_bench.tables.labels import labels
from sr_ptq_bench.tables.leaderboard import MARK, groups, page
from sr_ptq_bench.tables.rows import rows_of


def render(records: list[Record]) -> str:
    return markdown(page(records))


def methods(*records: Record) -> list[str]:
    return [row[0] for row in rows(render(records))[3:]]


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


def test_options_that_differ_are_named_and_the_others_are_in_the_notes() -> None:
    one = record("percentile", 30.0, options={"percentile": {"p": 0.01, "q": 1}})
    two = record("percentile", 31.0, options={"percentile": {"p": 0.02, "q": 1}})
    assert methods(one) == ["percentile"]
    assert methods(one, two) == ["percentile (p=0.01)", "percentile (p=0.02)"]
    assert "- percentile (p=0.02): options p=0.02, q=1." in render([one, two]).splitlines()


def test_options_of_a_method_of_several_plugins_name_the_plugin() -> None:
    options: list[dict[str, dict[str, Any]]] = [{"dobi": {"K": 100}, "dqc": {"lr": lr}} for lr in (0.1, 0.01)]
    one, two = (record("2dquant", 30.0 - i, options=o, parts=("dobi", "dqc")) for i, o in enumerate(options))
    assert methods(one, two) == ["2dquant (dqc.lr=0.01)", "2dquant (dqc.lr=0.1)"]
    assert "- 2dquant (dqc.lr=0.1): is dobi+dqc; options dobi.K=100, dqc.lr=0.1." in render([one, two])


def test_what_follows_from_a_preset_is_not_repeated() -> None:
    paper, official = (
        {"preset": "paper", "lr": 0.1, "batch": 32},
        {"preset": "official", "lr": 0.2, "batch": 16},
    )
    of = [record("dqc", 30.0 + i, options={"dqc": o}) for i, o in enumerate((paper, official, paper | {"lr": 0.3}))]
    assert methods(*of[:2]) == ["dqc (preset=paper)", "dqc (preset=official)"]
    assert methods(*of) == [
        "dqc (lr=0.1, preset=paper)",
        "dqc (lr=0.2, preset=official)",
        "dqc (lr=0.3, preset=paper)",
    ]


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (True, "true"), (1, 1.0), (1, True), (None, "null"), ("a", "a ")])
def test_unequal_options_never_share_a_row(one: Any, other: Any) -> None:
    assert len(methods(record(options={"minmax": {"x": one}}), record(options={"minmax": {"x": other}}))) == 2


def test_an_option_that_one_record_lacks_tells_them_apart() -> None:
    old, new = record(options={"minmax": {}}), record(options={"minmax": {"x": None}})
    assert sorted(methods(old, new)) == ["minmax", "minmax (x=null)"]


def test_a_name_that_came_to_mean_other_plugins_is_told_apart() -> None:
    one, two = (record("2dquant", parts=parts) for parts in (("dobi", "dqc"), ("dobi", "dqc2")))
    assert methods(one, two) == ['2dquant (parts="dobi+dqc")', '2dquant (parts="dobi+dqc2")']


def test_the_checkpoint_that_was_kept_is_noted() -> None:
    assert "- dqc: checkpoint kept: last." in render([record("dqc", figures={"checkpoint": "last"})])


def test_every_scope_stands_beside_its_rows_and_in_the_notes() -> None:
    wide = record("dobi", 20.0, scope={"short": "all", "description": "Everything", "sites": 1000})
    text = render([record(), wide])
    assert [row[2] for row in rows(text)[3:]] == ["all", "linear+matmul"]
    assert "- Scope all: Everything; 1,000 sites, 691,200 weights of 910,152 parameters." in text


def test_the_same_method_with_two_scopes_has_two_rows() -> None:
    assert methods(record(psnr=30.0), record(psnr=20.0, seed=1, scope={"short": "all"})) == [
        "minmax [seed 1]",
        "minmax",
    ]


def test_markdown_in_a_name_cannot_break_the_table() -> None:
    text = render([record(scores=scored(30.0, names=("a|b\nc",)), options={"minmax": {"x": "|\n"}})])
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")} == {7}
    assert r"a\|b c PSNR / SSIM" in text


def test_each_suite_model_and_scale_has_its_own_table() -> None:
    of = groups([record(), record(scale=3), record(model="edsr"), record(suite="paper"), record("dobi")])
    assert list(of) == ["paper/swinir-light-x2", "sample/edsr-x2", "sample/swinir-light-x2", "sample/swinir-light-x3"]
    assert render(of["sample/swinir-light-x2"]) == render([record(), record("dobi")])
    assert groups([]) == {}


def test_sites_with_bits_of_their_own_are_said_beside_the_bits() -> None:
    mixed = record(site_bits={"layers.0.weight": 2})
    assert rows(render([mixed]))[3][1] == "4/4 mixed"
    assert rows(render([record()]))[3][1] == "4/4"
    assert rows(render([record(), record(seed=1, site_bits={"layers.0.weight": 2})]))[3][1] == "4/4 mixed"


def test_levels_that_are_not_bounded_are_marked_and_noted() -> None:
    most = MostLevels(site="fc2.input", bits=2, levels=37)
    text = render([record("mine", 30.0, "2", most_levels=most), record("mine", 30.0, "3"), record("dobi")])
    assert [row[0] for row in rows(text)[3:]] == ["dobi", "mine", "mine (levels not bounded)"]
    assert "- mine (levels not bounded): site fc2.input has 37 levels on the test images at 2 bits." in text
    assert "mine: " not in text


def test_a_row_whose_levels_are_not_bounded_is_never_the_best() -> None:
    most = MostLevels(site="fc2.input", bits=2, levels=37)
    of = [record("mine", 33.0, "2", most_levels=most), record("dobi", 31.0, "2"), record("minmax", 30.0, "2")]
    text = render(of)
    scores = {row[0]: row[5] for row in rows(text)}
    assert scores["mine (levels not bounded)"].startswith("33.00")
    assert scores["dobi"].startswith("**31.00**")
    against = {row[0]: row[3:] for row in rows(text, "## Differences")}
    assert against["dobi"][0] == "minmax"
    assert against["minmax"][0] == "dobi"
    assert against["mine (levels not bounded)"][0] == "dobi"
    assert "- A row with levels not bounded is no result of its bits" in text
    assert "is no result of its bits" not in render(of[1:])


def test_costs_are_the_mean_over_the_seeds() -> None:
    costs = [Complexity(parameters={bits: 910152}, macs={bits: 100}, lr_pixels=1) for bits in (4, 2)]
    known = [record(seed=seed, complexity=cost) for seed, cost in enumerate(costs)]
    (row,) = rows_of(known, labels(known))
    assert (row.compression, row.bytes) == ((8 + 16) / 2, 910152 * (4 + 2) / 2 / 8)


def test_the_class_of_a_method_is_a_column_once_a_record_says_it() -> None:
    trained = Learned(weights="trained", steps=20000, patches=100)
    known = [
        record("ada", learned=trained, timings={"calibrate": 90.0, "total": 91.0}),
        record("dobi"),
        record("dobi+dqc", figures={"losses": (0.1,) * 150}),
        record("stranger"),
    ]
    text = render(known)
    kinds = {row[0]: row[3] for row in rows(text)}
    assert (kinds["ada"], kinds["stranger"]) == ("weights trained", "–")
    assert (kinds["dobi"], kinds["dobi+dqc"], kinds["FP"]) == ("bounds", "bounds trained", "–")
    assert "- ada trains: 20,000 steps, 100 LR patches, 1.5 minutes." in text
    assert "- dobi+dqc trains: 150 steps." in text
    assert "stranger trains" not in text
    assert "Class" not in render(known[1:])


def test_a_note_on_training_covers_all_rows_of_a_method() -> None:
    both = [
        record("ada", 30.0, bits, learned=Learned(weights="trained", steps=steps, patches=8))
        for bits, steps in (("2", 50), ("4", 20))
    ]
    assert "- ada trains: 20 to 50 steps, 8 LR patches." in render(both)


def test_a_count_decides_whatever_the_bits_of_the_run() -> None:
    eight_bit_edges = {"parameters": {32: 218952, 8: 345600, 2: 345600}, "macs": {2: 1}, "lr_pixels": 1}
    edged = record(bits="2").model_copy(update={"complexity": Complexity.model_validate(eight_bit_edges)})
    total = 32 * 910152 / (32 * 218952 + 10 * 345600)
    assert rows(render([edged]))[3][3:5] == [f"{total:.2f}", "16.00"]


# Differences


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
