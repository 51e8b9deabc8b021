"""Tables as CSV, LaTeX and JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from table_calls import call, record, store, written

from sr_ptq_bench.tables import formats
from sr_ptq_bench.tables.leaderboard import groups, page


@pytest.mark.parametrize("as_format", ["csv", "json", "latex"])
def test_other_formats_are_printed_and_not_written(home: Path, as_format: str) -> None:
    records = [record(), record("paper"), record(scale=3)]
    store(*records)
    result = call("--format", as_format)
    assert result.stdout == formats.render([page(of) for of in groups(records).values()], as_format)
    assert written(home) == []
    assert call("--format", as_format, "--suite", "paper").stdout == formats.render([page([records[1]])], as_format)


def test_csv_is_one_table_of_all_suites(home: Path) -> None:
    store(record(), record("paper"), record(method="dobi"))
    lines = list(csv.DictReader(call("--format", "csv").stdout.splitlines()))
    measured = [(line["suite"], line["method"]) for line in lines if line["scope"]]
    assert measured == [("paper", "minmax"), ("sample", "dobi"), ("sample", "minmax")]
    assert {line["psnr"] for line in lines} == {"30.0"}
    assert json.loads(call("--format", "json").stdout)[0]["suite"] == "paper"
