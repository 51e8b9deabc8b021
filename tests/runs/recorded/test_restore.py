"""A run's student comes back from the state beside its record, and from nothing else."""

from __future__ import annotations

import re

import pytest
import torch
from made_records import record as made
from made_records import scored
from tiny import Heard, plugin, plugins, prepare, session

from sr_ptq_bench import Bounds, PluginOptions, Quantizer, SrqError
from sr_ptq_bench.evaluation.score import network_upscaler
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.quantization.state.save_load import save_state
from sr_ptq_bench.records.files import read_result, state_path
from sr_ptq_bench.records.suite_name import suite_of
from sr_ptq_bench.runs.restore import load_or_calibrate, prepare_recorded, restore_student, spec_of
from sr_ptq_bench.runs.run import measure
from sr_ptq_bench.runs.stages.scoring import score_student

TRAINED = {"dqc.iterations": "2", "dqc.batch": "2", "dqc.patch": "8"}


def must_not_calibrate():
    raise AssertionError("calibrated anew")


def ready(suite, *more, method="minmax", **spec):
    return prepare(suite.spec(method, **spec), plugins(*more))


def state_of(student, run):
    return save_state(student, run.teacher)


def written(run, folder):
    """The path of the record of a run that was measured and written."""
    return measure(run, session()).write(folder, pytest.fail)


def train_everything(student):
    """A calibrator that changes bounds, weights, biases and bits."""
    student.quantizers["key"].upper.data.mul_(0.9)
    student.quantizers["query"].bits = 3
    for number, parameter in enumerate(student.network.parameters()):
        parameter.data.add_(0.001 * number)


def test_the_student_of_a_record_scores_as_the_record_says(tiny_suite, tmp_path):
    run = ready(tiny_suite, method="2dquant", **TRAINED)
    result = read_result(written(run, tmp_path / "out"))
    student = restore_student(run, result)
    assert state_of(student, run) == result.state
    pair = run.tests["noise"][0]
    scores = run.plugins.evaluate(network_upscaler(student.model, None, 0)(pair.lr), pair.hr, 2)
    assert scores == result.record.scores["noise"].images[pair.name]


def test_changed_weights_come_from_the_state(tiny_suite, tmp_path):
    def transform_model(student):
        for weight in student.weights.values():
            weight.data.mul_(1 + torch.rand(()))

    run = ready(tiny_suite, plugin("noisy", transform_model=transform_model), method="minmax+noisy")
    result = read_result(written(run, tmp_path / "out"))
    student = restore_student(run, result)
    assert not torch.equal(student.weights["fc1.weight"], run.teacher.network.fc1.weight)
    assert torch.equal(student.weights["fc1.weight"], restore_student(run, result).weights["fc1.weight"])
    assert state_of(student, run) == result.state


def test_all_that_a_calibrator_changed_comes_back(tiny_suite, tmp_path):
    run = ready(tiny_suite, plugin("mine", calibrate=train_everything), method="minmax+mine")
    result = read_result(written(run, tmp_path / "out"))
    student = restore_student(run, result)
    assert student.quantizers["query"].bits == 3
    assert not torch.equal(student.network.tail.bias, run.teacher.network.tail.bias)
    assert score_student(run, student, lambda *_: None) == (result.record.scores, None)


def test_a_state_of_another_run_is_refused(tiny_suite, tmp_path):
    one, other = ready(tiny_suite), ready(tiny_suite, method="percentile")
    path, source = (written(run, tmp_path / "out") for run in (one, other))
    state = state_path(path, read_result(path).record)
    state.write_bytes(read_result(source).state)
    with pytest.raises(SrqError, match=r"is not that of the record .*; measure again$"):
        read_result(path)


def test_a_state_of_other_weights_names_the_record(tiny_suite, tmp_path):
    run = ready(tiny_suite)
    result = measure(run, session())
    run.teacher.network.head.bias.data.add_(1)
    with pytest.raises(SrqError) as caught:
        restore_student(run, result)
    assert str(caught.value).startswith(f"state of {run.record_name}: the state is of another full-precision network")


