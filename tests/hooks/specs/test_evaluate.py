"""`srq_evaluate`."""

from __future__ import annotations

import numpy as np
import pytest
from spied import calls, spy
from tiny import plugin, run

from sr_ptq_bench import SrqError


def test_srq_evaluate_is_called_for_every_image_and_upscaler(log):
    images = calls(log, "evaluate")
    assert len(images) == 2 * len(["fp", "bicubic", "bilinear", "student"])
    for sr, hr, scale in images:
        assert sr.shape == hr.shape
        assert sr.dtype == hr.dtype == np.uint8
        assert scale == 2
    assert [hr.shape for _, hr, _ in images[:2]] == [(24, 28, 3), (32, 24, 3)]


def test_srq_evaluate_s_scores_are_merged(tiny_suite):
    record = run(tiny_suite, spy([], "a"), spy([], "b"))
    assert {*record.scores["noise"].mean} == {"psnr", "ssim", "a_score", "b_score"}
    assert record.references.bicubic["noise"].images["first"]["a_score"] == 1.0


def test_srq_evaluate_of_two_plugins_may_not_return_one_key(tiny_suite):
    double = plugin("double", evaluate=lambda: {"psnr": 1.0})
    with pytest.raises(SrqError, match=r"image 'first': plugins 'metrics' and 'double' both return the metric 'psnr'"):
        run(tiny_suite, double)


def test_srq_evaluate_may_have_nothing_to_say(tiny_suite):
    assert {*run(tiny_suite, plugin("mute", evaluate=lambda: None)).scores["noise"].mean} == {"psnr", "ssim"}
