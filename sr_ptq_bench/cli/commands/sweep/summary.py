"""What a sweep says of its cells: the plan, and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ....sweep.estimate import Timings
    from ....sweep.measure_all import Failure
    from ....sweep.plan import Planned
    from ....sweep.worker import WorkerConfig
    from ...display import Display


def show_plan(planned: Sequence[Planned], timings: Timings, workers: int, display: Display) -> None:
    """The grid, the finished cells, and the time that the others will take."""
    from ....sweep.estimate import in_words

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
    from ....sweep.estimate import in_words

    known = [value for value in seconds if value is not None]
    text = f"{_count(planned)}, {len(planned) - len(seconds)} done, {len(seconds)} to do"
    if known:
        text += f": about {in_words(sum(known) / workers)} with {workers} worker{'s' * (workers > 1)}"
    if len(known) < len(seconds):
        text += f"; {len(seconds) - len(known)} without an estimate: no earlier record of that work"
    return text


def say_result(
    planned: Sequence[Planned], failures: Sequence[Failure], shared: Sequence[str], seconds: float, display: Display
) -> None:
    """How many cells were done, measured and failed; why each of these failed, and the command for it alone."""
    from ....sweep.estimate import in_words

    done = sum(each.done for each in planned)
    counts = f"{done} were done, {len(planned) - done - len(failures)} measured, {len(failures)} failed"
    display.say(f"{_count(planned)}: {counts}, {in_words(seconds)}")
    for failure in failures:
        display.warn(f"failed: {failure.cell}: {failure.error}")
        display.warn(f"  alone: {failure.cell.command(shared)}")


def shared_words(config: WorkerConfig, out: Path, replace: bool) -> list[str]:
    """The words of `srq run` that are the same for all cells."""
    words = [word for plugin in config.plugins for word in ("--plugin", str(plugin))]
    words += ["--out", str(out), "--device", config.device, "--threads", str(config.threads)]
    return words + ["--force"] * config.force + ["--replace"] * replace


def _count(planned: Sequence[Planned]) -> str:
    return f"{len(planned)} cell{'s' * (len(planned) != 1)}"
