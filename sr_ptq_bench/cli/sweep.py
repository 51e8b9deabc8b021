"""`srq sweep`: measure a whole grid."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import complete
from . import options as declared
from .writable import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..sweep.engine import Engine
    from ..sweep.estimate import Timings
    from ..sweep.grid import Cell
    from ..sweep.measure_all import Failure
    from ..sweep.plan import Planned
    from ..sweep.worker import WorkerConfig
    from .display import Display

SOME_FAILED, INTERRUPTED = 1, 130
GRID = ("suite", "methods", "bits", "scales", "models", "scope", "seed", "seeds", "options")


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
@click.option("--dry-run", is_flag=True, help="Show the cells, which are done, and how long the others will take.")
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
    help="CPU threads of a cell; default: the machine's over the workers, 1 with --ray.",
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
    cells, plugins = _cells(file, grid, plugin_files)
    check_writable(out / "results")

    from .display import Display

    display = Display()
    config = _config(plugins, device, threads or (1 if address else None), workers, force, display)
    try:
        if dry_run:
            _show_plan(*_plan(cells, config, out, address, display), workers, display)
            return
        with _engine(config, workers, address, gpus or 0.0) as engine:
            planned, timings = _plan(cells, config, out, address, display)
            start = time.monotonic()
            failures = _measure(planned, timings, engine, replace, display)
    except KeyboardInterrupt:
        click.echo("srq: interrupted; finished records stay, and the same call continues from here", err=True)
        sys.exit(INTERRUPTED)
    _say_result(planned, failures, _shared_words(config, out, replace), time.monotonic() - start, display)
    if failures:
        sys.exit(SOME_FAILED)


def _check_together(workers: int | None, address: str | None, gpus: float | None) -> None:
    if gpus is not None and address is None:
        raise click.UsageError("--gpus goes with --ray; on this machine every worker takes the whole device.")
    if workers is not None and address is not None:
        raise click.UsageError("--workers is for this machine; leave it out with --ray, which uses the whole cluster.")


def _cells(
    file: Path | None, grid: dict[str, Any], plugin_files: tuple[Path, ...]
) -> tuple[list[Cell], tuple[Path, ...]]:
    """The cells of the file or of the options, and the plugin files as absolute paths."""
    from ..sweep.grid import SweepFile, unfold

    plugins = tuple(path.absolute() for path in plugin_files)
    if file is None:
        return _cells_of_options(grid), plugins
    given = [key for key in GRID if grid[key] not in (None, ())]
    if given:
        word = given[0].replace("options", "option")
        raise click.UsageError(f"--{word} stands in the file's place; say it in {file}, or leave the file out.")
    sweep_file = SweepFile.load(file)
    return unfold(sweep_file.grids()), (*sweep_file.plugins, *plugins)


def _cells_of_options(grid: dict[str, Any]) -> list[Cell]:
    from ..protocol.run_spec import parse_options
    from ..sweep.grid import GridFields, unfold

    for key in ("methods", "bits", "scales"):
        if not grid[key]:
            raise click.UsageError(f"Missing option '--{key}', or a FILE.toml.")
    words: dict[str, Any] = {key: _words(grid[key]) for key in ("methods", "bits", "models") if grid[key]}
    words["scales"] = [_number(word) for word in _words(grid["scales"])]
    suite = grid["suite"]
    if suite and suite.endswith(".toml"):
        suite = str(Path(suite).expanduser().absolute())
    rest = {key: grid[key] for key in ("scope", "seed", "seeds")}
    fields = GridFields.parse({**words, **rest, "suite": suite, "options": parse_options(grid["options"])})
    return unfold([fields.with_defaults(GridFields())])


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _number(word: str) -> int:
    from ..errors import SrqError

    if not re.fullmatch(r"\d{1,9}", word):
        raise SrqError(f"no scale '{word}'; expected 2, 3 or 4")
    return int(word)


def _config(
    plugins: tuple[Path, ...], device: str, threads: int | None, workers: int, force: bool, display: Display
) -> WorkerConfig:
    """What every worker is told; without `threads` the workers share those of the machine."""
    with display.preparing():
        import torch

        from ..sweep.worker import WorkerConfig

        return WorkerConfig(plugins, device, threads or max(1, torch.get_num_threads() // workers), force)


def _plan(
    cells: Sequence[Cell], config: WorkerConfig, out: Path, address: str | None, display: Display
) -> tuple[list[Planned], Timings]:
    """All cells and their folders checked, and the seconds that earlier records of their suites took."""
    from ..runs.environment import choose_device
    from ..runs.session import Session
    from ..sweep.estimate import Timings, earlier_records
    from ..sweep.plan import plan
    from ..sweep.worker import Preparer

    session = Session.open(display, config.plugins, "cpu")
    prepare = Preparer(session)
    with display.stage("Check the cells") as progress:
        device = None if address or config.device == "auto" else choose_device(config.device)
        planned = plan(cells, prepare, out, config.force, device, progress)
    for missing in {", ".join(each.not_scored): None for each in planned if each.not_scored}:
        display.say(f"Missing test sets are skipped: {missing}; see `srq data get`.")
    for folder in {each.folder: None for each in planned if each.remembered or not each.done}:
        check_writable(folder)
    folders = {each.folder: None for each in planned}
    return planned, Timings(earlier_records([*folders, session.cache.records]))


def _show_plan(planned: Sequence[Planned], timings: Timings, workers: int, display: Display) -> None:
    """The grid, the finished cells, and the time that the others will take."""
    from ..sweep.estimate import in_words

    missing = [each for each in planned if not each.done]
    seconds = dict(zip((each.record for each in missing), timings.of(missing), strict=True))
    rows = []
    for each in planned:
        known = seconds.get(each.record)
        rows.append((str(each.cell), "done" if each.done else in_words(known) if known is not None else "no estimate"))
    display.table(("cell", "time"), rows)
    display.say(_work_left(planned, list(seconds.values()), workers))


def _work_left(planned: Sequence[Planned], seconds: Sequence[float | None], workers: int) -> str:
    """In one line; `seconds` are those of the missing cells, None where there is no estimate."""
    from ..sweep.estimate import in_words

    known = [value for value in seconds if value is not None]
    text = f"{_count(planned)}, {len(planned) - len(seconds)} done, {len(seconds)} to do"
    if known:
        text += f": about {in_words(sum(known) / workers)} with {workers} worker{'s' * (workers > 1)}"
    if len(known) < len(seconds):
        text += f"; {len(seconds) - len(known)} without an estimate: no earlier record of that work"
    return text


def _engine(config: WorkerConfig, workers: int, address: str | None, gpus: float) -> Engine:
    from ..runs.environment import choose_device

    if address is not None:
        from ..sweep.ray import RayEngine

        return RayEngine(config, address, gpus)
    from ..sweep.local import LocalEngine

    choose_device(config.device)
    return LocalEngine(config, workers)


def _measure(
    planned: Sequence[Planned], timings: Timings, engine: Engine, replace: bool, display: Display
) -> list[Failure]:
    from ..sweep.measure_all import measure_all

    with display.sweep(sum(not each.done for each in planned)) as lines:
        return measure_all(planned, engine, timings, lines, replace)


def _say_result(
    planned: Sequence[Planned], failures: Sequence[Failure], shared: Sequence[str], seconds: float, display: Display
) -> None:
    """How many cells were done, measured and failed; why each of these failed, and the command for it alone."""
    from ..sweep.estimate import in_words

    done = sum(each.done for each in planned)
    counts = f"{done} were done, {len(planned) - done - len(failures)} measured, {len(failures)} failed"
    display.say(f"{_count(planned)}: {counts}, {in_words(seconds)}")
    for failure in failures:
        display.warn(f"failed: {failure.cell}: {failure.error}")
        display.warn(f"  alone: {failure.cell.command(shared)}")


def _shared_words(config: WorkerConfig, out: Path, replace: bool) -> list[str]:
    """The words of `srq run` that are the same for all cells."""
    words = [word for plugin in config.plugins for word in ("--plugin", str(plugin))]
    words += ["--out", str(out), "--device", config.device, "--threads", str(config.threads)]
    return words + ["--force"] * config.force + ["--replace"] * replace


def _count(planned: Sequence[Planned]) -> str:
    return f"{len(planned)} cell{'s' * (len(planned) != 1)}"
