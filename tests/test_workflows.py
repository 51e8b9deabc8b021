"""The workflows are valid YAML, their scripts are valid shell, and the commands of srq in them exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from sr_ptq_bench.cli import srq

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = [ROOT / ".ci/run", ROOT / ".ci/release"]
COMMAND = re.compile(r'(?:^|step )(?:srq|"\$srq") (.+)$')


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def shell() -> list[str]:
    """All that a shell runs, in workflows and in .ci/."""
    runs = [step["run"] for path in WORKFLOWS for step in steps(path) if "run" in step]
    return [*runs, *(path.read_text(encoding="utf-8") for path in SCRIPTS)]


def commands() -> list[str]:
    lines = [line.strip() for script in shell() for line in script.splitlines()]
    found = [match[1] for line in lines if (match := COMMAND.search(line))]
    return sorted(set(found) - {"--version"})


def test_there_are_three() -> None:
    assert [path.stem for path in WORKFLOWS] == ["pages", "records", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_so(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("runs-on" in job for job in workflow["jobs"].values())
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps(path) if "uses" in step)


def test_the_code_of_a_pull_request_is_not_installed() -> None:
    """Its records are scored by the code of the branch that it goes to."""
    (path,) = (path for path in WORKFLOWS if path.stem == "records")
    runs = [step["run"] for step in steps(path) if "run" in step]
    assert [run for run in runs if "pip install" in run] == ["pip install ./base"]
    assert not any("${{" in run for run in runs)  # a name from outside could become shell


@pytest.mark.parametrize("script", shell())
def test_scripts_are_valid_shell(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False, capture_output=True).stderr == ""


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    words = shlex.split(line.split("|", maxsplit=1)[0])
    command: click.Command = srq
    context = click.Context(srq)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words)
