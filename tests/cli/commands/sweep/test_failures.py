"""A sweep whose cells fail, or that is interrupted or killed."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

from tiny import FILE

from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.sweep.local import LocalEngine

RAISES = """
from sr_ptq_bench import Bounds, hookimpl

@hookimpl
def srq_init_bounds(distribution, bits):
    if bits == 3:
        raise ValueError("not 3")
    return Bounds(distribution.minimum, distribution.maximum)
"""


def records(out: Path):
    return {path.name: read_record(path) for path in sorted(out.rglob("*.json"))}


def test_a_failing_cell_is_reported_at_the_end_with_its_command(sweep, out, tmp_path):
    (tmp_path / "raises.py").write_text(RAISES)
    outcome = sweep("--plugin", tmp_path / "raises.py", methods="raises,minmax", bits="4,3")
    assert outcome.status == 1
    assert "4 cells: 0 were done, 3 measured, 1 failed" in outcome.err
    failed, alone = outcome.err.splitlines()[-2:]
    reason = "plugin 'raises' fails in srq_init_bounds: ValueError: not 3; SRQ_DEBUG=1 shows the traceback"
    assert failed == f"failed: raises w3a3 x2 tiny seed 0: {reason}"
    assert alone.startswith("  alone: srq run --method raises --bits w3a3 --scale 2")
    assert len(records(out)) == 3


def test_the_command_of_a_failed_cell_repeats_it(sweep, srq, out, tmp_path):
    path = tmp_path / "raises.py"
    path.write_text(RAISES)
    outcome = sweep("--plugin", path, "--device", "cpu", "--threads", 3, "--force", methods="raises", bits="3")
    assert outcome.status == 1
    path.write_text(RAISES.replace("bits == 3", "False"))
    words = shlex.split(outcome.err.splitlines()[-1].removeprefix("  alone: srq "))
    assert {"--device", "--force"} < set(words)
    assert srq(*words).status == 0
    (record,) = records(out).values()
    assert record.environment.threads == 3


def test_an_interrupted_sweep_keeps_what_is_finished(sweep, out, monkeypatch):
    whole = LocalEngine.run

    def interrupted(self, tasks):
        for event in whole(self, tasks):
            yield event
            if out.exists() and list(out.rglob("*.json")):
                raise KeyboardInterrupt

    monkeypatch.setattr(LocalEngine, "run", interrupted)
    outcome = sweep()
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1].startswith("srq: interrupted; finished records stay")
    assert len(records(out)) == 1


def test_workers_end_with_a_sweep_that_is_killed(tiny_suite, tmp_path, out):
    slow = RAISES.replace('raise ValueError("not 3")', "import time; Path(HERE).touch(); time.sleep(600)")
    started = tmp_path / "started"
    (tmp_path / "slow.py").write_text(f"from pathlib import Path\nHERE = {str(started)!r}\n{slow}")
    code = "from sr_ptq_bench.cli import main; main()"
    words = ["sweep", "--suite", tiny_suite.path, "--plugin", FILE, "--plugin", tmp_path / "slow.py", "--out", out]
    words += ["--methods", "slow", "--bits", 3, "--scales", 2]
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stderr=subprocess.DEVNULL)
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    workers = [Path(f"/proc/{child}") for child in children]
    until = time.monotonic() + 60
    while any(worker.exists() and "Z" not in (worker / "stat").read_text().split()[2] for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.1)
