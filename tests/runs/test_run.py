"""A run from its spec to its record."""

from __future__ import annotations

import hashlib
import json
import random
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import SITES, TinySuite, comparable, measured, plugin, plugins, prepare, run

from sr_ptq_bench import Bounds, Quantizer, SrqError
from sr_ptq_bench.progress import Silent, TimedStages
from sr_ptq_bench.quantization.state.save_load import load_state, state_sha256
from sr_ptq_bench.runs.stages import observation, references, scoring
from sr_ptq_bench.runs.stages.scoring import score_student

TRAINED = {"dqc.iterations": "2", "dqc.batch": "2", "dqc.patch": "8"}
STAGES = ["score fp", "score bicubic", "score bilinear", "observe", "bounds", "calibrate", "evaluate", "total"]


def ready(suite, *more, **spec):
    return prepare(suite.spec(**spec), plugins(*more))


# The same run twice


def test_the_same_run_gives_the_same_record(tiny_suite, tmp_path):
    one, other = (run(tiny_suite, method="2dquant", home=tmp_path / name, **TRAINED) for name in "ab")
    assert comparable(one) == comparable(other)


def test_a_warm_cache_changes_nothing(tiny_suite):
    one, other = (run(tiny_suite, method="2dquant", bits="w3a5", **TRAINED) for _ in range(2))
    assert comparable(one) == comparable(other)


def test_a_run_before_it_changes_nothing(tiny_suite, tmp_path):
    alone = run(tiny_suite, method="minmax+dqc", home=tmp_path / "a", **TRAINED)
    run(tiny_suite, method="percentile", bits="2", home=tmp_path / "b")
    torch.rand(7)
    assert comparable(run(tiny_suite, method="minmax+dqc", home=tmp_path / "b", **TRAINED)) == comparable(alone)


