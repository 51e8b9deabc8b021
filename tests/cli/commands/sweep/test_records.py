"""`srq sweep` leaves the records of single runs, and measures what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import FILE, comparable, toml

from sr_ptq_bench.records.files import read_record, read_result, state_path


def records(out: Path):
    return {path.name: read_record(path) for path in sorted(out.rglob("*.json"))}


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


def test_an_option_goes_to_the_methods_that_have_it(sweep, out):
    words = ("-o", "dqc.iterations=1", "-o", "dqc.patch=8", "-o", "K=7")
    assert sweep(*words, methods="minmax,2dquant", bits="4").status == 0
    options = {record.spec.method: record.spec.options for record in records(out).values()}
    assert options["minmax"] == {"minmax": {}}
    assert (options["2dquant"]["dobi"]["K"], options["2dquant"]["dqc"]["iterations"]) == (7, 1)


def test_a_file_is_measured(srq, tiny_suite, tmp_path, out):
    table = {"suite": "tiny/suite.toml", "plugins": [str(FILE)], "bits": [4], "scales": [2]}
    runs = [{"methods": ["minmax"]}, {"methods": ["percentile"], "options": {"percentile.p": 0.01}}]
    (tmp_path / "s.toml").write_text(toml(table) + "".join(f"[[run]]\n{toml(run)}" for run in runs))
    outcome = srq("sweep", tmp_path / "s.toml", "--out", out)
    assert outcome.status == 0, outcome.err
    assert [record.spec.method for record in records(out).values()] == ["minmax", "percentile"]


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
