"""Crops: what is cut out, where images differ most, and the PSNR below."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import noise

from sr_ptq_bench import SrqError
from sr_ptq_bench.evaluation.metrics import srq_evaluate
from sr_ptq_bench.plots.views import Box, crop_psnr, luma, most_different


@given(st.tuples(*[st.integers(0, 999_999)] * 2, *[st.integers(1, 999_999)] * 2))
def test_a_box_is_read_as_it_is_written(numbers):
    assert Box.parse(",".join(map(str, numbers))) == numbers
    assert Box.parse(", ".join(map(str, numbers))) == numbers


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,0", "-1,2,3,4", "a,2,3,4", "1.5,2,3,4"])
def test_what_is_no_box_is_named(text):
    with pytest.raises(SrqError, match="no crop"):
        Box.parse(text)


def test_a_box_cuts_columns_from_x_and_rows_from_y():
    image = noise(20, 30)
    assert np.array_equal(Box(3, 5, 7, 2).of(image), image[5:7, 3:10])


@pytest.mark.parametrize("box", [Box(24, 0, 7, 1), Box(0, 19, 1, 2), Box(30, 0, 1, 1)])
def test_a_box_beyond_the_image_is_refused(box):
    with pytest.raises(SrqError, match="is not within image 'baby' of 30x20 pixels"):
        box.check(noise(20, 30), "baby")


def test_a_box_up_to_the_edges_is_within():
    Box(0, 0, 30, 20).check(noise(20, 30), "baby")


def test_luma_of_black_and_white():
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert luma(black).item() == 16
    assert luma(white).item() == pytest.approx(235, abs=1e-3)


def test_the_psnr_of_a_crop_is_that_of_the_metric_without_a_border():
    # The metric rounds Y no more than this does, and cuts off `scale` pixels on every side.
    sr, hr = noise(24, 24, 1), noise(24, 24, 2)
    expected = srq_evaluate(sr, hr, 2)["psnr"]
    assert crop_psnr(sr, hr, Box(2, 2, 20, 20)) == pytest.approx(expected, abs=1e-4)


def test_the_psnr_of_equal_crops_is_infinite_though_the_images_differ():
    sr, hr = noise(24, 24), noise(24, 24)
    sr[0, 0] ^= 255
    assert crop_psnr(sr, hr, Box(1, 1, 23, 23)) == math.inf
    assert crop_psnr(sr, hr, Box(0, 0, 24, 24)) < math.inf


@given(st.integers(0, 12), st.integers(0, 22))
def test_the_images_differ_most_where_one_of_them_was_changed(top, left):
    same, other = noise(20, 30), noise(20, 30)
    other[top : top + 8, left : left + 8] ^= 128
    assert most_different([same, other], 8) == (left, top, 8, 8)


def test_a_square_larger_than_the_image_is_the_image():
    assert most_different([noise(20, 30), noise(20, 30, 1)], 64) == (0, 0, 30, 20)
