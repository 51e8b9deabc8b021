"""What tells rows apart: options, plugins, scopes, bits, levels, costs and classes."""

from __future__ import annotations

from typing import Any

import pytest
from made_records import methods, record, render, rows

from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.record import Learned, MostLevels
from sr_ptq_bench.tables.labels import labels
from sr_ptq_bench.tables.rows import rows_of


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