def test_what_a_plugin_draws_depends_on_the_seed_alone(tiny_suite):
    def calibrate():
        return {"drawn": float(torch.rand(()))}

    drawn = [
        run(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine", seed=seed).figures["drawn"]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_a_calibrator_draws_does_not_depend_on_what_was_drawn_before(tiny_suite):
    def draw():
        return float(torch.rand(())), float(np.random.rand()), random.random()

    def init_bounds(distribution):
        draw()
        return Bounds(distribution.minimum, distribution.maximum)

    def drawn(initializer):
        more = plugin("draws", init_bounds=init_bounds), plugin("mine", calibrate=lambda: {"drawn": list(draw())})
        return run(tiny_suite, *more, method=f"{initializer}+mine").figures["drawn"]

    assert drawn("draws") == drawn("minmax")


def test_2dquant_measures_what_dobi_and_dqc_measure(tiny_suite):
    one, other = (run(tiny_suite, method=method, **TRAINED) for method in ("2dquant", "dobi+dqc"))
    assert one.scores == other.scores
    assert one.state_sha256 == other.state_sha256
    assert one.spec.parts == other.spec.parts


# What a record holds


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
    options = run(tiny_suite, method="2dquant", **TRAINED).spec.options
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


# Bits


@pytest.mark.parametrize("bits", ["w2a8", "w8a2"])
def test_weights_and_activations_have_bits_of_their_own(tiny_suite, bits):
    seen = {}

    def calibrate(student):
        seen.update({q.site.role: q.bits for q in student.quantizers.values()})

    record = run(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine", bits=bits)
    assert seen == {"weight": int(bits[1]), "activation": int(bits[3])}
    assert str(record.spec.bits) == bits


def test_the_bits_of_either_change_the_scores(tiny_suite):
    scores = [run(tiny_suite, bits=bits).scores["noise"].mean["psnr"] for bits in ("w2a8", "w8a2", "w8a8", "2")]
    assert len(set(scores)) == len(scores)


def test_eight_bits_are_close_to_full_precision(tiny_suite):
    record = run(tiny_suite, bits="8")
    assert record.scores["noise"].mean["psnr"] == pytest.approx(record.references.fp["noise"].mean["psnr"], abs=0.05)


def test_a_student_without_quantization_scores_as_full_precision(tiny_suite):
    from sr_ptq_bench import Quantizer

    class Off(Quantizer):
        levels_bounded = False

        def quantize(self, v):
            return v

    def make_quantizer(site, bits):
        return Off(site, bits)

    def init_bounds(distribution):
        return Bounds(distribution.minimum, distribution.maximum)

    record = run(
        tiny_suite,
        plugin("off", init_bounds=init_bounds, make_quantizer=make_quantizer),
        method="off",
    )
    assert record.scores == record.references.fp


# What the run leaves as it was


def test_the_teacher_is_not_touched(tiny_suite):
    def rewrite(student):
        for parameter in student.network.parameters():
            parameter.data.zero_()

    prepared = ready(tiny_suite, plugin("t", transform_model=rewrite), method="t+minmax+dqc", **TRAINED)
    before = {name: tensor.clone() for name, tensor in prepared.teacher.network.state_dict().items()}
    measured(prepared)
    after = prepared.teacher.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_the_input_files_are_not_touched(tiny_suite):
    files = [path for path in tiny_suite.folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    run(tiny_suite, method="2dquant", **TRAINED)
    assert {path: path.read_bytes() for path in files} == before


# The cache


@pytest.fixture
def counted(monkeypatch):
    """How often an upscaler was scored and a network observed."""
    counts = {"score": 0, "observe": 0}

    def count(name):
        function, stages = {
            "score": ("score_datasets", (references, scoring)),
            "observe": ("observe", (observation,)),
        }[name]
        original = getattr(stages[0], function)

        def counting(*arguments):
            counts[name] += 1
            return original(*arguments)

        for stage in stages:
            monkeypatch.setattr(stage, function, counting)

    count("score")
    count("observe")
    return counts


def test_a_second_method_shares_references_and_distributions(tiny_suite, counted):
    first = run(tiny_suite)
    assert counted == {"score": 4, "observe": 1}
    second = run(tiny_suite, method="percentile", bits="2")
    assert counted == {"score": 5, "observe": 1}
    assert first.references == second.references


def test_another_seed_has_other_patches_and_the_same_references(tiny_suite, counted):
    run(tiny_suite)
    run(tiny_suite, seed=1)
    assert counted == {"score": 5, "observe": 2}


def test_other_weights_share_the_interpolations_only(tiny_suite, counted):
    run(tiny_suite)
    path = tiny_suite.folder / "weights.safetensors"
    save_file({name: tensor * 1.5 for name, tensor in load_file(path).items()}, path)
    run(tiny_suite)
    assert counted == {"score": 6, "observe": 2}


def test_another_padding_has_another_full_precision_score(tiny_suite, counted):
    run(tiny_suite)
    tiny_suite.change(padding="window")
    run(tiny_suite)
    assert counted == {"score": 6, "observe": 2}


def test_another_metric_has_references_of_its_own(tiny_suite, counted):
    run(tiny_suite)
    record = run(tiny_suite, plugin("mine", evaluate=lambda: {"mine": 1.0}))
    assert counted == {"score": 8, "observe": 1}
    assert "mine" in record.references.fp["noise"].mean


def test_a_method_that_rewrites_weights_neither_reads_nor_writes_kept_distributions(tiny_suite, counted):
    def double(student):
        student.network.fc1.layer.weight.data.mul_(2)

    rewrite = plugin("t", transform_model=double)
    for _ in range(2):
        run(tiny_suite, rewrite, method="t+minmax")
    assert counted["observe"] == 2
    plain = run(tiny_suite)
    assert counted["observe"] == 3
    assert plain.state_sha256 != run(tiny_suite, rewrite, method="t+minmax").state_sha256


def test_damaged_entries_are_computed_again(tiny_suite, counted):
    first = run(tiny_suite)
    entries = [path for path in (tiny_suite.folder / "home" / "cache").iterdir() if path.is_file()]
    assert len(entries) == 4
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:40])
    assert comparable(run(tiny_suite)) == comparable(first)
    assert counted == {"score": 8, "observe": 2}


def test_a_home_that_cannot_be_written_does_not_fail_the_run(tiny_suite, tmp_path):
    (tmp_path / "home").write_text("a file")
    assert comparable(run(tiny_suite, home=tmp_path / "home")) == comparable(run(tiny_suite))


# Stages


def test_a_stage_that_is_opened_twice_counts_in_sum():
    stages = TimedStages(Silent())
    for _ in range(2):
        with stages("a") as progress:
            progress(1, 2)
    assert list(stages.seconds) == ["a"]


def test_a_stage_that_fails_is_closed(tiny_suite):
    events = []

    class Watched(Silent):
        @contextmanager
        def stage(self, name):
            events.append(f"{name} begins")
            try:
                yield lambda done, total, note="": None
            finally:
                events.append(f"{name} ends")

    def calibrate():
        raise ZeroDivisionError

    prepared = ready(tiny_suite, plugin("bad", calibrate=calibrate), method="minmax+bad")
    with pytest.raises(SrqError, match="fails in srq_calibrate: ZeroDivisionError"):
        measured(prepared, reporter=Watched())
    assert events[-2:] == ["calibrate begins", "calibrate ends"]
