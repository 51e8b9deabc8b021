"""Runs are remembered by their names, and calibrated states shared by runs that differ in their test sets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny import TinySuite, plugin, plugins, prepare, session

from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.records.files import record_name, state_path
from sr_ptq_bench.runs.run import measure
from sr_ptq_bench.storage.locks import PATIENCE, try_lock

KEY = {"upscaler": "bicubic", "scale": 2}


def name_of(measured):
    return record_name(measured.record.spec, measured.record.hashes)


def test_a_run_is_remembered_by_its_name_with_its_state(kept, measured, tmp_path):
    assert kept.result(name_of(measured)) is None
    kept.keep(measured)
    assert Cache(tmp_path, pytest.fail).result(name_of(measured)) == measured
    assert kept.result("another.json") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, _state: path.write_text("{"),
        lambda _path, state: state.unlink(),
        lambda _path, state: state.write_bytes(state.read_bytes()[:-1]),
    ],
)
def test_a_damaged_memory_of_a_run_is_set_aside(kept, measured, said, damage):
    kept.keep(measured)
    path = kept.records / name_of(measured)
    damage(path, state_path(path, measured.record))
    assert kept.result(name_of(measured)) is None
    assert not path.exists()
    assert len(said) == 1
    assert said[0].endswith(f"{path.name}: it is now {path.name}.bad")
    kept.keep(measured)
    assert kept.result(name_of(measured)) == measured


def test_a_run_that_cannot_be_remembered_does_no_harm(tmp_path, measured, said):
    (tmp_path / "home").write_text("a file")
    kept = Cache(tmp_path / "home", said.append)
    kept.keep(measured)
    assert len(said) == 1
    assert said[0].endswith("; going on without keeping results for other runs")
    assert kept.result(name_of(measured)) is None


# The calibrated state


def test_runs_that_differ_in_their_test_sets_calibrate_once(tiny_suite, tmp_path):
    """Records of other test sets have other names, so the lock of a record does not keep two such runs apart."""
    held = []

    def calibrate():
        for path in (tmp_path / "home").rglob("state-*.lock"):
            with try_lock(path) as free:
                held.append(not free)

    other = TinySuite.write(tmp_path / "second")
    other.change(test={"more": {"hr": "test"}})
    known = plugins(plugin("slow", calibrate=calibrate))
    states = [
        measure(prepare(suite.spec("minmax+slow"), known), session(home=tmp_path / "home")).record.state_sha256
        for suite in (tiny_suite, other)
    ]
    assert held == [True]  # called once, and locked meanwhile
    assert states[0] == states[1]


def test_who_waits_for_a_calibration_is_told(kept, said, tmp_path):
    other = Cache(tmp_path, said.append)
    with ThreadPoolExecutor() as pool:
        with kept.resume_state(KEY):
            waits = pool.submit(lambda: other.resume_state(KEY).__enter__())
            with pytest.raises(TimeoutError):
                waits.result(PATIENCE + 1)
        assert waits.result(10).folder == tmp_path / "cache" / "states" / waits.result().folder.name
    assert said == ["Waiting for another srq that calibrates the same student."]