def test_a_run_without_a_result_is_calibrated(tiny_suite, tmp_path):
    run = ready(tiny_suite, method="2dquant", **TRAINED)
    student = load_or_calibrate(run, session(), tmp_path / "none")
    assert state_of(student, run) == measure(run, session(home=tmp_path / "other")).state


def test_a_calibration_that_was_killed_is_not_repeated(tiny_suite, tmp_path):
    first = ready(tiny_suite, plugin("once", calibrate=lambda: None), method="minmax+once")
    student = load_or_calibrate(first, session(), tmp_path)
    same = ready(tiny_suite, plugin("once", calibrate=must_not_calibrate), method="minmax+once")
    assert state_of(load_or_calibrate(same, session(), tmp_path), same) == state_of(student, first)


@pytest.mark.parametrize("place", ["results", "cache"])
def test_a_stored_result_is_taken(tiny_suite, tmp_path, place):
    run = ready(tiny_suite, plugin("once", calibrate=train_everything), method="minmax+once")
    result = measure(run, session(home=tmp_path / "first"))
    result.write(tmp_path / "out" if place == "results" else session().cache.records, pytest.fail)
    same = ready(tiny_suite, plugin("once", calibrate=must_not_calibrate), method="minmax+once")
    assert state_of(load_or_calibrate(same, session(), tmp_path / "out"), same) == result.state


def another_state(path):
    state_path(path, read_result(path).record).write_bytes(b"another")


def no_record(path):
    path.write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [(another_state, "Not used: state .* is not that of the record"), (no_record, "Not used: record .*: ")],
)
def test_a_damaged_result_is_named_and_calibrated_again(tiny_suite, tmp_path, damage, said):
    run = ready(tiny_suite)
    path, heard = written(run, tmp_path / "out"), Heard()
    state = read_result(path).state
    damage(path)
    student = load_or_calibrate(run, session(reporter=heard), tmp_path / "out")
    assert state_of(student, run) == state
    (line,) = (line for line in heard.lines if line.startswith("Not used"))
    assert re.match(said, line)


def test_a_record_without_its_state_does_not_help(tiny_suite, tmp_path):
    run = ready(tiny_suite)
    path = written(run, tmp_path / "out")
    result = read_result(path)
    state_path(path, result.record).unlink()
    assert state_of(load_or_calibrate(run, session(), tmp_path / "out"), run) == result.state


# A record as a run


def recorded(suite, *more, **spec):
    """The record of a run and the suite that it is of."""
    return measure(ready(suite, *more, **spec), session()).record, Suite.load(str(suite.path))


def test_the_spec_of_a_record_is_that_of_its_run(tiny_suite):
    record, suite = recorded(tiny_suite, method="percentile", bits="w3a5", seed=7, scope="all", p="0.01")
    spec = spec_of(record, suite)
    assert (
        prepare(spec).record_name
        == ready(tiny_suite, method="percentile", bits="w3a5", seed=7, scope="all", p="0.01").record_name
    )


@pytest.mark.parametrize(
    ("name", "tests", "expected"),
    [
        ("sample", ["photos"], "sample"),
        ("sample-sp", ["sp"], "sample"),
        ("sample-b-a", ["a", "b"], "sample-b-a"),
        ("sample-a-b", ["b", "a"], "sample"),
        ("set5-set14", ["Set5", "Set14"], "set5-set14"),
        ("mine", ["mine"], "mine"),
    ],
)
def test_the_suite_of_a_record_is_without_the_photos_of_its_user(name, tests, expected):
    assert suite_of(made(suite=name, scores=scored(30.0, names=tuple(tests)))) == expected


class WithLater(PluginOptions):
    share: float = 0.1
    mode: str = "first"
    later = ("mode",)


