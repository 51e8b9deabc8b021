"""The one place that imports BasicSR, whatever torchvision stands beside it.

BasicSR 1.4.2 imports `rgb_to_grayscale` from `torchvision.transforms.functional_tensor`, a module that torchvision
0.17 removed. The name is lent to it for the time of the import and taken back afterwards.
"""

from __future__ import annotations

import sys
import types
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMOVED = "torchvision.transforms.functional_tensor"


@contextmanager
def _torchvision_as_basicsr_expects_it() -> Iterator[None]:
    from torchvision.transforms.functional import rgb_to_grayscale

    stand_in = types.ModuleType(_REMOVED)
    stand_in.rgb_to_grayscale = rgb_to_grayscale  # type: ignore[attr-defined]
    lent = sys.modules.setdefault(_REMOVED, stand_in) is stand_in
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside BasicSR's own files
            yield
    finally:
        if lent:
            del sys.modules[_REMOVED]


with _torchvision_as_basicsr_expects_it():
    from basicsr.archs.edsr_arch import EDSR
    from basicsr.archs.srresnet_arch import MSRResNet
    from basicsr.archs.swinir_arch import SwinIR, WindowAttention
    from basicsr.data.paired_image_dataset import PairedImageDataset
    from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim
    from basicsr.utils.lmdb_util import LmdbMaker
    from basicsr.utils.matlab_functions import imresize
    from basicsr.version import __version__

__all__ = [
    "EDSR",
    "LmdbMaker",
    "MSRResNet",
    "PairedImageDataset",
    "SwinIR",
    "WindowAttention",
    "__version__",
    "calculate_psnr",
    "calculate_ssim",
    "imresize",
]
