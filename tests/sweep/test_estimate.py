"""Seconds of cells from the seconds of records."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tiny import run

from sr_ptq_bench.sweep.estimate import TimeLeft, Timings, earlier_records, in_words


def timed(record, **seconds):
    """The record with these timings; `total` is their sum."""
    return record.model_copy(update={"timings": {**seconds, "total": sum(seconds.values())}})


@pytest.fixture
def record(tiny_suite):
    return run(tiny_suite)


def planned(*records):
    return [SimpleNamespace(spec=record.spec) for record in records]


def seeded(record, seed):
    return record.model_copy(update={"spec": record.spec.model_copy(update={"seed": seed})})


def test_what_cells_share_counts_once_for_each_seed(record):
    first = timed(record, **{"score fp": 10.0, "observe": 5.0, "evaluate": 2.0})
    timings = Timings([first, timed(record, **{"score fp": 0.0, "observe": 0.1, "evaluate": 4.0})])
    assert timings.own(record.spec) == 3.0
    assert timings.of(planned(record, record, seeded(record, 1))) == [18.0, 3.0, 18.0]


def test_a_method_that_rewrites_weights_observes_for_itself(record):
    timings = Timings([timed(record, **{"score fp": 10.0, "transform": 1.0, "observe": 5.0, "evaluate": 2.0})])
    assert timings.own(record.spec) == 8.0


@pytest.mark.parametrize(
    "change",
    [{"scale": 3}, {"model": "other"}, {"suite": "other"}, {"parts": ("dobi",)}, {"options": {"minmax": {"a": 1}}}],
)
def test_other_work_is_no_basis(record, change):
    other = record.model_copy(update={"spec": record.spec.model_copy(update=change)})
    assert Timings([record]).of(planned(other)) == [None]


def test_the_time_left_goes_down_and_learns(record):
    clock = TimeLeft(planned(record, record, record, record), Timings(), workers=2)
    assert clock.seconds(0.0) is None
    clock.begin(0, 0.0)
    clock.end(0, timed(record, evaluate=8.0))
    clock.begin(1, 8.0)
    assert clock.seconds(8.0) == 12.0
    assert clock.seconds(10.0) == 11.0
    clock.end(1, None)
    assert clock.seconds(10.0) == 8.0
    clock.end(2, None)
    clock.end(3, None)
    assert clock.seconds(10.0) == 0.0


def test_a_cell_is_no_faster_for_more_workers(record):
    clock = TimeLeft(planned(record), Timings([timed(record, evaluate=8.0)]), workers=4)
    assert clock.seconds(0.0) == 8.0


def test_unreadable_records_tell_nothing(tmp_path):
    (tmp_path / "a.json").write_text("{")
    assert earlier_records([tmp_path, tmp_path / "none"]) == []


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (720, "12 min"), (12240, "3.4 h")])
def test_durations_for_people(seconds, words):
    assert in_words(seconds) == words