@pytest.mark.parametrize("given", [{}, {"mine.mode": "first"}, {"mine.share": "0.3"}])
def test_later_options_that_a_suite_sets_are_those_of_the_record(tiny_suite, given):
    """A record lacks a later option at its default; the suite of today may say otherwise."""

    def init_bounds(options):
        return Bounds(0, {"first": 1, "second": 2}[options.mode] + options.share)

    mine = plugin("mine", WithLater, init_bounds=init_bounds)
    tiny_suite.change(options={"mine.mode": "second", "mine.share": 0.2})
    run = ready(tiny_suite, mine, method="mine", **given)
    expected = {"mode": "second", "share": 0.2} | {key.partition(".")[2]: value for key, value in given.items()}
    result = measure(run, session())
    restored = prepare_recorded(result.record, Suite.load(str(tiny_suite.path)), session(mine))
    assert restored.method.options["mine"] == WithLater.parse(expected)
    assert restored.record_name == run.record_name
    assert ("mode" in result.record.spec.options["mine"]) == (expected["mode"] == "second")


def test_a_record_of_another_suite_is_refused(tiny_suite):
    record, _ = recorded(tiny_suite)
    with pytest.raises(SrqError, match=r"^the record is of suite 'tiny', not of 'sample'$"):
        spec_of(record, Suite.load("sample"))


def test_a_run_is_prepared_from_its_record_without_the_plugins_of_its_method(tiny_suite):
    mine = plugin("mine", calibrate=train_everything)
    result = measure(ready(tiny_suite, mine, method="minmax+mine"), session())
    run = prepare_recorded(result.record, Suite.load(str(tiny_suite.path)), session())
    assert "mine" not in run.plugins.plugins
    assert score_student(run, restore_student(run, result), lambda *_: None) == (result.record.scores, None)


def test_quantizers_of_a_plugin_that_is_missing_are_named(tiny_suite):
    class Own(Quantizer):
        pass

    def make_quantizer(site, bits):
        return Own(site, bits)

    def init_bounds(distribution):
        return Bounds(distribution.minimum, distribution.maximum)

    mine = plugin("mine", init_bounds=init_bounds, make_quantizer=make_quantizer)
    result = measure(ready(tiny_suite, mine, method="mine"), session())
    run = prepare_recorded(result.record, Suite.load(str(tiny_suite.path)), session())
    with pytest.raises(SrqError, match=r"of plugin 'mine' a-test 1\.0, which is not at work here$"):
        restore_student(run, result)


def test_what_differs_from_the_record_is_named(tiny_suite):
    record, suite = recorded(tiny_suite)
    expected = r"^not the same run: hashes\.plugins\.other is [0-9a-f]{64} here and None in the record$"
    with pytest.raises(SrqError, match=expected):
        prepare_recorded(record, suite, session(_metric()))


def _metric():
    """A foreign metric, which decides scores, with code of a known hash."""
    metric = plugin("other", evaluate=lambda: {"other": 1.0})
    object.__setattr__(metric, "source_sha256", lambda: "a" * 64)
    return metric


def test_a_name_for_parts_may_be_missing(tiny_suite, tmp_path):
    """The record names the parts; the plugin that joined them is not needed, but the parts' options are."""

    class Options(PluginOptions):
        width: float = 2.0

    class Widened(Quantizer):
        levels_bounded = False

        def quantize(self, v):
            return v.clamp(self.lower * self.width, self.upper * self.width)

    def make_quantizer(site, bits, options):
        made = Widened(site, bits)
        made.width = options.width
        return made

    part = plugin("part", Options, make_quantizer=make_quantizer)
    run = ready(tiny_suite, part, plugin("both", compose=lambda: ("minmax", "part")), method="both", **{"width": 0.5})
    result = read_result(written(run, tmp_path / "out"))
    again = prepare_recorded(result.record, Suite.load(str(tiny_suite.path)), session(part))
    student = restore_student(again, result)
    assert {quantizer.width for quantizer in student.quantizers.values()} == {0.5}
