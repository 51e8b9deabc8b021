"""Results of a newer srq, and those of others that cannot be read, stay as they are, everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from refusals import error_of

from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.files import NewerRecordError, make_room, read_record, read_result, record_files, state_path
from sr_ptq_bench.runs.measure import deliver


def newer(path: Path, version: object = SCHEMA_VERSION + 1, **more: object) -> bytes:
    """What a later srq has written under this name."""
    value = json.loads(path.read_text(encoding="utf-8")) | {"schema_version": version, **more}
    path.write_text(json.dumps(value), encoding="utf-8")
    return path.read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def measured(tiny_suite, tmp_path):
    """A session, a run, and where its record and the remembered one are."""
    session = tiny.session()
    run = tiny.prepare(tiny_suite.spec())
    _, path = deliver(run, session, tmp_path / "out")
    return session, run, path, session.cache.records / path.name


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99, SCHEMA_VERSION + 0.5])
@pytest.mark.parametrize("more", [{}, {"another": 1}, {"scores": None, "seed": "x"}])
def test_a_newer_record_is_known_whatever_else_it_holds(measured, version, more):
    path = measured[2]
    newer(path, version, **more)
    with pytest.raises(NewerRecordError, match=f"this srq reads {SCHEMA_VERSION}"):
        read_record(path)


def test_a_remembered_result_of_a_newer_srq_stays(measured, tmp_path):
    _, run, path, remembered = measured
    newer(remembered)
    before = contents(remembered.parent)
    told: list[str] = []
    cache = Cache(remembered.parents[2], told.append)
    assert cache.result(remembered.name) is None
    assert told[0].endswith("the run is made again, and that result stays")
    cache.keep(read_result(path))
    assert contents(remembered.parent) == before
    again, _ = deliver(run, tiny.session(), tmp_path / "out")
    assert tiny.comparable(again) == tiny.comparable(read_record(path))
    deliver(run, tiny.session(), tmp_path / "out", force=True)
    assert contents(remembered.parent) == before


def test_a_delivered_record_of_a_newer_srq_stays(measured, tmp_path):
    session, run, path, remembered = measured
    newer(path)
    before = contents(path.parent)
    for force in (False, True):
        assert "it is not overwritten: use a newer srq" in error_of(deliver, run, session, path.parent, force)
    with pytest.raises(NewerRecordError):
        read_result(remembered).write(path.parent, lambda _: None)
    with pytest.raises(NewerRecordError):
        make_room(path, lambda _: None)
    assert contents(path.parent) == before


def unreadable(path: Path) -> None:
    """As a file of another user; a folder, since root may read every file."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("what", ["record", "state"])
def test_a_remembered_result_that_cannot_be_read_stays(measured, what):
    remembered = measured[3]
    unreadable(remembered if what == "record" else state_path(remembered, read_record(remembered)))
    told: list[str] = []
    assert Cache(remembered.parents[2], told.append).result(remembered.name) is None
    assert told[0].startswith(f"cannot read {what} ")
    assert told[0].endswith("the run is made again, and that result stays")
    assert remembered.exists()


def test_a_delivered_record_that_cannot_be_read_stays(measured):
    session, run, path, _ = measured
    unreadable(path)
    assert error_of(deliver, run, session, path.parent, True).endswith("it is not overwritten: use another --out")
    assert path.is_dir()


@pytest.mark.parametrize("force", [False, True])
def test_a_sweep_says_so_before_it_measures(measured, tiny_suite, tmp_path, force):
    from sr_ptq_bench.progress import no_progress
    from sr_ptq_bench.sweep.grid import Cell
    from sr_ptq_bench.sweep.plan import plan
    from sr_ptq_bench.sweep.worker import Preparer

    session, run, path, _ = measured
    place = tmp_path / "results" / run.resolved.suite
    place.mkdir(parents=True)
    (place / path.name).write_bytes(newer(path))
    cell = Cell(method="minmax", bits="4", scale=2, suite=str(tiny_suite.path), model="tiny")
    assert "it is not overwritten" in error_of(plan, [cell], Preparer(session), tmp_path, force, None, no_progress)


def test_hidden_files_are_no_records(measured):
    path = measured[2]
    for name in (f"._{path.name}", ".DS_Store", ".hidden.json"):
        (path.parent / name).write_bytes(b"\0\5\x16\7")
    assert record_files(path.parent) == [path]
