"""What a user may choose: seeds, methods, bits, networks, options and photos."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import save_file
from tiny import comparable, write_images

from sr_ptq_bench.backbones import edsr
from sr_ptq_bench.records.files import read_record

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
