"""A run from its spec to its record."""

from __future__ import annotations

import random
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from tiny import comparable, measured, noise, plugin, ready, run

from sr_ptq_bench import Bounds, Quantizer, SrqError
from sr_ptq_bench.data.images.pixels import write_image
from sr_ptq_bench.progress import Silent, TimedStages

TRAINED = {"dqc.iterations": "2", "dqc.batch": "2", "dqc.patch": "8"}


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


def test_an_image_that_changes_before_it_is_scored_is_no_error_of_the_method(tiny_suite):
    def calibrate(student):
        write_image(tiny_suite.folder / "test" / "first.png", noise(24, 28, seed=9))

    with pytest.raises(SrqError, match=r"^dataset 'noise': image 'first' .*; it changed while in use"):
        run(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")


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
