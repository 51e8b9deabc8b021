"""Old records are completed by the count that a run makes today, and by nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from click.testing import CliRunner, Result

from sr_ptq_bench.records import read_record, read_records, write_record
from sr_ptq_bench.schema import Record

TOOL = Path(__file__).parents[2] / "tools" / "count_records.py"


@pytest.fixture(scope="module")
def main() -> Any:
    spec = importlib.util.spec_from_file_location("count_records", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "records"


def call(main: Any, suite: tiny.TinySuite, folder: Path, *more: str) -> Result:
    plugin = ["--plugin", str(tiny.FILE)]
    return CliRunner().invoke(main, ["--suite", str(suite.path), *plugin, *more, str(folder)])


def old(record: Record) -> Record:
    return record.model_copy(update={"complexity": None})


def test_a_record_is_completed_as_a_run_would_write_it(main: Any, tiny_suite: tiny.TinySuite, folder: Path) -> None:
    whole = [tiny.run(tiny_suite, method="percentile", bits=bits, p="0.01") for bits in ("w3a5", "2")]
    paths = [write_record(old(record), folder) for record in whole]
    result = call(main, tiny_suite, folder)
    assert result.exit_code == 0, result.output
    assert sorted(result.output.splitlines()) == sorted(f"completed {path}" for path in paths)
    assert [read_record(path) for path in paths] == whole


def test_nothing_else_in_the_file_changes(main: Any, tiny_suite: tiny.TinySuite, folder: Path) -> None:
    path = write_record(old(tiny.run(tiny_suite)), folder)
    before = json.loads(path.read_text())
    call(main, tiny_suite, folder)
    after = json.loads(path.read_text())
    assert after.pop("complexity")["lr_pixels"] == 256
    assert (after, list(after)) == (before, list(before))


def test_a_complete_record_is_left_alone(main: Any, tiny_suite: tiny.TinySuite, folder: Path) -> None:
    write_record(tiny.run(tiny_suite), folder)
    assert (call(main, tiny_suite, folder).output, len(read_records(folder))) == ("", 1)


def test_other_weights_are_refused(main: Any, tiny_suite: tiny.TinySuite, folder: Path) -> None:
    path = write_record(old(tiny.run(tiny_suite)), folder)
    tiny.write_weights(tiny_suite.folder / "weights.safetensors", scale=3)
    result = call(main, tiny_suite, folder)
    assert result.exit_code == 1
    assert result.output == f"Error: {path.name} is of other weights than suite 'tiny' has\n"
    assert read_record(path).complexity is None


def test_other_sites_are_refused(main: Any, tiny_suite: tiny.TinySuite, folder: Path) -> None:
    record = old(tiny.run(tiny_suite))
    path = write_record(record.model_copy(update={"scope": record.scope.model_copy(update={"sites": 7})}), folder)
    result = call(main, tiny_suite, folder)
    message = f"record {path.name} quantizes other sites than its method does today; measure it again"
    assert result.output == f"Error: {message}\n"
