"""Plugins that fail, folders that cannot be written and an interruption: one line, and nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import FILE


def test_a_plugin_that_returns_what_it_may_not(bench, tmp_path):
    path = tmp_path / "mine.py"
    body = "def srq_init_bounds(distribution): return Bounds(float('nan'), 1.0)"
    path.write_text(f"from sr_ptq_bench import Bounds, hookimpl\n@hookimpl\n{body}\n")
    outcome = bench("--plugin", path, method="mine")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == "srq: plugin 'mine', site fc1.weight: bounds are not finite"
    assert not bench.out.exists()


def test_a_plugin_that_cannot_be(bench, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from sr_ptq_bench import hookimpl\n@hookimpl\ndef srq_init_bound(): pass\n")
    bench.refuses("no hook 'srq_init_bound'; did you mean 'srq_init_bounds'?", more=("--plugin", path))


@pytest.mark.parametrize("inside", [".", "results", "results/tiny", "deeper/still"])
def test_an_output_folder_that_is_a_file(bench, tmp_path, inside):
    file = tmp_path / "file"
    if inside in (".", "deeper/still"):
        file.write_text("mine")
        named = {"out": file / inside}
    else:
        file.joinpath(inside).parent.mkdir(parents=True)
        file.joinpath(inside).write_text("mine")
        named = {"out": file}
    bench.refuses("cannot write to", "is not a folder; choose another --out", **named)
    assert next(path for path in (file, *file.rglob("*")) if path.is_file()).read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission_is_refused(bench, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    bench.refuses("cannot write to", f"Permission denied in {folder}; choose another --out", out=folder / "out")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_in_which_nobody_can_write_is_refused(bench):
    bench.refuses("cannot write to", "in /proc; choose another --out", out="/proc/out")


def test_an_output_folder_whose_name_is_too_long_is_refused(bench):
    bench.refuses("cannot write to", "File name too long; choose another --out", out="x" * 300)


def test_a_damaged_record_stops_a_table(bench):
    assert bench().status == 0
    (path,) = bench.out.rglob("*.json")
    path.write_text(json.dumps({"schema_version": 1}))
    outcome = bench.srq("table", "--out", bench.out)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"srq: record {path}: ")
    assert outcome.err.count("\n") == 1


def test_an_interrupted_run_leaves_nothing(tiny_suite, tmp_path):
    """SIGINT reaches a process in the middle of calibration."""
    ready = tmp_path / "ready"
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import pathlib, time\nfrom sr_ptq_bench import hookimpl\n"
        f"@hookimpl\ndef srq_calibrate():\n    pathlib.Path({str(ready)!r}).touch()\n    time.sleep(300)\n"
    )
    words = ["run", "-m", "minmax+slow", "-b", "4", "-s", "2", "--suite", tiny_suite.path, "--out", tmp_path / "out"]
    # A shell starts its background jobs deaf to SIGINT, and their children inherit that.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start = [sys.executable, "-c", hear + "from sr_ptq_bench.cli import main; main()"]
    process = subprocess.Popen(
        [*start, *map(str, words), "--plugin", str(FILE), "--plugin", str(slow)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert ready.exists(), err
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    told = [line for line in err.splitlines() if line.startswith("srq: ")]
    assert told == ["srq: interrupted; no file is left half-written, and the same run continues where it was"]
    assert err.rstrip().endswith(told[0])
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob(".srq-*"))
