"""MATLAB's bicubic to the bit, and the golden scores of both upscalers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sr_ptq_bench.data.images.pixels import read_image
from sr_ptq_bench.data.resize import bicubic, bilinear_upscale, crop_to_multiple, cubic, downscale, upscale
from sr_ptq_bench.errors import SrqError

if TYPE_CHECKING:
    from sr_ptq_bench.data.images.pixels import Image

SCALES = st.sampled_from([2, 3, 4])
RATIOS = st.sampled_from([Fraction(1, 4), Fraction(1, 3), Fraction(2, 5), Fraction(1, 2), Fraction(3, 2), Fraction(3)])
SIDES = st.integers(1, 24)


@st.composite
def images(draw):
    return draw(arrays(np.uint8, (draw(SIDES), draw(SIDES), 3)))


def test_the_kernel_is_keys():
    values = [cubic(Fraction(x, 2)) for x in range(-5, 6)]
    tail = [Fraction(9, 16), Fraction(0), Fraction(-1, 16), Fraction(0), Fraction(0)]
    assert values == [*reversed(tail), Fraction(1), *tail]


def of_row(values: list[int], height: int = 8) -> Image:
    return np.tile(np.array(values, dtype=np.uint8)[None, :, None], (height, 1, 3))


# x2 weighs the taps at distance 1/2, 3/2, 5/2, 7/2 by 111, 29, -9, -3 of 256.
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0] * 4 + [255] * 4, [0, 17, 238, 255]),  # -2.99, 16.93, 238.07, 257.99
        ([0] * 6 + [128] + [0] * 9, [0, 0, 15, 56, 0, 0, 0, 0]),  # -1.5, 14.5, 55.5, -4.5: half is rounded up
    ],
)
def test_halving_by_hand(row, expected):
    image = of_row(row)
    assert downscale(image, 2)[0, :, 0].tolist() == expected
    assert downscale(image.transpose(1, 0, 2), 2)[:, 0, 0].tolist() == expected


def test_enlarging_rounds_once_and_half_to_even():
    # x2 weighs by -3, 29, 111, -9 of 128.
    assert upscale(of_row([0, 0, 0, 64, 0, 0, 0]), 2)[0, :, 0].tolist() == [
        0,
        0,
        0,
        0,
        0,
        14,
        56,
        56,
        14,
        0,
        0,
        0,
        0,
        0,
    ]


def test_rows_are_resized_and_rounded_before_columns():
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    columns_first = downscale(image.transpose(1, 0, 2), 3).transpose(1, 0, 2)
    difference = downscale(image, 3).astype(int) - columns_first
    assert 0 < np.abs(difference).max() <= 2


@given(images(), RATIOS)
def test_shape_and_type(image, ratio):
    resized = bicubic(image, ratio)
    assert resized.dtype == np.uint8
    assert resized.shape == (*(math.ceil(side * ratio) for side in image.shape[:2]), 3)


@given(st.integers(0, 255), SIDES, SIDES, RATIOS)
def test_a_constant_image_stays_constant(value, height, width, ratio):
    assert np.all(bicubic(np.full((height, width, 3), value, dtype=np.uint8), ratio) == value)


@given(images(), RATIOS)
def test_mirroring_commutes_with_resizing_by_whole_factors(image, ratio):
    if any((side * ratio).denominator != 1 for side in image.shape[:2]):
        return
    assert np.array_equal(bicubic(image[::-1, ::-1], ratio), bicubic(image, ratio)[::-1, ::-1])


@settings(deadline=None)
@given(images(), SCALES)
def test_float_reference_agrees_but_for_ties(image, scale):
    """The textbook sum in float64, one output at a time."""

    def reference(line):
        out = []
        for position in range(-(-len(line) // scale)):
            centre = (position + 0.5) * scale - 0.5
            taps = range(int(np.floor(centre)) - 2 * scale - 1, int(np.floor(centre)) + 2 * scale + 2)
            weights = [float(cubic(Fraction(centre - tap) / scale)) for tap in taps]
            mirrored = [min(tap % (2 * len(line)), 2 * len(line) - 1 - tap % (2 * len(line))) for tap in taps]
            out.append(sum(w * line[m] for w, m in zip(weights, mirrored, strict=True)) / sum(weights))
        return np.array(out)

    exact = bicubic(np.repeat(image[:, :1], 3, axis=1), Fraction(1, scale))[:, 0, 0].astype(float)
    expected = np.clip(reference(image[:, 0, 0].astype(float)), 0, 255)
    assert np.abs(exact - expected).max() <= 0.5 + 1e-6


@settings(deadline=None)
@given(images(), SCALES)
def test_bilinear_stays_in_the_range_of_the_image(image, scale):
    enlarged = bilinear_upscale(image, scale)
    assert enlarged.shape == (image.shape[0] * scale, image.shape[1] * scale, 3)
    assert image.min() <= enlarged.min() <= enlarged.max() <= image.max()


def test_bilinear_by_hand():
    image = np.repeat(np.array([[0, 100]], dtype=np.uint8)[:, :, None], 3, axis=2)
    assert bilinear_upscale(image, 2)[0, :, 0].tolist() == [0, 25, 75, 100]


@given(images(), SCALES)
def test_crops_to_a_multiple_at_the_top_left(image, scale):
    height, width = image.shape[:2]
    if min(height, width) < scale:
        with pytest.raises(SrqError, match="too small"):
            crop_to_multiple(image, scale)
        return
    cropped = crop_to_multiple(image, scale)
    assert cropped.shape == (height - height % scale, width - width % scale, 3)
    assert np.array_equal(cropped, image[: cropped.shape[0], : cropped.shape[1]])


@pytest.mark.data
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("name", "count"), [("Set5", 5), ("Set14", 14)])
def test_reproduces_the_benchmarks_to_the_bit(benchmark_data, name, count, scale):
    files = sorted((benchmark_data / name / "HR").glob("*.png"))
    assert len(files) == count
    for path in files:
        lr = read_image(benchmark_data / name / "LR_bicubic" / f"X{scale}" / f"{path.stem}x{scale}.png")
        assert np.array_equal(downscale(crop_to_multiple(read_image(path), scale), scale), lr), path.stem


@pytest.mark.data
@pytest.mark.parametrize(
    ("method", "scale", "psnr", "ssim"),
    [
        (upscale, 2, 33.6779, 0.9304),
        (upscale, 3, 30.4043, 0.8690),
        (upscale, 4, 28.4305, 0.8113),
        (bilinear_upscale, 2, 32.2513, 0.9118),
        (bilinear_upscale, 3, 29.5416, 0.8516),
        (bilinear_upscale, 4, 27.5597, 0.7896),
    ],
)
def test_golden_scores_of_the_upscalers_on_set5(benchmark_data, method, scale, psnr, ssim):
    from sr_ptq_bench.basicsr_compat import calculate_psnr, calculate_ssim

    scores = []
    for path in sorted((benchmark_data / "Set5" / "HR").glob("*.png")):
        hr = crop_to_multiple(read_image(path), scale)
        sr = method(downscale(hr, scale), scale)
        pair = (sr[:, :, ::-1], hr[:, :, ::-1])
        scores.append([score(*pair, scale, test_y_channel=True) for score in (calculate_psnr, calculate_ssim)])
    assert np.round(np.mean(scores, axis=0), 4).tolist() == [psnr, ssim]
