"""`python -m benchmarks NAME ...|--all [--write]`: run benchmarks, and keep their tables in `benchmarks/RESULTS.md`."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from pathlib import Path

import click
import torch
from tabulate import tabulate

from benchmarks.compare import Row

NAMES = ("startup", "dobi", "observation", "dqc", "evaluation", "floor", "kills", "sweep", "busy", "limits")
RESULTS = Path(__file__).parent / "RESULTS.md"
TITLE = """# Speed

Two ways of one work, in one process, on the same inputs: `python -m benchmarks --all --write` makes this file.
[docs/speed.md](../docs/speed.md) says where the seconds of a run go.
"""
HEADERS = ("work", "two ways", "first", "second", "ratio", "target", "check")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--all", "everything", is_flag=True, help="Run every benchmark.")
@click.option("--write", is_flag=True, help="Replace their tables in RESULTS.md.")
def main(names: tuple[str, ...], everything: bool, write: bool) -> None:
    """Compare two ways of doing the same work, in one process, on the same inputs."""
    for name in NAMES if everything else names:
        rows: list[Row] = import_module(f"benchmarks.{name}").rows()
        table = tabulate([list(vars(row).values()) for row in rows], HEADERS, tablefmt="pipe")
        click.echo(table)
        if write:
            sections = read_sections() | {name: f"On {machine()}.\n\n{table}"}
            ordered = [f"## {key}\n\n{sections[key]}\n" for key in NAMES if key in sections]
            RESULTS.write_text("\n".join([TITLE, *ordered]))


def read_sections() -> dict[str, str]:
    """The text of RESULTS.md under each benchmark's name."""
    if not RESULTS.exists():
        return {}
    sections = (section.partition("\n") for section in RESULTS.read_text().split("\n## ")[1:])
    return {name: text.strip() for name, _, text in sections}


def machine() -> str:
    """The machine and the software of the times."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores of {name}, {device}, torch {torch.__version__}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
