"""Which differences between two scores of one run another machine explains."""

from __future__ import annotations

import math

import pytest

from sr_ptq_bench.records.compare import OF_AN_IMAGE, ON_ANOTHER_PROCESSOR, Comparison


@pytest.mark.parametrize(
    ("metric", "recorded", "again", "prints_alike", "holds"),
    [
        ("psnr", 30.0, 30.0, True, True),
        ("psnr", 30.0, 30.0049, True, True),
        ("psnr", 28.8306, 28.8320, True, True),
        ("psnr", 22.0, 22.024, False, True),
        ("psnr", 22.0, 21.949, False, False),
        ("psnr", math.inf, math.inf, True, True),
        ("psnr", math.inf, 50.0, False, False),
        ("ssim", 0.8, 0.80004, True, True),
        ("ssim", 0.8, 0.8009, False, True),
        ("ssim", 0.8, 0.7949, False, False),
        ("mae", 5.0, 5.004, True, True),
        ("mae", 5.0, 5.006, False, False),
        ("mae", 0.0, 0.0, True, True),
        ("mae", 0.0, 1e-9, False, False),
        ("mae", math.inf, 5.0, False, False),
    ],
)
def test_printed_digits_and_what_another_processor_may_change(metric, recorded, again, prints_alike, holds):
    comparison = Comparison("Set5", metric, recorded, again)
    assert (comparison.prints_alike, comparison.holds) == (prints_alike, holds)


def test_the_score_of_one_image_may_move_further_than_a_mean():
    comparison = Comparison("baby", "psnr", 30.0, 30.1)
    assert not comparison.holds
    assert comparison.within(ON_ANOTHER_PROCESSOR, OF_AN_IMAGE)
