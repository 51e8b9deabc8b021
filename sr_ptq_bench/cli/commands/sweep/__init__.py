"""`srq sweep`: measure a whole grid."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from ....storage.writable import check_writable
from ... import complete
from ... import options as declared
from .cells import cells_of
from .summary import say_result, shared_words, show_plan
from .work import config_of, engine_for, measure_planned, plan_all

SOME_FAILED, INTERRUPTED = 1, 130


@click.command()
@click.argument("file", required=False, metavar="[FILE.toml]", type=declared.FILE)
@click.option(
    "--methods",
    "-m",
    metavar="NAME,...",
    shell_complete=complete.methods,
    help="Methods, as `srq run --method` takes them.",
)
@click.option("--bits", "-b", metavar="BITS,...", help="Bit-widths: 4, or w4a8; 2 to 8.")
@click.option("--scales", "-s", metavar="SCALE,...", help="Upscaling factors: 2, 3, 4.")
@click.option(
    "--suite",
    metavar="SUITE",
    shell_complete=complete.suites,
    help="A built-in suite, or a .toml file of yours; default: sample.",
)
@click.option(
    "--models", metavar="NAME,...", shell_complete=complete.models, help="Networks of the suite; default: its first."
)
@click.option("--scope", type=click.Choice(["linear", "all"]), help="As in `srq run`.")
@click.option("--seed", type=int, metavar="SEED", help="The first seed; default: 0.")
@click.option("--seeds", type=int, metavar="N", help="Measure every cell with N seeds; default: 1.")
@declared.option("An option of those methods that have it, such as dqc.lr=1e-3.")
@declared.plugin_files
@declared.out
@declared.device
@declared.force
@declared.replace
@declared.loudness
@click.option("--dry-run", is_flag=True, help="List the cells: which are done, and the estimated time of the rest.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes on this machine; default: 1.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="CPU threads per cell; default: all threads divided by the workers; 1 with --ray.",
)
@click.option("--ray", "address", metavar="auto|ADDRESS", help="Measure on a Ray cluster instead.")
@click.option(
    "--gpus", type=declared.FiniteRange(0), metavar="SHARE", help="GPUs of a cell with --ray, such as 0.5; default: 0."
)
def sweep(
    file: Path | None,
    plugin_files: tuple[Path, ...],
    out: Path,
    device: str,
    force: bool,
    replace: bool,
    dry_run: bool,
    workers: int | None,
    threads: int | None,
    address: str | None,
    gpus: float | None,
    **grid: Any,
) -> None:
    """Measure every method at every bit-width and scale, and write a record each.

    \b
    srq sweep --methods minmax,dobi,2dquant --bits 4,3,2 --scales 2,3,4
    srq sweep --methods 2dquant --bits 2 --scales 2 --seeds 3 --workers 2
    srq sweep mine.toml --dry-run
    srq sweep mine.toml --ray auto --gpus 0.5

    Results that the installed versions have made are reused, from OUT/results and from this machine. A cell that fails
    does not stop the others; the exit status is then 1.
    """
    _check_together(workers, address, gpus)
    workers = workers or 1
    cells, plugins = cells_of(file, grid, plugin_files)
    check_writable(out / "results")

    from ...display import Display

    display = Display()
    config = config_of(plugins, device, threads or (1 if address else None), workers, force, display)
    try:
        if dry_run:
            show_plan(*plan_all(cells, config, out, address, display), workers, display)
            return
        with engine_for(config, workers, address, gpus or 0.0) as engine:
            planned, timings = plan_all(cells, config, out, address, display)
            start = time.monotonic()
            failures = measure_planned(planned, timings, engine, replace, display)
    except KeyboardInterrupt:
        click.echo("srq: interrupted; finished records stay, and the same call continues from here", err=True)
        sys.exit(INTERRUPTED)
    say_result(planned, failures, shared_words(config, out, replace), time.monotonic() - start, display)
    if failures:
        sys.exit(SOME_FAILED)


def _check_together(workers: int | None, address: str | None, gpus: float | None) -> None:
    if gpus is not None and address is None:
        raise click.UsageError("--gpus goes with --ray; on this machine every worker takes the whole device.")
    if workers is not None and address is not None:
        raise click.UsageError("--workers is for this machine; leave it out with --ray, which uses the whole cluster.")
