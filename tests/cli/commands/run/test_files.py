"""Which files `srq run` writes, and which of an earlier run it keeps."""

from __future__ import annotations

import json

from forged import edited, shift
from tiny import FILE, comparable, write_images

from sr_ptq_bench.quantization.state.header import read_header
from sr_ptq_bench.quantization.state.save_load import state_sha256
from sr_ptq_bench.records.files import read_record, read_result, state_path


def test_the_same_run_is_recognised(run, records):
    first = run()
    (path,) = records()
    before = path.read_bytes()
    second = run()
    assert second.status == 0
    assert second.err == "Measured already on this machine; --force measures again.\n"
    assert second.out == first.out
    assert records() == [path]
    assert path.read_bytes() == before


def test_the_state_of_a_run_is_beside_its_record(run, records):
    run()
    (path,) = records()
    result = read_result(path)
    file = state_path(path, result.record)
    assert file.name == f"{path.stem}.{state_sha256(result.state)[:12]}.safetensors"
    assert len(read_header(result.state).sites) == result.record.scope.sites
    assert sorted(path.parent.iterdir()) == sorted([path, file])
    file.unlink()
    run()
    assert read_result(path) == result


def test_force_measures_again(run, records):
    run()
    (path,) = records()
    first = read_record(path)
    outcome = run("--force")
    assert "Score the quantized network" in outcome.err
    assert records() == [path]
    assert comparable(read_record(path)) == comparable(first)


def test_a_damaged_or_lost_record_is_written_again_from_memory(run, records):
    run()
    (path,) = records()
    whole = path.read_bytes()
    path.write_text("{")
    assert run().status == 0
    assert path.read_bytes() == whole
    path.unlink()
    assert "Measured already" in run().err
    assert path.read_bytes() == whole


def test_a_damaged_record_in_the_way_is_set_aside_and_named(run, records):
    run()
    (path,) = records()
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    outcome = run()
    assert outcome.status == 0
    assert f"; it is now {path.name}.bad" in outcome.err.splitlines()[0]
    assert path.read_bytes() == whole
    assert path.with_name(f"{path.name}.bad").read_bytes() == whole[:-20]


def test_a_record_of_a_later_srq_is_refused_before_any_work(run, records, own_home):
    run()
    (path,) = records()
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    outcome = run("--force")
    assert outcome.status == 2
    assert "schema version 3; this srq reads 2; it is not overwritten" in outcome.err
    assert outcome.err.count("\n") == 1
    assert '"schema_version": 3' in path.read_text()


def test_a_home_that_cannot_be_written_is_told_in_one_line(run, records, own_home):
    own_home.write_text("a file")
    outcome = run()
    assert outcome.status == 0
    assert len(records()) == 1
    (line,) = (line for line in outcome.err.splitlines() if "going on without" in line)
    assert str(own_home) in line


def test_a_record_that_this_machine_did_not_make_does_not_count(run, records, monkeypatch, tmp_path):
    run()
    (path,) = records()
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    assert "Score the quantized network" in run().err
    assert records() == [path]


def test_a_home_folder_is_expanded(run, records, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_images(tmp_path / "photos", one=(24, 24))
    assert run("--test", "mine=~/photos").status == 0


def test_records_go_where_out_says(run, records, tmp_path):
    assert run(out=tmp_path / "a" / "b").status == 0
    assert len(records(tmp_path / "a")) == 1


def test_records_go_to_leaderboards_by_default(srq, tiny_suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = srq("run", "--suite", "tiny/suite.toml", "--plugin", FILE, "-m", "minmax", "-b", 4, "-s", 2)
    assert outcome.status == 0, outcome.err
    assert len(list((tmp_path / "leaderboards" / "results" / "tiny").glob("*.json"))) == 1


def test_nothing_but_the_record_is_written(run, records, tmp_path):
    run()
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(tmp_path / "tiny")]
    (state,) = (tmp_path / "home" / "cache" / "states").iterdir()
    assert {path.parent.relative_to(tmp_path).as_posix() for path in outside} == {
        "out/results/tiny", "home/cache", "home/cache/records", f"home/cache/states/{state.name}", "home/locks",
    }  # fmt: skip
    assert not list(tmp_path.rglob(".srq-*"))


def test_a_record_is_json_that_ends_with_a_line(run, records):
    run()
    text = records()[0].read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text)["spec"]["suite"] == "tiny"


def test_a_record_from_elsewhere_that_is_reproduced_stays(run, records, monkeypatch, tmp_path):
    run()
    (path,) = records()
    before = path.read_bytes()
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    assert f"Reproduced to the last bit; the file stays: {path}\n" in run().err
    assert path.read_bytes() == before
    assert run("--replace").status == 0
    assert path.read_bytes() != before


def test_another_result_of_another_processor_says_so(run, records):
    run()
    (path,) = records()
    content = json.loads(path.read_text())
    content["scores"]["noise"]["mean"]["psnr"] += 1
    for scores in content["scores"]["noise"]["images"].values():
        scores["psnr"] += 1
    content["environment"]["cpu"] = "Abacus"
    path.write_text(json.dumps(content))
    assert f"{path}, made on Abacus, differs: noise PSNR " in run().err


def test_another_result_without_its_state_is_shown_too(run, records):
    """As of a checkout without large files."""
    run()
    (path,) = records()
    state = state_path(path, read_record(path))
    edited(path, lambda content: shift(content, 1.0))
    theirs = path.read_bytes()
    state.unlink()
    assert f"{path} differs: noise PSNR " in run().err
    assert path.read_bytes() == theirs
    assert not state.exists()
    assert run("--replace").status == 0
    assert read_result(path).record.scores != json.loads(theirs)["scores"]


def test_a_reproduced_record_gets_its_state_back(run, records):
    run()
    (path,) = records()
    whole = read_result(path)
    state_path(path, whole.record).unlink()
    assert run().status == 0
    assert read_result(path) == whole


def test_a_record_of_another_run_under_this_name_is_set_aside(run, records):
    run()
    (path,) = records()
    edited(path, lambda content: content["spec"].update(seed=7))
    theirs = path.read_bytes()
    outcome = run()
    assert outcome.status == 0
    assert f"{path} is of another run, minmax-w4a4-x2-s7-" in outcome.err
    assert theirs in [of.read_bytes() for of in path.parent.iterdir() if of != path]
    assert read_record(path).spec.seed == 0


def test_another_result_is_shown_and_replaces_only_when_asked(run, records):
    run()
    (path,) = records()
    mine = path.read_bytes()
    table = json.loads(mine)
    for scores in (table["scores"]["noise"]["mean"], *table["scores"]["noise"]["images"].values()):
        scores["psnr"] += 1
    path.write_text(json.dumps(table))
    edited = path.read_bytes()
    outcome = run()
    assert outcome.status == 0
    assert path.read_bytes() == edited
    psnr = json.loads(mine)["scores"]["noise"]["mean"]["psnr"]
    assert f"{path} differs: noise PSNR {psnr + 1:.6g} there, {psnr:.6g} here. The file stays; " in outcome.err
    run("--replace")
    assert path.read_bytes() == mine
