"""The checkpoint of a calibrator: when it is written, and what it holds."""

from __future__ import annotations

import pytest
import torch

from sr_ptq_bench import SrqError
from sr_ptq_bench.cache.resume import PeriodicCheckpoint


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.tensor(value), "b": torch.arange(3)}


# The checkpoint of a calibrator


def test_a_checkpoint_is_written_once_in_a_while(path, said):
    clock, made = Clock(), []
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=2.0, clock=clock)
    assert checkpoint.load() is None
    for second in range(7):
        clock.now = float(second)
        checkpoint.save(lambda second=second: made.append(second) or tensors(second))
    assert made == [2, 4, 6]
    again = PeriodicCheckpoint(path, said.append, interval_s=2.0, clock=clock)
    assert float(again.load()["a"]) == 6
    assert said == []


def test_slow_writes_are_rare_ones(path, said):
    """A write of one second may come every 200 seconds."""
    clock, made = Clock(), []
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=2.0, clock=clock)
    checkpoint.load()

    def make():
        made.append(clock.now)
        clock.now += 1
        return tensors(0)

    for second in (10, 20, 200, 210, 212):
        clock.now = float(second)
        checkpoint.save(make)
    assert made == [10, 212]


def test_the_time_of_killed_calls_counts(path, said):
    clock = Clock()
    first = PeriodicCheckpoint(path, said.append, interval_s=0, clock=clock)
    first.load()
    clock.now = 7.0
    first.save(lambda: tensors(0))
    clock.now = 100.0
    second = PeriodicCheckpoint(path, said.append, interval_s=0, clock=clock)
    second.load()
    assert second.seconds_before == 7.0
    clock.now = 103.0
    second.save(lambda: tensors(1))
    third = PeriodicCheckpoint(path, said.append, interval_s=0, clock=clock)
    third.load()
    assert third.seconds_before == 10.0


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"x" + data[1:]])
def test_a_damaged_checkpoint_is_set_aside_and_named(path, said, damage):
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=0)
    checkpoint.save(lambda: tensors(1))
    path.write_bytes(damage(path.read_bytes()))
    assert PeriodicCheckpoint(path, said.append).load() is None
    assert said == [f"{path} is damaged; it is now checkpoint.safetensors.bad"]
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.safetensors.bad"]


def test_a_disk_without_space_is_told_once(path, said, monkeypatch):
    def full(path, data):
        raise SrqError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("sr_ptq_bench.cache.resume.write_sealed", full)
    checkpoint = PeriodicCheckpoint(path, said.append, interval_s=0)
    for _ in range(3):
        checkpoint.save(lambda: tensors(1))
    assert said == [f"cannot write {path}: No space left on device; going on without a checkpoint"]


def test_a_checkpoint_holds_tensors_only(path, said):
    with pytest.raises(
        SrqError, match=r"^the checkpoint of a calibrator must be tensors by name; found something else$"
    ):
        PeriodicCheckpoint(path, said.append, interval_s=0).save(lambda: {"a": 1.0})


def test_tensors_that_share_memory_and_views_are_kept(path, said):
    whole = torch.arange(6.0)
    shared = {"a": whole, "b": whole[::2], "c": whole.view(2, 3).T}
    PeriodicCheckpoint(path, said.append, interval_s=0).save(lambda: shared)
    found = PeriodicCheckpoint(path, said.append).load()
    assert all(torch.equal(found[name], tensor) for name, tensor in shared.items())
