"""`srq table` writes and prints the tables of a folder's records."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from table_calls import call, record, refusal, store, written

from sr_ptq_bench.protocol.suite import SUITES
from sr_ptq_bench.records.files import write_record
from sr_ptq_bench.tables import formats
from sr_ptq_bench.tables.leaderboard import groups, page


def test_writes_and_prints_the_tables_of_every_suite(home: Path) -> None:
    records = [record(), record(method="dobi"), record(scale=3), record("paper")]
    store(*records)
    result = call()
    texts = {f"{path}.md": formats.markdown(page(of)) for path, of in groups(records).items()}
    assert result.exit_code == 0
    assert result.stdout == "".join(f"leaderboards/{path}\n\n{text}\n" for path, text in texts.items())
    assert {path: (home / "leaderboards" / path).read_text() for path in texts} == texts
    assert written(home) == [f"leaderboards/{path}" for path in texts]


def test_one_suite_leaves_the_others_alone(home: Path) -> None:
    store(record(), record("paper"))
    assert call("--suite", "paper").exit_code == 0
    assert written(home) == ["leaderboards/paper/swinir-light-x2.md"]


def test_a_second_call_changes_nothing(home: Path) -> None:
    store(record())
    first = call().stdout
    path = home / "leaderboards/sample/swinir-light-x2.md"
    content = path.read_bytes()
    assert call().stdout == first
    assert path.read_bytes() == content


def test_a_page_of_others_is_not_replaced(home: Path) -> None:
    store(record(), record(scale=3))
    page_of_others = home / "leaderboards/sample/swinir-light-x3.md"
    page_of_others.parent.mkdir(parents=True)
    page_of_others.write_text("# My notes on SwinIR-light")
    assert "swinir-light-x3.md was not made by `srq table` and stays; move it" in refusal()
    assert page_of_others.read_text() == "# My notes on SwinIR-light"
    assert written(home) == ["leaderboards/sample/swinir-light-x3.md"]


@pytest.mark.parametrize("folder", ["leaderboards/results", "leaderboards/results/paper"])
def test_a_folder_that_cannot_be_read_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    store(record(), record("paper"))
    listed = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if str(path) == folder:
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert f"cannot read {folder}: Permission denied" in str(call().exception)
    if folder.endswith("paper"):
        assert call("--skip-bad").exit_code == 0


def test_folders_can_be_chosen(home: Path) -> None:
    store(record(), out="mine")
    assert call("--out", "mine").exit_code == 0
    assert call("--results", "mine/results", "--out", "other").exit_code == 0
    assert written(home) == ["mine/sample/swinir-light-x2.md", "other/sample/swinir-light-x2.md"]


@pytest.mark.parametrize("prepared", [False, True])
def test_no_records_name_the_folder_and_the_next_step(home: Path, prepared: bool) -> None:
    if prepared:
        (home / "leaderboards/results/sample").mkdir(parents=True)
    step = "make one: `srq run --method minmax --bits 4 --scale 2 --suite sample`"
    assert refusal() == f"no records in leaderboards/results; {step}"
    assert refusal("--suite", "sample", "--check") == f"no records in leaderboards/results/sample; {step}"
    assert written(home) == []


def test_a_suite_may_be_given_as_its_file(home: Path) -> None:
    store(record("mine"))
    shutil.copy(SUITES / "sample.toml", home / "mine.toml")
    text = (home / "mine.toml").read_text().replace('name = "sample"', 'name = "mine"')
    (home / "mine.toml").write_text(text)
    assert call("--suite", "mine.toml").exit_code == 0
    assert written(home) == ["leaderboards/mine/swinir-light-x2.md"]


@pytest.mark.usefixtures("home")
def test_a_suite_without_records_is_refused_beside_one_with_records() -> None:
    store(record())
    assert refusal("--suite", "paper").startswith("no records in leaderboards/results/paper; ")


@pytest.mark.usefixtures("home")
def test_a_record_in_the_folder_of_another_suite_is_refused() -> None:
    path = write_record(record("paper"), Path("leaderboards/results/sample"))
    assert refusal() == f"record {path} is of suite 'paper'; move it into that folder"


def test_a_broken_record_is_named_and_nothing_is_written(home: Path) -> None:
    store(record())
    (home / "leaderboards/results/sample/a.json").write_text("{")
    assert refusal().startswith("record leaderboards/results/sample/a.json: Invalid JSON")
    assert written(home) == []


def test_help_explains_and_shows_a_command() -> None:
    text = " ".join(call("--help").stdout.split())
    assert "Turn records into tables" in text
    assert "srq table --suite sample" in text
    assert "default: OUT/results" in text


def test_all_files_are_written_before_the_terminal_fails(home: Path) -> None:
    store(record("paper"), record())
    command = [sys.executable, "-c", "from sr_ptq_bench.cli import main; main()", "table"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left" in done.stderr
    assert written(home) == ["leaderboards/paper/swinir-light-x2.md", "leaderboards/sample/swinir-light-x2.md"]
