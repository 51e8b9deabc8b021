"""What a shell offers after the Tab key."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from sr_ptq_bench.cli import COMMANDS, srq


def offered(*arguments: str, incomplete: str = "") -> list[str]:
    complete = ShellComplete(srq, {}, "srq", "_SRQ_COMPLETE")
    return [item.value for item in complete.get_completions(list(arguments), incomplete)]


def test_commands():
    assert offered() == list(COMMANDS)
    assert offered(incomplete="do") == ["doctor"]


@pytest.mark.parametrize("command", ["run", "analyze"])
def test_methods(command):
    assert {"minmax", "2dquant", "percentile"} <= set(offered(command, "--method"))
    assert not {"swinir", "metrics"} & set(offered(command, "--method"))
    assert offered(command, "--method", incomplete="minmax+dq") == ["minmax+dqc"]


def test_lists_of_a_sweep():
    assert offered("sweep", "--methods", incomplete="minmax,kl,do") == ["minmax,kl,dobi"]
    assert offered("sweep", "--models", incomplete="swinir-light,da") == ["swinir-light,dat-light"]
    assert offered("sweep", "--suite", incomplete="set") == ["set5-set14"]


def test_upscale():
    assert offered("upscale", "--method", incomplete="perc") == ["percentile"]
    assert offered("upscale", "--model", incomplete="dat") == ["dat-light"]


def test_suites_and_their_networks():
    assert offered("run", "--suite", incomplete="sa") == ["sample"]
    assert offered("run", "--model", incomplete="dat") == ["dat-light"]
    assert offered("run", "--suite", "paper", "--model") == ["swinir-light"]
    assert offered("run", "--suite", "none", "--model") == []


def test_options_of_the_method():
    assert offered("run", "--method", "minmax+dqc", "-o", incomplete="dqc.l") == ["dqc.loss=", "dqc.lr="]
    assert offered("run", "--method", "unknown", "-o") == []


def test_after_an_unknown_command_nothing_is_said(capsys):
    offered("xx")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("tcsh_source", "no completion 'tcsh_source'; did you mean 'zsh_source'?"),
        ("bash", "no completion 'bash'; there is: bash_source, fish_source, zsh_source"),
        ("bash_complete", "_SRQ_COMPLETE=bash_complete is for the shell itself; bash_source prints its script"),
    ],
)
def test_what_no_shell_asks_is_one_line(asked, said):
    outcome = call({"_SRQ_COMPLETE": asked})
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == f"srq: {said}\n"


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_each_shell_gets_its_script_and_its_words(shell):
    assert "_SRQ_COMPLETE" in call({"_SRQ_COMPLETE": f"{shell}_source"}).stdout
    words = call(
        {"_SRQ_COMPLETE": f"{shell}_complete", "COMP_WORDS": "srq do", "COMP_CWORD": "do" if shell == "fish" else "1"}
    )
    assert "doctor" in words.stdout


def call(environment):
    program = [sys.executable, "-c", "from sr_ptq_bench.cli import main; main()"]
    return subprocess.run(program, env=os.environ | environment, capture_output=True, text=True, check=False)
