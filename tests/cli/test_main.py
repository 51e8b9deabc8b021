"""`srq` itself: help, versions, misspelt commands, and how it ends."""

from __future__ import annotations

from importlib.metadata import version

import click
import pytest

from sr_ptq_bench import cli
from sr_ptq_bench.errors import SrqError

COMMANDS = ["run", "table", "methods", "data"]


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
        for name in cli.COMMANDS:
            assert f"\n  {name} " in outcome.out


def test_every_command_is_listed_and_exists(srq):
    assert set(COMMANDS) <= set(cli.COMMANDS)
    for name in cli.COMMANDS:
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


def test_an_unexpected_failure_keeps_its_traceback(srq, command):
    def fail():
        raise ZeroDivisionError("unexpected")

    command(fail)
    with pytest.raises(ZeroDivisionError, match="unexpected"):
        srq("run")


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
