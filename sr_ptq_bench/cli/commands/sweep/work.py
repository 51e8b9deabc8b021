"""The work of a sweep: what its workers are told, the plan, the engine and the measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....storage.writable import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ....sweep.engine import Engine
    from ....sweep.estimate import Timings
    from ....sweep.grid import Cell
    from ....sweep.measure_all import Failure
    from ....sweep.plan import Planned
    from ....sweep.worker import WorkerConfig
    from ...display import Display


def config_of(
    plugins: tuple[Path, ...], device: str, threads: int | None, workers: int, force: bool, display: Display
) -> WorkerConfig:
    """What every worker is told; without `threads` the workers share those of the machine."""
    with display.preparing():
        import torch

        from ....sweep.worker import WorkerConfig

        return WorkerConfig(plugins, device, threads or max(1, torch.get_num_threads() // workers), force)


def plan_all(
    cells: Sequence[Cell], config: WorkerConfig, out: Path, address: str | None, display: Display
) -> tuple[list[Planned], Timings]:
    """All cells and their folders checked, and the seconds that earlier records of their suites took."""
    from ....runs.environment import choose_device
    from ....runs.session import Session
    from ....sweep.estimate import Timings, earlier_records
    from ....sweep.plan import plan
    from ....sweep.worker import Preparer

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


def engine_for(config: WorkerConfig, workers: int, address: str | None, gpus: float) -> Engine:
    """Processes on this machine, or the Ray cluster at `address`; raises SrqError for a device that is not there."""
    from ....runs.environment import choose_device

    if address is not None:
        from ....sweep.ray import RayEngine

        return RayEngine(config, address, gpus)
    from ....sweep.local import LocalEngine

    choose_device(config.device)
    return LocalEngine(config, workers)


def measure_planned(
    planned: Sequence[Planned], timings: Timings, engine: Engine, replace: bool, display: Display
) -> list[Failure]:
    """Measure what is not done, with a bar for each worker; the cells that failed."""
    from ....sweep.measure_all import measure_all

    with display.sweep(sum(not each.done for each in planned)) as lines:
        return measure_all(planned, engine, timings, lines, replace)
