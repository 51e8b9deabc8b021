"""Records and tables that cannot be shown are named, and left out where the user says so."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from table_calls import call, record, refusal, store, written

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.record import Record


def test_a_truncated_record_is_refused_by_name_or_left_out_and_named(home: Path) -> None:
    store(record(), record(method="dobi"))
    path = next(home.glob("leaderboards/results/sample/dobi-*.json"))
    path.write_bytes(path.read_bytes()[:-30])
    assert str(path.relative_to(home)) in refusal()
    result = call("--skip-bad")
    assert result.exit_code == 0
    assert "minmax" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"srq: left out: record {path.relative_to(home)}: ")
    assert path.exists()


def test_a_check_is_of_all_records(home: Path) -> None:
    store(record())
    assert "leave out --skip-bad" in call("--check", "--skip-bad").output


def other_weights(of: Record) -> Record:
    """A record of other weights, which shares no table with the first."""
    return of.model_copy(update={"hashes": of.hashes.model_copy(update={"weights": "e" * 64})})


@pytest.fixture
def mixed(home: Path) -> Path:
    """One table that can be made, and one of two records that do not compare."""
    store(record("paper"), record(), other_weights(record(method="dobi")))
    return home


def test_a_table_that_cannot_be_made_is_named_and_the_others_are_written(mixed: Path) -> None:
    result = call()
    assert isinstance(result.exception, SrqError)
    assert str(result.exception).startswith("left out: sample/swinir-light-x2: no table of both dobi-w4a4-x2-s0-")
    assert str(result.exception).endswith("they differ in weights")
    assert written(mixed) == ["leaderboards/paper/swinir-light-x2.md"]
    assert (mixed / "leaderboards/paper/swinir-light-x2.md").read_text() in result.stdout


def test_every_table_that_is_left_out_is_named(mixed: Path) -> None:
    store(record(scale=3), other_weights(record(method="dobi", scale=3)))
    assert all(f"sample/swinir-light-x{scale}: no table" in str(call().exception) for scale in (2, 3))


def test_tables_may_be_left_out_where_the_user_says_so(mixed: Path) -> None:
    result = call("--skip-bad")
    assert result.exit_code == 0
    assert result.stderr.startswith("srq: left out: sample/swinir-light-x2: no table of both")
    assert written(mixed) == ["leaderboards/paper/swinir-light-x2.md"]


@pytest.mark.parametrize("arguments", [(), ("--skip-bad",), ("--format", "csv", "--skip-bad")])
def test_where_no_table_can_be_made_the_call_fails(mixed: Path, arguments: tuple[str, ...]) -> None:
    assert refusal("--suite", "sample", *arguments).startswith("sample/swinir-light-x2: no table of both")


def test_other_formats_have_the_tables_that_can_be_made(mixed: Path) -> None:
    result = call("--format", "csv")
    assert isinstance(result.exception, SrqError)
    assert {line["suite"] for line in csv.DictReader(result.stdout.splitlines())} == {"paper"}


def test_a_check_fails_where_a_table_cannot_be_made_and_looks_at_the_others(mixed: Path) -> None:
    call()
    (mixed / "leaderboards/sample").mkdir()
    (mixed / "leaderboards/sample/swinir-light-x2.md").write_text("<!-- Made by `srq table` -->")
    result = call("--check")
    assert "1 table up to date" in result.stdout
    assert str(result.exception).startswith("left out: sample/swinir-light-x2: no table of both")
    (mixed / "leaderboards/paper/swinir-light-x2.md").write_text("old")
    assert "paper/swinir-light-x2.md is stale" in refusal("--check")


def test_a_damaged_record_leaves_out_its_suite_alone(home: Path) -> None:
    store(record("paper"), record())
    (home / "leaderboards/results/sample/x.json").write_text("{")
    result = call()
    assert "left out: record leaderboards/results/sample/x.json" in str(result.exception)
    assert written(home) == ["leaderboards/paper/swinir-light-x2.md"]
