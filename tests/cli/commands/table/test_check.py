"""`srq table --check` says which tables are not current."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_calls import call, record, refusal, store, written


@pytest.mark.usefixtures("home")
def test_check_is_content_with_current_tables() -> None:
    store(record(), record("paper"))
    call()
    assert call("--check").stdout == "2 tables up to date\n"
    assert call("--check", "--suite", "paper").stdout == "1 table up to date\n"


def test_check_names_a_missing_table_and_writes_nothing(home: Path) -> None:
    store(record())
    expected = "leaderboards/sample/swinir-light-x2.md is missing; renew with `srq table`"
    assert refusal("--check") == expected
    assert written(home) == []


def test_check_names_a_stale_table_and_the_command_that_renews_it(home: Path) -> None:
    store(record(), out="my tables")
    arguments = ["--suite", "sample", "--results", "my tables/results", "--out", "my tables"]
    call(*arguments)
    path = home / "my tables/sample/swinir-light-x2.md"
    path.write_text(path.read_text() + "\n")
    assert refusal("--check", *arguments) == (
        "my tables/sample/swinir-light-x2.md is stale; renew with "
        "`srq table --suite sample --results 'my tables/results' --out 'my tables'`"
    )


def test_a_new_record_makes_a_table_stale(home: Path) -> None:
    store(record())
    call()
    store(record(method="dobi"))
    content = (home / "leaderboards/sample/swinir-light-x2.md").read_bytes()
    assert refusal("--check") == "leaderboards/sample/swinir-light-x2.md is stale; renew with `srq table`"
    assert (home / "leaderboards/sample/swinir-light-x2.md").read_bytes() == content


def test_check_sees_a_line_more_and_bytes_that_are_no_text(home: Path) -> None:
    store(record())
    call()
    path = home / "leaderboards/sample/swinir-light-x2.md"
    whole = path.read_bytes()
    for content in (whole.replace(b"\n", b"\n\n", 1), whole + b"\xff", b""):
        path.write_bytes(content)
        assert "is stale" in refusal("--check")


def test_check_names_generated_tables_that_lost_their_records(home: Path) -> None:
    store(record(), record("paper"))
    call()
    for path in (home / "leaderboards/results/paper").iterdir():
        path.unlink()
    (home / "leaderboards/sample/README.md").write_text("Written by hand.")
    assert call().exit_code == 0
    assert "leaderboards/paper/swinir-light-x2.md" in written(home)
    message = "leaderboards/paper/swinir-light-x2.md: no records for it any more; remove it"
    assert refusal("--check") == message
    assert call("--check", "--suite", "sample").exit_code == 0


def test_check_is_of_markdown(home: Path) -> None:
    store(record())
    result = call("--check", "--format", "csv")
    assert result.exit_code == 2
    assert "leave out --format csv" in result.output
