"""What a terminal shows: bars with a steady time left, tables that fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import record, scored
from rich.console import Console

from sr_ptq_bench.cli.display import Display
from sr_ptq_bench.cli.show import time_left
from sr_ptq_bench.cli.show.time_left import Pace
from sr_ptq_bench.tables.leaderboard import page


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(time_left.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_counts_the_steps_of_this_process_alone(clock):
    pace = Pace()
    clock[0] = 0.1
    pace.report(80)  # what a killed run had done
    assert pace.left(80, 100) is None
    clock[0] = 2.1
    pace.report(81)
    assert pace.left(81, 100) == pytest.approx(19 * 2)
    clock[0] = 3.1
    assert pace.left(81, 100) == pytest.approx(19 * 2 - 1)


def test_a_first_step_that_is_late_is_no_measure(clock):
    pace = Pace()
    clock[0] = 9.0  # a checkpoint was read
    pace.report(50)
    assert pace.left(50, 60) is None
    clock[0] = 10.0
    pace.report(51)
    assert pace.left(51, 60) == pytest.approx(9)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_table_fits_into_the_terminal(width, capsys):
    shown = Display()
    shown.out = Console(width=width, highlight=False, markup=False)
    scores = scored(30.0, names=("Set5", "Set14"))
    shown.page(page([record(scores=scores), record("dobi", scores=scores)]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any("dobi" in line and line.count("30.00 / 0.9000") == 2 for line in lines)
    assert any("Too narrow for: " in line for line in lines) == (width < 120)


@pytest.mark.parametrize("width", [25, 32, 40, 60, 100])
@pytest.mark.parametrize("names", [("Set5",), ("Set5", "Set14", "Urban100")])
def test_no_score_of_a_run_is_cut(width, names, capsys):
    shown = Display()
    shown.out = Console(width=width, highlight=False, markup=False)
    shown.record(record("condition+dobi+dqc", scores=scored(30.0, names=names)), Path("x.json"), "defaults")
    out = capsys.readouterr().out
    found = {score: out.count(score) for score in ("30.00", "38.15", "33.68", "32.25", "0.9000")}
    assert found == {**dict.fromkeys(found, len(names)), "0.9000": 4 * len(names)}
    assert "\u2026" not in out


def test_a_terminal_gets_headings_and_others_do_not(capsys):
    shown = Display()
    shown.err = Console(stderr=True, force_terminal=True, width=80)
    for name in ("observe", "bounds"):
        with shown.stage(name) as progress:
            progress(1, 2)
    assert capsys.readouterr().err.count("elapsed") == 1
    with Display().stage("observe"):
        pass
    assert capsys.readouterr().err == "Observe distributions\n"


def test_where_there_is_no_terminal_no_cell_is_cut_or_folded(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    Display().table(("cell", "time"), [("dobi " * 40, "1 s")])
    assert "dobi " * 40 in capsys.readouterr().out
