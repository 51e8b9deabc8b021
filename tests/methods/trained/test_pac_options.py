"""Pac: its presets, options and the size of its patches."""

from __future__ import annotations

import pytest
from oracle import tiny_teacher
from srq_baselines.pac import (
    Options,
    srq_calibrate,
)
from training import (
    Forgetful,
    quiet,
    supply,
    with_student,
)

from sr_ptq_bench import Batches, SrqError
from sr_ptq_bench.protocol.suite import Suite


def options(**values) -> Options:
    return Options.parse(values)


# Patches and whole runs


class Asked(Batches):
    """Tells the size of the patches that it is asked for."""

    def random(self, batch, size, skip=0):
        raise SrqError(f"{batch} of {size}")


@pytest.mark.parametrize(("scale", "side"), [(2, 96), (3, 64), (4, 48)])
def test_patches_are_of_192_hr_pixels(scale, side):
    teacher, student = with_student(tiny_teacher((1,), scale=scale), "4")
    nothing = Asked(supply().patches, supply().images)
    for values, expected in (({}, side), ({"patch": 8}, 8)):
        with pytest.raises(SrqError, match=rf"^2 of {expected}$"):
            srq_calibrate(
                student=student,
                teacher=teacher,
                batches=nothing,
                options=options(**values),
                progress=quiet,
                checkpoint=Forgetful(),
            )


# Options


def test_presets():
    paper, official = options(), options(preset="official")
    for chosen, feature_grad in ((paper, True), (official, False)):
        found = (
            chosen.iterations, chosen.batch, chosen.patch, chosen.activation_lr, chosen.activation_lr_last,
            chosen.weight_lr, chosen.weight_lr_last, chosen.feature_weight, chosen.feature_grad,
        )  # fmt: skip
        assert found == (250, 2, None, 5e-3, 2e-3, 5e-6, 2e-6, 5.0, feature_grad)


def test_a_single_value_wins_over_the_preset():
    chosen = Options.parse({"preset": "official", "feature_grad": "true", "patch": "48"})
    assert (chosen.preset, chosen.feature_grad, chosen.patch) == ("official", True, 48)


def test_the_sample_suite_gives_as_many_steps_as_to_dqc():
    given = Suite.load("sample").options
    assert 2 * given["pac.iterations"] == given["dqc.iterations"]
    assert all(given[f"pac.{key}"] == given[f"dqc.{key}"] for key in ("batch", "patch"))


@pytest.mark.parametrize(
    "values",
    [
        {"iterations": 0}, {"batch": 0}, {"patch": 4}, {"activation_lr": 0}, {"weight_lr": -1}, {"feature_weight": -1},
        {"weight_lr_last": -1e-9}, {"feature_grad": "some"}, {"lr": 1e-2}, {"preset": "x"}, {"activation_lr": "nan"},
    ],
)  # fmt: skip
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)
