"""`srq sweep` from words to records."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import FILE, TinySuite, comparable, toml

from sr_ptq_bench.records.files import read_record, read_result, state_path
from sr_ptq_bench.sweep.local import LocalEngine

RAISES = """
from sr_ptq_bench import Bounds, hookimpl

@hookimpl
def srq_init_bounds(distribution, bits):
    if bits == 3:
        raise ValueError("not 3")
    return Bounds(distribution.minimum, distribution.maximum)
"""


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def sweep(srq, tiny_suite: TinySuite, out):
    """`srq sweep` on the tiny suite at x2."""

    def call(*more, methods="minmax", bits="4,2"):
        fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--scales", 2, "--out", out)
        return srq("sweep", *fixed, "--methods", methods, "--bits", bits, *more)

    return call


@pytest.fixture
def run(srq, tiny_suite: TinySuite, out):
    """The cell at four bits, measured alone in this process, which a sweep would start a worker for; its record."""

    def call():
        words = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--out", out)
        outcome = srq("run", *words, "--method", "minmax", "--bits", 4)
        assert outcome.status == 0, outcome.err
        (path,) = out.rglob("*.json")
        return path

    return call


def records(out: Path):
    return {path.name: read_record(path) for path in sorted(out.rglob("*.json"))}


@pytest.fixture
def no_engine(monkeypatch):
    """Nothing may be measured."""

    def run(_self, tasks):
        assert not tasks
        yield from ()

    monkeypatch.setattr(LocalEngine, "run", run)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_leaves_the_records_of_single_runs(sweep, srq, out, tmp_path, tiny_suite, workers, monkeypatch):
    outcome = sweep("--workers", workers, methods="minmax,dobi")
    assert outcome.status == 0, outcome.err
    assert "4 cells: 0 were done, 4 measured, 0 failed" in outcome.err
    found = records(out)
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    for method in ("minmax", "dobi"):
        for bits in (4, 2):
            words = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--out", tmp_path / "single")
            assert srq("run", *words, "--method", method, "--bits", bits).status == 0
    single = records(tmp_path / "single")
    assert {name: comparable(record) for name, record in found.items()} == {
        name: comparable(record) for name, record in single.items()
    }
    for path in out.rglob("*.json"):
        alone = next((tmp_path / "single").rglob(path.name))
        assert read_result(path).state == read_result(alone).state


def test_shared_work_is_done_once(sweep, out):
    sweep(methods="minmax,dobi")
    observed = [record.timings["observe"] for record in records(out).values()]
    assert len(list((out.parent / "home/cache").glob("distributions-*"))) == 1
    assert len(list((out.parent / "home/cache").glob("scores-*"))) == 3
    assert len(observed) == 4


def test_what_a_worker_says_stands_beside_its_cell(run, sweep, out):
    """Such as that what other runs have kept is damaged."""
    run()
    (kept,) = (out.parent / "home/cache").glob("distributions-*")
    kept.write_bytes(kept.read_bytes()[:-1])
    outcome = sweep(bits="2")
    assert outcome.status == 0, outcome.err
    (line,) = (line for line in outcome.err.splitlines() if kept.name in line)
    assert line.startswith("minmax w2a2 x2 tiny seed 0: ")
    assert line.endswith(f"it is now {kept.name}.bad")


def test_only_the_rest_of_a_half_done_sweep_is_measured(run, sweep, out):
    path = run()
    before = path.read_bytes()
    outcome = sweep(methods="minmax,dobi")
    assert "4 cells: 1 were done, 3 measured, 0 failed" in outcome.err
    assert path.read_bytes() == before
    assert len(records(out)) == 4


def test_a_record_of_another_machine_counts_as_done(run, sweep, out, monkeypatch, tmp_path, request):
    path = run()
    content = json.loads(path.read_text())
    content["environment"] |= {"cpu": "another", "threads": 64, "device": "NVIDIA"}
    path.write_text(json.dumps(content))
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    request.getfixturevalue("no_engine")
    assert "1 cell: 1 were done, 0 measured, 0 failed" in sweep(bits="4").err
    assert read_record(path).environment.cpu == "another"


def test_a_lost_record_comes_back_from_this_machine_s_memory(run, sweep, out, request):
    path = run()
    before = path.read_bytes()
    path.unlink()
    request.getfixturevalue("no_engine")
    assert sweep(bits="4").status == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["version", "state", "text"])
def test_what_other_software_made_or_is_damaged_is_measured_anew(run, sweep, out, monkeypatch, tmp_path, damage):
    path = run()
    content = json.loads(path.read_text())
    if damage == "version":
        content["environment"]["versions"]["torch"] = "1.0"
        path.write_text(json.dumps(content))
    elif damage == "state":
        state_path(path, read_record(path)).unlink()
    else:
        path.write_text("{")
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    outcome = sweep(bits="4")
    assert "1 cell: 0 were done, 1 measured" in outcome.err
    assert ("Reproduced to the last bit" in " ".join(outcome.err.split())) == (damage == "version")
    kept = read_result(path).record.environment.versions["torch"]
    assert (kept == "1.0") == (damage == "version")  # an equal result leaves the file alone


def test_force_measures_what_is_done(run, sweep):
    run()
    assert "1 cell: 0 were done, 1 measured, 0 failed" in sweep("--force", bits="4").err


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


def test_a_dry_run_measures_nothing_and_estimates(run, sweep, out, request):
    run()
    request.getfixturevalue("no_engine")
    outcome = sweep("--dry-run", methods="minmax,dobi")
    assert outcome.status == 0, outcome.err
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in outcome.out.splitlines() if "│" in line}
    assert rows["minmax w4a4 x2 tiny seed 0"] == "done"
    assert rows["minmax w2a2 x2 tiny seed 0"].endswith(" s")
    assert rows["dobi w2a2 x2 tiny seed 0"] == "no estimate"
    assert "4 cells, 1 done, 3 to do: about" in outcome.err
    assert "2 without an estimate: no earlier record of that work" in outcome.err
    assert len(records(out)) == 1


def test_an_option_goes_to_the_methods_that_have_it(sweep, out):
    words = ("-o", "dqc.iterations=1", "-o", "dqc.patch=8", "-o", "K=7")
    assert sweep(*words, methods="minmax,2dquant", bits="4").status == 0
    options = {record.spec.method: record.spec.options for record in records(out).values()}
    assert options["minmax"] == {"minmax": {}}
    assert (options["2dquant"]["dobi"]["K"], options["2dquant"]["dqc"]["iterations"]) == (7, 1)


@pytest.mark.parametrize(
    ("words", "named", "expected"),
    [
        (["-o", "dqc.iteration=1"], {"methods": "minmax,2dquant"}, "no option 'dqc.iteration'; did you mean"),
        (["-o", "dqc.iterations=0"], {"methods": "minmax,2dquant"}, "cell 2dquant w4a4 x2 tiny seed 0 "),
        ([], {"methods": "minmx"}, "no method 'minmx'; did you mean 'minmax'?"),
        ([], {"methods": "minmax,minmax"}, "methods: minmax is given twice"),
        ([], {"bits": "4,9"}, "bits '9' are out of range; expected 2 to 8"),
        (["--scales", "2,3"], {}, "suite 'tiny' has no weights for x3"),
        (["--scales", "2,x"], {}, "no scale 'x'; expected 2, 3 or 4"),
        (["--models", "edsr"], {}, "no model 'edsr'; there is: tiny"),
        (["--seeds", "0"], {}, "seeds"),
        (["--gpus", "1"], {}, "--gpus goes with --ray"),
        (["--device", "gpu"], {}, "device 'gpu'"),
    ],
)
def test_everything_is_checked_before_any_work(sweep, out, no_engine, words, named, expected):
    outcome = sweep(*words, **named)
    assert outcome.status == 2, outcome
    assert expected in outcome.err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_suite_s_folder_that_cannot_be_written_is_refused_before_any_work(sweep, out, no_engine):
    folder = out / "results" / "tiny"
    folder.parent.mkdir(parents=True)
    folder.symlink_to("/proc")
    outcome = sweep()
    assert outcome.status == 2, outcome.err
    assert f"srq: cannot write to {folder}: " in outcome.err


def test_a_file_and_words_do_not_mix(srq, tmp_path):
    outcome = srq("sweep", tmp_path / "s.toml", "--bits", 4)
    assert outcome.status == 2
    assert "--bits cannot be combined with" in outcome.err


def test_a_file_is_measured(srq, tiny_suite, tmp_path, out):
    table = {"suite": "tiny/suite.toml", "plugins": [str(FILE)], "bits": [4], "scales": [2]}
    runs = [{"methods": ["minmax"]}, {"methods": ["percentile"], "options": {"percentile.p": 0.01}}]
    (tmp_path / "s.toml").write_text(toml(table) + "".join(f"[[run]]\n{toml(run)}" for run in runs))
    outcome = srq("sweep", tmp_path / "s.toml", "--out", out)
    assert outcome.status == 0, outcome.err
    assert [record.spec.method for record in records(out).values()] == ["minmax", "percentile"]


def test_cells_that_differ_in_words_alone_are_one_cell(srq, tiny_suite, tmp_path, out):
    table = {"suite": "tiny/suite.toml", "plugins": [str(FILE)], "bits": [4], "scales": [2], "methods": ["dobi"]}
    text = toml(table) + "[[run]]\n[[run]]\noptions.dobi.K = 100\n"
    (tmp_path / "s.toml").write_text(text)
    outcome = srq("sweep", tmp_path / "s.toml", "--out", out)
    assert outcome.status == 2
    assert "is given twice; leave one out" in outcome.err


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


def test_without_ray_a_line_says_what_to_install(sweep, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = sweep("--ray", "auto")
    assert outcome.status == 2
    assert "pip install 'sr_ptq_bench[ray]'" in outcome.err.splitlines()[-1]
    assert not out.exists()


def test_a_ray_cluster_makes_the_same_records(sweep, out, monkeypatch, tmp_path):
    pytest.importorskip("ray")
    assert sweep(methods="minmax,dobi").status == 0
    here = {name: comparable(record) for name, record in records(out).items()}
    states = {path.name: path.read_bytes() for path in out.rglob("*.safetensors")}
    out.rename(tmp_path / "local")
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    outcome = sweep("--ray", "local", methods="minmax,dobi")
    assert outcome.status == 0, outcome.err
    assert {name: comparable(record) for name, record in records(out).items()} == here
    assert {path.name: path.read_bytes() for path in out.rglob("*.safetensors")} == states
