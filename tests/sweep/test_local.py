"""Worker processes: what they measure, and what becomes of those that vanish or fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tiny import FILE, TinySuite

from sr_ptq_bench.progress import SILENT, no_progress
from sr_ptq_bench.runs.session import Session
from sr_ptq_bench.sweep.engine import ATTEMPTS, Failed, Finished, Running, Said
from sr_ptq_bench.sweep.grid import GridFields, unfold
from sr_ptq_bench.sweep.local import LocalEngine
from sr_ptq_bench.sweep.plan import plan
from sr_ptq_bench.sweep.worker import Preparer, WorkerConfig

# Its bounds are those of min and max, unless a file beside it says what else to do, once or always.
TROUBLE = """
import os, signal
from pathlib import Path
from sr_ptq_bench import Bounds, SrqError, hookimpl

ORDER = Path(__file__).with_name("order.txt")

@hookimpl
def srq_init_bounds(distribution, bits):
    order = ORDER.read_text() if ORDER.exists() else ""
    if order == "die once":
        ORDER.unlink()
    if order.startswith("die") and bits == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "raise" and bits == 3:
        raise ZeroDivisionError("of 1\\nby 0")
    return Bounds(distribution.minimum, distribution.maximum)

CELLS = []

@hookimpl
def srq_calibrate():
    CELLS.append("of this process")
    return {"cells": len(CELLS)}
"""


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    path = tmp_path / "trouble.py"
    path.write_text(TROUBLE)
    return path


@pytest.fixture
def tasks(tiny_suite: TinySuite, trouble: Path, tmp_path: Path):
    """Three tasks, of which the second has 3 bits, and the configuration of their workers."""
    config = WorkerConfig((FILE, trouble), "cpu")
    fields = GridFields.parse({"suite": str(tiny_suite.path), "methods": ["trouble"], "bits": [4, 3, 2], "scales": [2]})
    prepare = Preparer(Session.open(SILENT, config.plugins, config.device))
    cells = unfold([fields.with_defaults(GridFields())])
    planned = plan(cells, prepare, tmp_path / "out", False, None, no_progress)
    return [each.task for each in planned], config


def children() -> set[int]:
    """The processes that this one has started."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def ends(events) -> dict[int, Finished | Failed]:
    """The last event of every task; no task has two."""
    last = [event for event in events if not isinstance(event, Running | Said)]
    assert len({event.index for event in last}) == len(last)
    return {event.index: event for event in last}


def test_ctrl_c_does_not_reach_a_worker_that_starts(capfd):
    with LocalEngine(WorkerConfig(), 2) as engine:
        for worker in engine._pool:
            os.kill(worker.process.pid, signal.SIGINT)
        engine._pool[0].process.join(1)
        assert [worker.process.exitcode for worker in engine._pool] == [None, None]
    assert capfd.readouterr().err == ""
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_ends_in_its_record(tasks, workers):
    todo, config = tasks
    found = ends(LocalEngine(config, workers).run(todo))
    assert sorted(found) == [0, 1, 2]
    assert [found[index].result.record.spec.bits.weight for index in range(3)] == [4, 3, 2]
    assert [found[index].result.record.environment.threads for index in range(3)] == [1, 1, 1]
    assert [found[index].result.record.figures["cells"] for index in range(3)] == [1, 1, 1]  # nothing is left behind


def test_a_cell_whose_worker_is_killed_is_begun_anew(tasks, trouble):
    todo, config = tasks
    trouble.with_name("order.txt").write_text("die once")
    events = list(LocalEngine(config, 1).run(todo[1:]))
    assert [event.index for event in events if isinstance(event, Running) and event.stage == "start"] == [0, 0, 1]
    assert all(isinstance(event, Finished) for event in ends(events).values())


def test_a_cell_that_always_kills_its_worker_fails_alone(tasks, trouble):
    todo, config = tasks
    trouble.with_name("order.txt").write_text("die always")
    events = list(LocalEngine(config, 2).run(todo))
    found = ends(events)
    assert found[1] == Failed(1, f"its worker vanished {ATTEMPTS} times, last with SIGKILL; is memory short?")
    assert isinstance(found[0], Finished)
    assert isinstance(found[2], Finished)
    starts = [event.index for event in events if isinstance(event, Running) and event.stage == "start"]
    assert starts.count(1) == ATTEMPTS


def test_what_a_plugin_raises_is_a_line_and_stops_no_other_cell(tasks, trouble):
    todo, config = tasks
    trouble.with_name("order.txt").write_text("raise")
    found = ends(LocalEngine(config, 1).run(todo))
    assert found[1] == Failed(
        1, "plugin 'trouble' fails in srq_init_bounds: ZeroDivisionError: of 1 by 0; SRQ_DEBUG=1 shows the traceback"
    )
    assert isinstance(found[2], Finished)


def test_closing_the_events_ends_the_workers(tasks):
    todo, config = tasks
    engine = LocalEngine(config, 2)
    events = engine.run(todo)
    next(events)
    next(events)
    before = children()
    events.close()
    assert len(before - children()) == 2


def test_workers_start_with_the_engine_and_end_with_it_without_a_word(tasks, capfd):
    before = children()
    with LocalEngine(tasks[1], 2) as engine:
        assert len(children() - before) == 2
        assert len(ends(engine.run(tasks[0][:1]))) == 1
        assert children() == before
    with LocalEngine(tasks[1], 1):
        pass
    assert children() == before
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_would_make_another_record_says_so(tasks, trouble):
    todo, config = tasks
    trouble.write_text(TROUBLE + "EDITED = True\n")
    found = ends(LocalEngine(config, 1).run(todo[:1]))
    assert "the worker would make trouble-w4a4-x2-s0-" in found[0].error
    assert todo[0].record in found[0].error


def test_no_tasks_need_no_worker(tasks):
    assert list(LocalEngine(tasks[1], 2).run([])) == []
