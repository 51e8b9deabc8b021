"""A result is a record and the state that it names; neither is replaced by something worse."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from whole_record import SHA, STATE

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records import files as records
from sr_ptq_bench.records.files import (
    RunResult,
    read_record,
    read_result,
    record_name,
    state_path,
    write_record,
)
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.storage.files import ABANDONED


def test_a_damaged_record_is_set_aside_before_its_name_is_used(tmp_path: Path, record: Record) -> None:
    said: list[str] = []
    path = write_record(record, tmp_path)
    torn = path.read_bytes()[:-9]
    path.write_bytes(torn)
    assert RunResult(record, STATE).write(tmp_path, said.append) == path
    assert read_record(path) == record
    assert path.with_name(f"{path.name}.bad").read_bytes() == torn
    assert len(said) == 1
    assert said[0].startswith(f"record {path}: ")
    assert said[0].endswith(f"; it is now {path.name}.bad")


def test_sensitivities_of_another_state_go_with_it(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    path.with_suffix(".sensitivity").write_text("of this state")
    RunResult(record, STATE).write(tmp_path, pytest.fail)
    assert path.with_suffix(".sensitivity").exists()
    other = record.model_copy(update={"state_sha256": hashlib.sha256(b"other").hexdigest()})
    RunResult(other, b"other").write(tmp_path, pytest.fail)
    assert not path.with_suffix(".sensitivity").exists()


def test_a_whole_record_makes_room_for_its_successor(tmp_path: Path, record: Record) -> None:
    said: list[str] = []
    for _ in range(2):
        RunResult(record, STATE).write(tmp_path, said.append)
    assert (len(list(tmp_path.iterdir())), said) == (2, [])


def test_a_record_of_a_later_srq_is_never_overwritten(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path)
    later = path.read_text().replace('"schema_version": 2', '"schema_version": 3')
    path.write_text(later)
    with pytest.raises(SrqError, match=r"schema version 3; this srq reads 2; it is not overwritten"):
        RunResult(record, STATE).write(tmp_path, pytest.fail)
    assert path.read_text() == later
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_result_is_its_record_and_the_state_that_the_record_names(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    assert path.name == record_name(record.spec, record.hashes)
    assert state_path(path, record).name == f"{path.stem}.{record.state_sha256[:12]}.safetensors"
    assert state_path(path, record).read_bytes() == STATE
    assert read_result(path) == RunResult(record, STATE)


def test_a_record_without_its_state_is_no_result(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    state_path(path, record).unlink()
    with pytest.raises(SrqError) as caught:
        read_result(path)
    assert str(caught.value) == (f"record {path} lacks its state {state_path(path, record).name}; measure again")


@pytest.mark.parametrize("damaged", [b"", STATE[:-1], STATE + b" ", STATE.replace(b"state", b"stale")])
def test_a_state_of_another_student_is_refused(tmp_path: Path, record: Record, damaged: bytes) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    state_path(path, record).write_bytes(damaged)
    with pytest.raises(SrqError) as caught:
        read_result(path)
    state = state_path(path, record)
    assert str(caught.value) == f"state {state} is not that of the record {path.name}; measure again"


def test_a_folder_in_place_of_a_state_is_an_expected_failure(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    state_path(path, record).unlink()
    state_path(path, record).mkdir()
    with pytest.raises(SrqError, match=rf"^cannot read state {state_path(path, record)}: Is a directory$"):
        read_result(path)


def test_a_huge_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    monkeypatch.setattr(records, "LARGEST_STATE", len(STATE))
    assert read_result(path).state == STATE
    monkeypatch.setattr(records, "LARGEST_STATE", len(STATE) - 1)
    with pytest.raises(SrqError, match=r"\.safetensors is larger than \d+ KiB, the limit for such a file"):
        read_result(path)


def test_another_result_of_the_same_run_leaves_a_young_state_and_removes_an_old_one(
    tmp_path: Path, record: Record
) -> None:
    """The record of a young one may be about to be written by another process."""
    first = RunResult(record, STATE)
    path = first.write(tmp_path, pytest.fail)
    other = RunResult(record.model_copy(update={"state_sha256": hashlib.sha256(b"other").hexdigest()}), b"other")
    assert other.write(tmp_path, pytest.fail) == path
    assert state_path(path, record).read_bytes() == STATE
    assert read_result(path) == other

    long_ago = time.time() - ABANDONED - 60
    for each in (record, other.record):
        os.utime(state_path(path, each), (long_ago, long_ago))
    neighbour = tmp_path / f"{path.stem}0.{SHA['a'][:12]}.safetensors"  # of a run whose name begins alike
    neighbour.touch()
    os.utime(neighbour, (long_ago, long_ago))
    other.write(tmp_path, pytest.fail)
    assert sorted(tmp_path.iterdir()) == sorted([path, state_path(path, other.record), neighbour])
    assert read_result(path) == other
