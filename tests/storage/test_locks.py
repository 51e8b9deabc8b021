"""One process at a time, and none waits for a dead one."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.storage.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from sr_ptq_bench.storage.locks import locked
with locked(Path(sys.argv[1]), "", print):
    print("held", flush=True)
    time.sleep(300)
"""


def test_a_lock_that_is_free_is_taken_in_silence(tmp_path):
    said = []
    for _ in range(2):
        with locked(tmp_path / "new" / "a.lock", "writes", said.append):
            pass
    assert said == []


def test_the_second_says_so_and_waits(tmp_path):
    said, order, waits = [], [], threading.Event()

    def say(text):
        said.append(text)
        waits.set()

    def second():
        with locked(tmp_path / "a.lock", "makes the same run", say):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "a.lock", "", print):
        thread.start()
        assert waits.wait(60)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert said == ["Waiting for another srq that makes the same run."]


def test_a_dead_process_holds_no_lock(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "a.lock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    said = []
    with locked(tmp_path / "a.lock", "is dead", said.append):
        pass
    assert said == []


def test_where_no_lock_can_be_made_the_caller_learns(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError), locked(tmp_path / "file" / "a.lock", "", print):
        pass


def test_two_that_need_the_same_entry_compute_it_once(tmp_path):
    scores = {"Set5": DatasetScores.of({"baby": {"psnr": 30.0}})}
    begun, waits, calls, found = threading.Event(), threading.Event(), [], []

    def compute(known):
        calls.append(1)
        begun.set()
        assert waits.wait(60)
        return scores

    def first():
        found.append(Cache(tmp_path, print).scores({"a": 1}, compute, fresh=False))

    def second():
        assert begun.wait(60)
        found.append(Cache(tmp_path, lambda text: waits.set()).scores({"a": 1}, compute, fresh=False))

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [scores, scores]
    assert len(calls) == 1
