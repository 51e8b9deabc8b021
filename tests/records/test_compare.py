"""Which differences between two scores of one run another machine explains."""

from __future__ import annotations

import math

import pytest

from sr_ptq_bench.records.compare import Comparison


@pytest.mark.parametrize(
    ("metric", "recorded", "again", "alike"),
    [
        ("psnr", 30.0, 30.0, True),
        ("psnr", 30.0, 30.0049, True),
        ("psnr", 30.0, 30.0051, False),
        ("psnr", math.inf, math.inf, True),
        ("psnr", math.inf, 50.0, False),
        ("ssim", 0.8, 0.80004, True),
        ("ssim", 0.8, 0.80006, False),
        ("mae", 5.0, 5.004, True),
        ("mae", 5.0, 5.006, False),
        ("mae", 0.0, 0.0, True),
        ("mae", 0.0, 1e-9, False),
        ("mae", math.inf, 5.0, False),
    ],
)
def test_printed_digits_agree(metric, recorded, again, alike):
    comparison = Comparison("Set5", metric, recorded, again)
    assert comparison.prints_alike == alike
    assert comparison.holds == alike


@pytest.mark.parametrize(
    ("metric", "fp", "recorded", "again", "holds"),
    [
        ("psnr", 30.21, 16.893, 17.052, True),
        ("psnr", 30.21, 23.834, 23.683, True),
        ("psnr", 30.21, 29.07, 29.18, True),
        ("psnr", 30.21, 29.07, 29.19, False),
        ("psnr", 30.21, 30.20, 30.204, True),
        ("psnr", 30.21, 30.20, 30.21, False),
        ("ssim", 0.845, 0.454, 0.447, True),
        ("ssim", 0.845, 0.80, 0.805, False),
        ("mae", 2.0, 4.0, 4.19, True),
        ("mae", 2.0, 4.0, 4.21, False),
        ("psnr", math.inf, 40.0, 41.0, False),
        ("psnr", math.nan, 40.0, 41.0, False),
    ],
)
def test_a_student_that_loses_much_may_move_much_on_another_processor(metric, fp, recorded, again, holds):
    assert Comparison("Set5", metric, recorded, again, fp).holds == holds


def test_the_score_of_one_image_may_move_further_than_a_mean():
    comparison = Comparison("pepper", "psnr", 21.416, 20.263, 31.0)
    assert not comparison.holds
    assert comparison.holds_for_an_image
