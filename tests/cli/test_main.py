"""`srq` itself: help, versions, misspelt commands, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from sr_ptq_bench import cli
from sr_ptq_bench.errors import SrqError

COMMANDS = [
    "run", "upscale", "sweep", "ablate", "table", "plot", "report",
    "analyze", "new-method", "methods", "data", "verify", "doctor", "cache",
]  # fmt: skip


@pytest.fixture
def command(monkeypatch):
    """Make `srq run` do something else."""

    def replace(function):
        monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: click.command()(function))

    return replace


def test_help_shows_every_command_and_a_first_step(srq):
    for flag in ("--help", "-h"):
        outcome = srq(flag)
        assert (outcome.status, outcome.err) == (0, "")
        assert "srq run --method 2dquant --bits 2 --scale 2" in outcome.out
        for name in COMMANDS:
            assert f"\n  {name} " in outcome.out


def test_every_command_is_listed_and_exists(srq):
    assert list(cli.COMMANDS) == COMMANDS
    for name in COMMANDS:
        outcome = srq(name, "--help")
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.startswith(f"Usage: srq {name} ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run", ["--method", "--bits", "--scale", "--suite", "--test", "--option", "--seed", "--plugin", "--out",
                 "--device", "--force", "srq run --method 2dquant --bits 2 --scale 2", "full-precision (FP)"]),
        ("methods", ["--plugin", "srq methods --plugin mine.py"]),
        ("table", ["--suite", "--check", "--out", "srq table --suite sample"]),
        ("data", ["lmdb", "lr"]),
    ],
)  # fmt: skip
def test_help_says_what_a_newcomer_needs(srq, name, words):
    text = srq(name, "--help").out
    assert [word for word in words if word not in text] == []


def test_the_version_is_that_of_the_distribution(srq):
    outcome = srq("--version")
    assert outcome.status == 0
    assert version("sr_ptq_bench") in outcome.out


@pytest.mark.parametrize("words", [[], ["data"]])
def test_without_a_command_the_help_is_shown(srq, words):
    outcome = srq(*words)
    assert "Usage: srq" in outcome.out + outcome.err
    assert "\nCommands:\n" in outcome.out + outcome.err
    assert "srq: " not in outcome.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnu"], "srq: no command 'rnu'; did you mean 'run'?\n"),
        (["tabel"], "srq: no command 'tabel'; did you mean 'table'?\n"),
        (["zzz"], "srq: no command 'zzz'; there is: "),
        (["--hlep"], "srq: No such option "),
        (["data", "lmbd"], "srq: No such command 'lmbd'."),
        (["methods", "minmax"], "srq: Got unexpected extra argument"),
    ],
)
def test_a_misspelt_word_is_one_line(srq, words, expected):
    outcome = srq(*words)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(expected)
    assert outcome.err.count("\n") == 1


def test_a_usage_error_names_the_help(srq):
    assert srq("methods", "minmax").err.endswith(" See `srq methods --help`.\n")


def test_an_expected_failure_is_one_line_whatever_it_holds(srq, command):
    def fail():
        raise SrqError("two\nlines\tand   spaces")

    command(fail)
    outcome = srq("run")
    assert (outcome.status, outcome.out, outcome.err) == (2, "", "srq: two lines and spaces\n")


def fail():
    raise ZeroDivisionError("unexpected")


def test_a_defect_is_one_line_that_names_a_log_file_and_status_70(srq, command, own_home):
    command(fail)
    outcome = srq("run")
    assert outcome.status == 70
    (log,) = (own_home / "logs").iterdir()
    (line,) = outcome.err.splitlines()
    assert line.startswith("srq: a defect of srq: ZeroDivisionError: unexpected; please report it with the file ")
    assert str(log) in line
    text = log.read_text()
    assert "command: srq run" in text
    assert 'raise ZeroDivisionError("unexpected")' in text


def test_a_defect_shows_its_traceback_on_request(srq, command, monkeypatch):
    monkeypatch.setenv("SRQ_DEBUG", "1")
    command(fail)
    outcome = srq("run")
    assert outcome.status == 70
    assert 'raise ZeroDivisionError("unexpected")' in outcome.err


def test_a_defect_in_a_home_that_cannot_be_written_is_one_line(srq, command, own_home):
    own_home.write_text("a file")
    command(fail)
    outcome = srq("run")
    assert outcome.status == 70
    assert len(outcome.err.splitlines()) == 1
    assert "SRQ_DEBUG=1 shows the traceback" in outcome.err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(28, "No space left on device"),
            "srq: the system refuses to write to the terminal or a file: No ",
        ),
        (OSError(36, "File name too long", "x" * 300), f"srq: the system refuses {'x' * 300}: File name too long"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_status_2(srq, command, monkeypatch, error, line):
    def refuse():
        raise error

    monkeypatch.setattr("sr_ptq_bench.cli.close_stdout", lambda: None)
    command(refuse)
    outcome = srq("run")
    assert outcome.status == 2
    assert outcome.err.startswith(line)


def test_a_reader_that_has_seen_enough_is_no_failure_to_talk_about(srq, command, monkeypatch):
    def broken():
        raise BrokenPipeError

    monkeypatch.setattr("sr_ptq_bench.cli.close_stdout", lambda: None)
    command(broken)
    outcome = srq("run")
    assert (outcome.status, outcome.err) == (141, "")


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_one_line_and_status_130(srq, command, error):
    def fail():
        raise error

    command(fail)
    outcome = srq("run")
    assert (outcome.status, outcome.out) == (130, "")
    assert (
        outcome.err.strip() == "srq: interrupted; no file is left half-written, and the same run continues where it was"
    )


def test_a_failure_of_click_s_own_is_one_line(srq, command):
    def fail():
        raise click.FileError("x.txt", "not there")

    command(fail)
    outcome = srq("run")
    assert (outcome.status, outcome.err) == (2, "srq: Could not open file 'x.txt': not there\n")


def test_success_is_status_0(srq, command):
    command(lambda: click.echo("done"))
    assert srq("run").status == 0


SRQ = [sys.executable, "-c", "from sr_ptq_bench.cli import main; main()"]


def test_a_pipe_that_is_closed_in_the_middle_of_a_command_gives_status_141():
    with subprocess.Popen([*SRQ, "methods"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


def test_what_a_process_of_a_plugin_prints_is_not_mixed_with_json(tmp_path):
    plugin = tmp_path / "loud.py"
    plugin.write_text(
        "import os\nfrom sr_ptq_bench import Bounds, hookimpl\nos.system('echo compiling')\n"
        "@hookimpl\ndef srq_init_bounds(distribution):\n    return Bounds(0.0, 1.0)\n"
    )
    done = subprocess.run([*SRQ, "methods", "--plugin", plugin, "--json"], capture_output=True, text=True, check=False)
    assert "loud" in [method["name"] for method in json.loads(done.stdout)]
    assert done.stderr.strip() == "compiling"


def test_a_working_folder_that_was_removed_is_one_line(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *SRQ, "table"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "srq: the working folder does not exist any more; change into another folder\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes streams")
@pytest.mark.parametrize(("ends", "status"), [(">&-", 0), ("<&- >&- 2>&-", 0), ("2>&-", 0)])
def test_closed_streams_are_no_failure(ends, status):
    """As services and cron jobs are started."""
    command = ["sh", "-c", f'"$@" {ends}', "sh", *SRQ, "cache"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_stderr_does_not_change_the_status():
    with Path("/dev/full").open("w") as full:
        assert subprocess.run([*SRQ, "rnu"], stderr=full, check=False).returncode == cli.EXPECTED_FAILURE
