"""What the record of a run holds."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import torch
from tiny import SITES, TinySuite, measured, plugin, ready, run

from sr_ptq_bench import Quantizer, SrqError
from sr_ptq_bench.quantization.state.save_load import load_state, state_sha256
from sr_ptq_bench.runs.stages.scoring import score_student

STAGES = ["score fp", "score bicubic", "score bilinear", "observe", "bounds", "calibrate", "evaluate", "total"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def record(folder):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SRQ_HOME", str(folder / "home"))
        return run(TinySuite.write(folder), method="percentile", bits="w3a5", seed=7, p="0.01")


def test_the_record_holds_the_resolved_spec(record):
    assert record.spec.model_dump(mode="json") == {
        "method": "percentile",
        "parts": ["percentile"],
        "bits": {"weight": 3, "activation": 5},
        "scale": 2,
        "seed": 7,
        "model": "tiny",
        "suite": "tiny",
        "options": {"percentile": {"p": 0.01}},
        "padding": "flip",
        "calibration": {"patches": 4, "size": 8},
        "scope": "linear",
    }


def test_the_record_holds_every_default(tiny_suite):
    few = {"dqc.iterations": "2", "dqc.batch": "2", "dqc.patch": "8"}
    options = run(tiny_suite, method="2dquant", **few).spec.options
    assert options["dobi"]["K"] == 100
    assert options["dqc"].items() >= {"iterations": 2, "lr": 0.01, "preset": "paper"}.items()


def test_the_record_holds_the_scope(record):
    assert (record.scope.short, record.scope.sites) == ("linear+matmul", len(SITES))
    assert record.scope.quantized_weights == 4 * 8 + 8 * 4
    assert record.scope.parameters == 3 * 4 * 9 + 4 + 4 * 8 + 8 + 8 * 4 + 4 + 4 * 12 * 9 + 12
    assert "Linear layers" in record.scope.description


def test_scope_all_quantizes_the_convolutions_too(tiny_suite):
    record = run(tiny_suite, scope="all")
    assert (record.spec.scope, record.scope.short) == ("all", "all")
    assert record.scope.sites == len(SITES) + 4
    assert record.scope.quantized_weights == 4 * 8 + 8 * 4 + 3 * 4 * 9 + 4 * 12 * 9
    assert record.scores != run(tiny_suite, scope="linear").scores


def test_the_network_s_own_scope_may_be_named(tiny_suite):
    assert ready(tiny_suite, scope="linear").record_name == ready(tiny_suite).record_name
    assert ready(tiny_suite, scope="all").record_name != ready(tiny_suite).record_name


def test_the_record_holds_what_the_network_stores_and_computes(record):
    assert record.complexity.parameters == {32: record.scope.parameters - 64, 3: 64}
    assert record.complexity.macs == {32: (3 * 4 * 9 + 4 * 12 * 9 + 16) * 256, 5: (64 + 16) * 256}


def test_a_method_s_own_bits_are_counted(tiny_suite):
    def make_quantizer(site):
        return Quantizer(site, 8 if site.name.startswith("fc1") else 2)

    record = run(tiny_suite, plugin("wide", make_quantizer=make_quantizer), method="wide+minmax", bits="6")
    assert record.complexity.parameters == {32: record.scope.parameters - 64, 8: 32, 2: 32}


def test_the_record_holds_scores_and_references_of_the_same_images(record):
    for scores in (record.scores, record.references.fp, record.references.bicubic, record.references.bilinear):
        assert list(scores) == ["noise"]
        assert list(scores["noise"].images) == ["first", "second"]
        assert {*scores["noise"].mean} == {"psnr", "ssim"}
    assert len({record.references.fp["noise"].mean["psnr"], record.scores["noise"].mean["psnr"]}) == 2


def test_the_record_holds_hashes_of_weights_and_data(record, folder):
    assert record.hashes.weights == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert list(record.hashes.test) == ["noise"]
    assert [*record.hashes.plugins] == ["tiny"]
    assert re.fullmatch("[0-9a-f]{64}", record.hashes.plugins["tiny"])
    assert list(record.code) == ["sr_ptq_bench", "metrics", *record.spec.parts, "tiny"]


def test_the_record_holds_versions_and_the_machine(record):
    versions = record.environment.versions
    assert {"sr_ptq_bench", "torch", "basicsr", "numpy", "opencv", "python", "plugin percentile"} == {*versions}
    assert record.environment.device == "cpu"
    assert record.environment.threads == torch.get_num_threads()


def test_the_record_holds_the_timings_of_all_stages_in_order(record):
    assert list(record.timings) == STAGES
    assert all(seconds >= 0 for seconds in record.timings.values())
    assert record.timings["total"] >= sum(record.timings[stage] for stage in STAGES[:-1])


def test_a_stage_that_rewrites_weights_is_timed(tiny_suite):
    record = run(tiny_suite, plugin("t", transform_model=lambda student: None), method="t+minmax")
    assert list(record.timings)[3:5] == ["transform", "observe"]


def test_the_record_holds_memory_and_time(tiny_suite):
    record = run(tiny_suite)
    assert record.peak_memory_bytes > 2**20
    assert abs(datetime.now(UTC) - record.created) < timedelta(minutes=5)


def test_the_record_names_no_path_of_this_machine(record, folder):
    assert str(folder) not in json.dumps(record.model_dump(mode="json"))


def test_the_state_has_a_fingerprint(tiny_suite):
    hashes = {run(tiny_suite, method=method).state_sha256 for method in ("minmax", "percentile", "dobi")}
    assert len(hashes) == 3


@pytest.mark.parametrize("what", ["bound", "weight", "bias"])
def test_the_fingerprint_of_the_state_sees_the_last_bit(tiny_suite, what):
    def calibrate(student):
        layer = student.network.fc1.layer
        tensor = {"bound": student.quantizers["key"].upper, "weight": layer.weight, "bias": layer.bias}[what]
        tensor.data = torch.nextafter(tensor.data, tensor.data + 1)

    changed = run(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")
    assert changed.state_sha256 != run(tiny_suite).state_sha256


def trained(suite):
    """A prepared run of a calibrator that changes a bound, weights, a bias, and the bits of a site."""

    def calibrate(student):
        student.quantizers["key"].upper.data.mul_(0.9)
        student.weights["fc1.weight"].data.mul_(1.1)
        student.network.tail.bias.data.add_(0.02)
        student.quantizers["query"].bits = 2

    return ready(suite, plugin("mine", calibrate=calibrate), method="minmax+mine")


def test_the_student_that_is_scored_is_that_of_the_state(tiny_suite):
    prepared = trained(tiny_suite)
    result = measured(prepared)
    assert state_sha256(result.state) == result.record.state_sha256
    student = load_state(result.state, prepared.teacher)
    assert student.network.tail.bias.equal(prepared.teacher.network.tail.bias + 0.02)
    assert score_student(prepared, student, lambda *_: None) == (result.record.scores, None)
    assert result.record.scores != measured(ready(tiny_suite)).record.scores


def test_the_bits_of_single_sites_are_in_the_record(tiny_suite, record):
    assert measured(trained(tiny_suite)).record.site_bits == {"query": 2}
    assert record.site_bits == {}


def test_a_tensor_that_the_state_cannot_hold_is_an_error_of_the_method(tiny_suite):
    def calibrate(student):
        student.network.register_buffer("more", torch.zeros(2))

    prepared = ready(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")
    with pytest.raises(SrqError) as caught:
        measured(prepared)
    assert str(caught.value) == (
        "method 'minmax+mine': the student has the tensor more; a method may change tensors, not add or remove them"
    )
