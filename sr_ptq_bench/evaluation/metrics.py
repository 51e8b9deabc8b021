"""PSNR and SSIM on the Y channel, as SR papers report them, by BasicSR's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..basicsr_compat import calculate_psnr, calculate_ssim
from ..errors import SrqError
from ..hooks.specs import hookimpl

if TYPE_CHECKING:
    import numpy as np

SSIM_WINDOW = 11
"""Pixels."""


@hookimpl
def srq_evaluate(sr: np.ndarray, hr: np.ndarray, scale: int) -> dict[str, float]:
    """PSNR in dB (infinite for equal images) and SSIM, with `scale` pixels cropped on every side.

    Raises SrqError for an image too small for the window of SSIM.
    """
    height, width = hr.shape[:2]
    least = SSIM_WINDOW + 2 * scale
    if min(height, width) < least:
        raise SrqError(f"an HR image of {width}x{height} pixels is too small; SSIM at x{scale} takes {least} or more")
    bgr = sr[..., ::-1], hr[..., ::-1]  # BasicSR's luma takes BGR
    return {
        "psnr": float(calculate_psnr(*bgr, crop_border=scale, test_y_channel=True)),
        "ssim": float(calculate_ssim(*bgr, crop_border=scale, test_y_channel=True)),
    }
