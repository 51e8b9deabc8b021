"""`python -m benchmarks [NAME ...|--all]`: run benchmarks; `--all` also writes `benchmarks/RESULTS.md`."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from pathlib import Path

import click
import torch
from tabulate import tabulate

from benchmarks.compare import Row

NAMES = ("startup", "dobi", "observation", "dqc", "evaluation", "floor")
RESULTS = Path(__file__).parent / "RESULTS.md"
SEE = "[docs/speed.md](../docs/speed.md) says what pays, what was tried and left out, and where a run's seconds go."
HEADERS = ("work", "two ways", "first", "second", "ratio", "target", "check")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--all", "everything", is_flag=True, help="Run every benchmark and write RESULTS.md.")
def main(names: tuple[str, ...], everything: bool) -> None:
    """Compare two ways of doing the same work, in one process, on the same inputs."""
    rows: list[Row] = []
    for name in NAMES if everything else names:
        rows += import_module(f"benchmarks.{name}").rows()
        table = tabulate([list(vars(row).values()) for row in rows], HEADERS, tablefmt="pipe")
        click.echo(table)
        if everything:
            made = f"Made by `python -m benchmarks --all` on {machine()}. {SEE}"
            RESULTS.write_text(f"# Speed\n\n{made}\n\n{table}\n")


def machine() -> str:
    """What the times belong to."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores of {name}, {device}, torch {torch.__version__}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
