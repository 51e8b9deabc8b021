"""`srq table` writes and prints the tables of a folder's records; `--check` says which are not current."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sr_ptq_bench.cli.table import table
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.leaderboard import tables
from sr_ptq_bench.records import write_record
from sr_ptq_bench.schema import DatasetScores, Environment, Hashes, Patches, PortableSpec, Record, References, Scope
from sr_ptq_bench.spec import Bits, Scale


def record(suite: str = "sample", method: str = "minmax", scale: Scale = 2) -> Record:
    scores = {"Set5": DatasetScores.of({"baby": {"psnr": 30.0, "ssim": 0.9}})}
    return Record(
        schema_version=1,
        spec=PortableSpec(
            method=method,
            parts=(method,),
            bits=Bits.parse("4"),
            scale=scale,
            seed=0,
            model="swinir-light",
            suite=suite,
            options={method: {}},
            padding="flip",
            calibration=Patches(patches=32, size=64),
        ),
        scope=Scope(short="linear", description="Linear layers", sites=1, quantized_weights=1, parameters=2),
        scores=scores,
        references=References(fp=scores, bicubic=scores, bilinear=scores),
        figures={},
        environment=Environment(versions={}, device="cpu", threads=1, platform="Linux", cpu="x"),
        hashes=Hashes(weights="a" * 64, calibration="b" * 64, test={"Set5": "c" * 64}),
        bounds_sha256="d" * 64,
        timings={},
        peak_memory_bytes=0,
        created=datetime(2025, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def store(*records: Record, out: str = "leaderboards") -> None:
    for each in records:
        write_record(each, Path(out) / "results" / each.spec.suite)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(table, arguments, catch_exceptions=True)


def refusal(*arguments: str) -> str:
    """The line that the call is refused with."""
    result = call(*arguments)
    assert isinstance(result.exception, SrqError), result.output
    assert result.stdout == ""
    return str(result.exception)


def markdown(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))


def test_writes_and_prints_the_tables_of_every_suite(home: Path) -> None:
    records = [record(), record(method="dobi"), record(scale=3), record("paper")]
    store(*records)
    result = call()
    texts = tables(records)
    assert result.exit_code == 0
    assert result.stdout == "".join(f"leaderboards/{path}\n\n{text}\n" for path, text in texts.items())
    assert {path: (home / "leaderboards" / path).read_text() for path in texts} == texts
    assert markdown(home) == [f"leaderboards/{path}" for path in texts]


def test_one_suite_leaves_the_others_alone(home: Path) -> None:
    store(record(), record("paper"))
    assert call("--suite", "paper").exit_code == 0
    assert markdown(home) == ["leaderboards/paper/swinir-light-x2.md"]


def test_a_second_call_changes_nothing(home: Path) -> None:
    store(record())
    first = call().stdout
    path = home / "leaderboards/sample/swinir-light-x2.md"
    content = path.read_bytes()
    assert call().stdout == first
    assert path.read_bytes() == content


def test_folders_can_be_chosen(home: Path) -> None:
    store(record(), out="mine")
    assert call("--out", "mine").exit_code == 0
    assert call("--results", "mine/results", "--out", "other").exit_code == 0
    assert markdown(home) == ["mine/sample/swinir-light-x2.md", "other/sample/swinir-light-x2.md"]


@pytest.mark.parametrize("prepared", [False, True])
def test_no_records_name_the_folder_and_the_next_step(home: Path, prepared: bool) -> None:
    if prepared:
        (home / "leaderboards/results/sample").mkdir(parents=True)
    step = "make one: `srq run --method minmax --bits 4 --scale 2 --suite sample`"
    assert refusal() == f"no records in leaderboards/results; {step}"
    assert refusal("--suite", "sample", "--check") == f"no records in leaderboards/results/sample; {step}"
    assert markdown(home) == []


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
    assert markdown(home) == []


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
    assert markdown(home) == []


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


def test_check_sees_a_changed_line_end_and_bytes_that_are_no_text(home: Path) -> None:
    store(record())
    call()
    path = home / "leaderboards/sample/swinir-light-x2.md"
    whole = path.read_bytes()
    for content in (whole.replace(b"\n", b"\r\n"), whole + b"\xff", b""):
        path.write_bytes(content)
        assert "is stale" in refusal("--check")


def test_check_names_generated_tables_that_lost_their_records(home: Path) -> None:
    store(record(), record("paper"))
    call()
    for path in (home / "leaderboards/results/paper").iterdir():
        path.unlink()
    (home / "leaderboards/sample/README.md").write_text("Written by hand.")
    assert call().exit_code == 0
    assert "leaderboards/paper/swinir-light-x2.md" in markdown(home)
    message = "leaderboards/paper/swinir-light-x2.md: no records for it any more; remove it"
    assert refusal("--check") == message
    assert call("--check", "--suite", "sample").exit_code == 0


def test_help_explains_and_shows_a_command() -> None:
    text = call("--help").stdout
    assert "Turn records into Markdown tables" in text
    assert "srq table --suite sample" in text
    assert "default: OUT/results" in text


def test_the_command_is_imported_without_pandas() -> None:
    slow = "{'pandas', 'torch', 'pydantic'}"
    code = f"import sys, sr_ptq_bench.cli.table; sys.exit(bool({slow} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
