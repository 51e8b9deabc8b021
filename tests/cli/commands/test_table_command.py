"""`srq table` writes and prints the tables of a folder's records; `--check` says which are not current."""

from __future__ import annotations

import csv
import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from refusals import one_line

from sr_ptq_bench.cli.commands.table import table
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.suite import SUITES
from sr_ptq_bench.protocol.types import Scale
from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.files import write_record
from sr_ptq_bench.records.record import Environment, Record, Scope
from sr_ptq_bench.records.resolved import Hashes, Patches, ResolvedSpec
from sr_ptq_bench.records.scores import DatasetScores, References
from sr_ptq_bench.tables import formats
from sr_ptq_bench.tables.leaderboard import groups, page


def record(suite: str = "sample", method: str = "minmax", scale: Scale = 2) -> Record:
    scores = {"Set5": DatasetScores.of({"baby": {"psnr": 30.0, "ssim": 0.9}})}
    return Record(
        schema_version=SCHEMA_VERSION,
        spec=ResolvedSpec(
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
        complexity=Complexity(parameters={32: 1, 4: 1}, macs={32: 1, 4: 1}, lr_pixels=1),
        scores=scores,
        references=References(fp=scores, bicubic=scores, bilinear=scores),
        figures={},
        environment=Environment(versions={}, device="cpu", threads=1, platform="Linux", cpu="x"),
        hashes=Hashes(weights="a" * 64, calibration="b" * 64, test={"Set5": "c" * 64}),
        state_sha256="d" * 64,
        timings={"total": 1.0},
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
    assert result.stdout == ""
    return one_line(result.exception)


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))


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


def test_check_is_of_markdown(home: Path) -> None:
    store(record())
    result = call("--check", "--format", "csv")
    assert result.exit_code == 2
    assert "leave out --format csv" in result.output


PUBLISHED = """\
source,backbone,scale,bits,method,dataset,psnr,ssim,model,scope,row
A paper,SwinIR-light,2,4,MinMax,Set5,34.39,0.9202,swinir-light,linear,minmax
"""


def publish(text: str = PUBLISHED) -> Path:
    path = Path("leaderboards/published.csv")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_published_scores_have_a_page_of_their_own(home: Path) -> None:
    store(record(), record(scale=3))
    publish()
    result = call("--published")
    assert result.exit_code == 0, result.output
    assert written(home) == ["leaderboards/sample/swinir-light-x2-published.md"]
    text = (home / "leaderboards/sample/swinir-light-x2-published.md").read_text()
    assert result.stdout == f"leaderboards/sample/swinir-light-x2-published.md\n\n{text}\n"
    assert " 30.00 / 0.9000 |" in text
    assert "34.39 / 0.9202" in text
    assert "-4.39 / -0.0202" in text
    assert "Not a reproduction" in text


def test_published_scores_in_other_formats(home: Path) -> None:
    store(record())
    publish()
    line = next(line for line in json.loads(call("--published", "--format", "json").stdout) if line["scope"])
    assert line["psnr_measured"] == 30
    assert line["psnr_published"] == 34.39
    assert line["official_weights"] is False
    assert written(home) == []


def test_both_kinds_of_pages_are_checked_apart(home: Path) -> None:
    store(record())
    publish()
    call()
    assert call("--check").exit_code == 0
    name = "leaderboards/sample/swinir-light-x2-published.md"
    assert refusal("--check", "--published") == f"{name} is missing; renew with `srq table --published`"
    call("--published")
    assert call("--check").stdout == call("--check", "--published").stdout == "1 table up to date\n"
    publish(PUBLISHED.replace("34.39", "34.40"))
    assert call("--check").exit_code == 0
    assert refusal("--check", "--published") == f"{name} is stale; renew with `srq table --published`"


@pytest.mark.usefixtures("home")
def test_no_published_scores_of_what_was_measured() -> None:
    store(record(scale=4))
    publish()
    assert refusal("--published") == ("no published scores for these networks and test sets; published test sets: Set5")


@pytest.mark.usefixtures("home")
def test_published_scores_that_are_missing_or_wrong() -> None:
    store(record())
    assert "no published scores for these networks and test sets" not in call("--published").output
    path = publish(PUBLISHED.replace("34.39", "high"))
    assert refusal("--published").startswith(f"published scores {path}, line 2: psnr: Input should be a valid number")


def test_help_explains_and_shows_a_command() -> None:
    text = " ".join(call("--help").stdout.split())
    assert "Turn records into tables" in text
    assert "srq table --suite sample" in text
    assert "default: OUT/results" in text


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


def test_all_files_are_written_before_the_terminal_fails(home: Path) -> None:
    store(record("paper"), record())
    command = [sys.executable, "-c", "from sr_ptq_bench.cli import main; main()", "table"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left" in done.stderr
    assert written(home) == ["leaderboards/paper/swinir-light-x2.md", "leaderboards/sample/swinir-light-x2.md"]
