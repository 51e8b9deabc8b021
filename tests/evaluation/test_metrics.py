"""PSNR and SSIM on Y: numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.evaluation.metrics import srq_evaluate

WEIGHTS = np.array([65.481, 128.553, 24.966])


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def luma(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64) @ WEIGHTS / 255 + 16


def psnr(sr: np.ndarray, hr: np.ndarray, border: int) -> float:
    inner = slice(border, -border) if border else slice(None)
    error = luma(sr)[inner, inner] - luma(hr)[inner, inner]
    return 10 * math.log10(255**2 / np.mean(error**2))


def test_equal_images():
    scores = srq_evaluate(sr=noise(20, 24), hr=noise(20, 24), scale=2)
    assert scores == {"psnr": math.inf, "ssim": pytest.approx(1.0, abs=1e-12)}
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize("offset", [1, 3, 10, 100])
def test_a_constant_offset(offset):
    """All channels together weigh 219/255."""
    hr = np.full((24, 24, 3), 90, dtype=np.uint8)
    expected = 20 * math.log10(255 / (offset * 219 / 255))
    assert srq_evaluate(sr=hr + np.uint8(offset), hr=hr, scale=2)["psnr"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_channels_are_red_green_blue(channel):
    hr = np.full((24, 24, 3), 90, dtype=np.uint8)
    sr = hr.copy()
    sr[..., channel] += 20
    expected = 20 * math.log10(255 / (20 * WEIGHTS[channel] / 255))
    assert srq_evaluate(sr=sr, hr=hr, scale=2)["psnr"] == pytest.approx(expected, abs=1e-3)


def test_luma_is_not_rounded():
    """One grey level of red moves Y by 0.26 of a level: rounded, it would be 0 or 1."""
    hr = np.full((24, 24, 3), 90, dtype=np.uint8)
    sr = hr.copy()
    sr[..., 0] += 1
    expected = 20 * math.log10(255 / (WEIGHTS[0] / 255))
    assert srq_evaluate(sr=sr, hr=hr, scale=2)["psnr"] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_psnr_in_float64(scale):
    sr, hr = noise(30, 27, 1), noise(30, 27, 2)
    assert srq_evaluate(sr=sr, hr=hr, scale=scale)["psnr"] == pytest.approx(psnr(sr, hr, scale), abs=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_border_does_not_count(scale):
    hr = noise(30, 27)
    sr = hr.copy()
    sr[:scale], sr[-scale:], sr[:, :scale], sr[:, -scale:] = 0, 255, 0, 255
    assert srq_evaluate(sr=sr, hr=hr, scale=scale)["psnr"] == math.inf
    sr[scale, scale] = 255 - hr[scale, scale]
    assert srq_evaluate(sr=sr, hr=hr, scale=scale)["psnr"] < 100


@settings(max_examples=15, deadline=None)
@given(height=st.integers(17, 24), width=st.integers(17, 24), seed=st.integers(0, 99), scale=st.sampled_from([2, 3]))
def test_both_scores_are_symmetric_and_bounded(height, width, seed, scale):
    one, other = noise(height, width, seed), noise(height, width, seed + 1)
    there, back = srq_evaluate(sr=one, hr=other, scale=scale), srq_evaluate(sr=other, hr=one, scale=scale)
    assert there == pytest.approx(back, rel=1e-9)
    assert there["psnr"] > 0
    assert -1 <= there["ssim"] <= 1


def gaussian() -> np.ndarray:
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(taps, taps) / taps.sum() ** 2


def ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, window by window."""
    window, c1, c2 = gaussian(), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
            cov = (window * a * b).sum() - ma * mb
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(values))


def test_ssim_window_by_window():
    hr = noise(19, 22)
    sr = np.clip(hr.astype(int) + noise(19, 22, 5) // 4 - 30, 0, 255).astype(np.uint8)
    expected = ssim(luma(sr)[2:-2, 2:-2], luma(hr)[2:-2, 2:-2])
    assert srq_evaluate(sr=sr, hr=hr, scale=2)["ssim"] == pytest.approx(expected, abs=1e-5)


def test_more_noise_scores_less():
    hr = noise(24, 24) // 2 + 60
    scores = [
        srq_evaluate(sr=(hr + noise(24, 24, 3) // k).astype(np.uint8), hr=hr.astype(np.uint8), scale=2) for k in (32, 8)
    ]
    assert scores[0]["psnr"] > scores[1]["psnr"]
    assert scores[0]["ssim"] > scores[1]["ssim"]


def test_the_images_are_not_changed():
    sr, hr = noise(20, 20, 1), noise(20, 20, 2)
    before = sr.copy(), hr.copy()
    srq_evaluate(sr=sr, hr=hr, scale=2)
    assert np.array_equal(sr, before[0])
    assert np.array_equal(hr, before[1])


@pytest.mark.parametrize(("scale", "least"), [(2, 15), (3, 17), (4, 19)])
def test_an_image_too_small_for_ssim_is_said(scale, least):
    assert math.isfinite(srq_evaluate(sr=noise(least, least), hr=noise(least, least, 1), scale=scale)["ssim"])
    with pytest.raises(
        SrqError, match=f"an HR image of {least - 1}x{least} pixels .* SSIM at x{scale} takes {least} or more"
    ):
        srq_evaluate(sr=noise(least, least - 1), hr=noise(least, least - 1, 1), scale=scale)
