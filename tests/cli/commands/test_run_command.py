"""`srq run` measures, shows and writes."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from made_records import like
from made_records import record as made
from safetensors.torch import save_file
from tiny import FILE, TinySuite, comparable, write_images

from sr_ptq_bench.backbones import edsr
from sr_ptq_bench.quantization.state.header import read_header
from sr_ptq_bench.quantization.state.save_load import state_sha256
from sr_ptq_bench.records.files import read_record, read_result, state_path
from sr_ptq_bench.records.summary import lost

NOISY = """
import torch
from tiny import PRODUCERS, WINDOW, Tiny
from sr_ptq_bench import SRModel, fill, hookimpl

class Noisy(Tiny):
    def forward(self, x):
        return super().forward(x) + 0.05 * torch.randn(())

@hookimpl
def srq_load_model(name, scale, weights):
    if name != "noisy":
        return None
    network = Noisy(scale)
    fill(network, weights)
    network.eval().requires_grad_(False)
    return SRModel(name, scale, network, PRODUCERS, (), size_multiple=WINDOW, scope="linear")
"""


@pytest.fixture
def run(srq, tiny_suite: TinySuite, tmp_path):
    """`srq run` on the tiny suite at x2, records in `tmp_path/out`."""

    def call(*more, method="minmax", bits="4", out=tmp_path / "out", suite=tiny_suite.path):
        fixed = ("run", "--suite", suite, "--plugin", FILE, "--scale", 2, "--out", out)
        return srq(*fixed, "--method", method, "--bits", bits, *more)

    return call


@pytest.fixture
def records(tmp_path):
    """The records written so far, by suite and name."""

    def find(out=tmp_path / "out"):
        return sorted(out.rglob("*.json"))

    return find


def test_a_run_writes_a_record_and_prints_a_table(run, records, tmp_path):
    outcome = run()
    assert outcome.status == 0, outcome.err
    (path,) = records()
    assert path.parent == tmp_path / "out" / "results" / "tiny"
    assert path.name.startswith("minmax-w4a4-x2-s0-")
    record = read_record(path)
    for label, scores in (
        ("bicubic", record.references.bicubic),
        ("bilinear", record.references.bilinear),
        ("minmax w4a4", record.scores),
        ("full precision (FP)", record.references.fp),
    ):
        (row,) = (line for line in outcome.out.splitlines() if line.startswith("│") and label in line)
        mean = scores["noise"].mean
        assert f"{mean['psnr']:.2f}" in row
        assert f"{mean['ssim']:.4f}" in row
    assert "tiny x2, suite tiny" in outcome.out
    assert str(path) in outcome.out.replace("\n", "")


def test_progress_is_on_stderr_in_the_order_of_the_stages(run):
    assert run().err.splitlines() == [
        "Score the FP network",
        "Score bicubic",
        "Score bilinear",
        "Observe distributions",
        "Choose bounds",
        "Calibrate",
        "Score the quantized network",
    ]


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


def test_seeds_have_records_of_their_own(run, records):
    run()
    run("--seed", 3)
    names = [path.name for path in records()]
    assert len(names) == 2
    assert "-s3-" in names[1]


def test_several_seeds_follow_each_other(run, records, srq, tmp_path):
    outcome = run("--seed", 5, "--seeds", 3)
    assert outcome.status == 0, outcome.err
    assert [path.name.split("-")[3] for path in records()] == ["s5", "s6", "s7"]
    assert [read_record(path).spec.seed for path in records()] == [5, 6, 7]
    assert outcome.out.count("minmax w4a4") == 3
    assert "minmax [seeds 5, 6, 7]" in srq("table", "--out", tmp_path / "out").out


def test_of_several_seeds_only_the_missing_are_measured(run, records):
    run("--seed", 1)
    outcome = run("--seeds", 3)
    assert outcome.err.count("Score the quantized network") == 2
    assert outcome.err.count("Measured already") == 1
    assert len(records()) == 3


@pytest.mark.parametrize("seeds", [["--seeds", 0], ["--seed", 2**63 - 1, "--seeds", 2], ["--seeds", "x"]])
def test_impossible_seeds_are_refused_before_any_work(run, records, seeds):
    outcome = run(*seeds)
    assert (outcome.status, outcome.out, records()) == (2, "", [])
    assert "--seeds" in outcome.err
    assert outcome.err.count("\n") == 1


def test_methods_and_bits_have_records_of_their_own(run, records):
    for method, bits in (("minmax", "4"), ("minmax", "W4a8"), ("percentile", "4")):
        assert run(method=method, bits=bits).status == 0
    assert [path.name.rsplit("-", 1)[0] for path in records()] == [
        "minmax-w4a4-x2-s0", "minmax-w4a8-x2-s0", "percentile-w4a4-x2-s0",
    ]  # fmt: skip


def test_mixed_chooses_the_bits_of_sites(run, records):
    outcome = run("--mixed", "-o", "mixed.patch=8", bits="3")
    assert outcome.status == 0, outcome.err
    (path,) = records()
    record = read_record(path)
    assert record.spec.method == "mixed+minmax"
    assert set(record.site_bits.values()) - {3}


def test_another_network_and_another_scope(run, records, tiny_suite, tmp_path):
    torch.manual_seed(0)
    save_file(edsr.new_network("msrresnet", 2).state_dict(), tmp_path / "msrresnet.safetensors")
    suite = tiny_suite.change(networks={"msrresnet": {"2": str(tmp_path / "msrresnet.safetensors")}})
    outcomes = run("--scope", "all", suite=suite), run("--model", "msrresnet", suite=suite)
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    found = {(record.spec.model, record.spec.scope): record for record in map(read_record, records())}
    assert set(found) == {("tiny", "all"), ("msrresnet", "all")}
    assert found["msrresnet", "all"].scope.sites == 72
    assert "minmax w4a4, all" in outcomes[0].out


def test_runs_of_all_seeds_share_the_scores_of_a_network_that_draws_numbers(run, records, tiny_suite, tmp_path):
    """Whichever of them is measured first."""
    (tmp_path / "noisy.py").write_text(NOISY)
    words, suite = ("--plugin", tmp_path / "noisy.py"), tiny_suite.change(model="noisy")
    outcomes = [run(*words, "--seed", 0, suite=suite), run(*words, "--seed", 1, suite=suite)]
    shutil.rmtree(tmp_path / "home")
    outcomes.append(run(*words, "--seed", 1, suite=suite, out=tmp_path / "again"))
    assert [outcome.status for outcome in outcomes] == [0, 0, 0], outcomes
    zero, one = map(read_record, records())
    (again,) = map(read_record, records(tmp_path / "again"))
    assert zero.references == one.references
    assert zero.scores != one.scores
    assert comparable(again) == comparable(one)


def test_options_reach_the_method(run, records):
    trained = ("-o", "iterations=1", "-o", "dqc.batch=2", "--option", "dqc.patch=8", "-o", "K=5")
    outcome = run(*trained, method="2dquant")
    assert outcome.status == 0, outcome.err
    options = read_record(records()[0]).spec.options
    assert options["dqc"].items() >= {"iterations": 1, "batch": 2, "patch": 8}.items()
    assert options["dobi"]["K"] == 5


def test_one_s_own_photos_take_the_place_of_the_test_sets(run, records, tmp_path):
    write_images(tmp_path / "holiday", beach=(24, 24))
    outcome = run("--test", f"holiday={tmp_path / 'holiday'}")
    assert outcome.status == 0, outcome.err
    (path,) = records()
    assert path.parent.name == "tiny-holiday"
    record = read_record(path)
    assert record.spec.suite == "tiny-holiday"
    assert list(record.scores["holiday"].images) == ["beach"]


def test_several_sets_of_photos_stand_beside_each_other(run, records, tmp_path):
    write_images(tmp_path / "b", one=(24, 24))
    write_images(tmp_path / "a", one=(24, 24))
    outcome = run("--test", f"b={tmp_path / 'b'}", "--test", f"a={tmp_path / 'a'}")
    record = read_record(records()[0])
    assert record.spec.suite == "tiny-a-b"
    assert list(record.scores) == ["b", "a"]
    assert "b PSNR" in outcome.out
    assert "a SSIM" in outcome.out


def test_a_home_folder_is_expanded(run, records, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_images(tmp_path / "photos", one=(24, 24))
    assert run("--test", "mine=~/photos").status == 0


def test_a_name_that_looks_like_markup_is_printed_as_it_is(run, tiny_suite, tmp_path):
    write_images(tiny_suite.folder / "test", **{"[bold]x[": (24, 24)})
    tiny_suite.change(test={"[/red]": {"hr": "test"}, "b": {"hr": "test"}})
    outcome = run(out=tmp_path / "[red]")
    assert outcome.status == 0, outcome.err
    assert "[/red]" in outcome.out
    assert str(tmp_path / "[red]") in outcome.out


def test_a_terminal_sees_the_stage_at_which_a_run_fails(capsys, monkeypatch):
    from sr_ptq_bench.cli.display import Display

    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(ZeroDivisionError), Display().stage("observe") as report:
        report(1, 2, "[/red]x")
        raise ZeroDivisionError
    shown = capsys.readouterr().err
    assert "Observe distributions" in shown
    assert "[/red]x" in shown


def test_test_sets_that_are_not_at_hand_are_said_in_one_line(run, records, tiny_suite):
    tiny_suite.change(test={"noise": {"hr": "test"}, "B": {"datasets": ["B100"]}, "U": {"datasets": ["Urban100"]}})
    outcome = run()
    assert outcome.status == 0, outcome.err
    assert outcome.err.splitlines()[0] == "Missing test sets are skipped: B, U; see `srq data get`."
    assert read_record(records()[0]).not_scored == ("B", "U")


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


def test_a_record_makes_a_table(run, srq, tmp_path):
    run()
    outcome = srq("table", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    assert "minmax" in outcome.out


def test_the_end_says_what_was_lost_with_what_options_and_what_comes_next(run, records, tmp_path):
    out = run(method="percentile", bits="2").out
    end = out.splitlines()[-4:]
    (path,) = records()
    record = read_record(path)
    psnr, fp, bicubic = (
        of["noise"].mean["psnr"] for of in (record.scores, record.references.fp, record.references.bicubic)
    )
    assert f"noise: {psnr - fp:+.2f} dB against FP, {psnr - bicubic:+.2f} dB against bicubic" in out.splitlines()
    assert end[1] == "options: defaults"
    assert end[3] == f"next: srq table --suite tiny --out {tmp_path / 'out'}"
    assert "options: p=0.01" in run("-o", "p=0.01", method="percentile").out.splitlines()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), "options: of the suite: mse.points=9, mse.weights=channel"),
        (("-o", "points=8"), "options: points=8; of the suite: mse.weights=channel"),
        (("-o", "mse.points=8", "-o", "weights=tensor"), "options: mse.points=8, weights=tensor"),
    ],
)
def test_the_end_names_the_suite_s_options_of_the_method(run, tiny_suite, given, expected):
    tiny_suite.change(options={"mse": {"points": 9, "weights": "channel"}, "dqc.iterations": 5})
    assert expected in run(*given, method="mse").out.splitlines()


def test_a_result_below_bicubic_is_named():
    better, worse = (list(lost(made(psnr=psnr))) for psnr in (33.7, 33.6))
    assert better == ["Set5: -4.45 dB against FP, +0.02 dB against bicubic"]
    assert worse[1] == "Set5: below bicubic: the quantized network is worse than plain interpolation"


def test_what_is_lost_is_neither_minus_nothing_nor_nan():
    def end(psnr: float, fp: float) -> str:
        scores = made(psnr=psnr).scores
        references = {"fp": like(scores, fp), "bicubic": like(scores, 30.0), "bilinear": like(scores, 30.0)}
        (line,) = lost(made(scores=scores, references=references))
        return line

    assert end(35.0, 35.001) == "Set5: +0.00 dB against FP, +5.00 dB against bicubic"
    assert end(math.inf, math.inf) == "Set5: +0.00 dB against FP, +inf dB against bicubic"


def test_a_record_from_elsewhere_that_is_reproduced_stays(run, records, monkeypatch, tmp_path):
    run()
    (path,) = records()
    before = path.read_bytes()
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    assert f"Reproduced to the last bit; the file stays: {path}\n" in run().err
    assert path.read_bytes() == before
    assert run("--replace").status == 0
    assert path.read_bytes() != before


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
