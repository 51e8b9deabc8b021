"""The one place that imports BasicSR.

BasicSR 1.4.2 imports `rgb_to_grayscale` from `torchvision.transforms.functional_tensor`, a module that torchvision
0.17 removed. This module supplies the name during the import and removes it afterwards. BasicSR cannot be built on
Python 3.13 and newer; there a fork with a wheel replaces it, if the modules that we use are the same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import types
import warnings
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

from .syntax import meaning

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES = (
    "archs/edsr_arch.py", "archs/srresnet_arch.py", "archs/swinir_arch.py", "data/paired_image_dataset.py",
    "metrics/psnr_ssim.py", "utils/lmdb_util.py", "utils/matlab_functions.py",
)  # fmt: skip
KNOWN_SHA256 = "82ffdf4ecb63fe16d7df7a813496204264398b3a498a50ea0e0b211edd33557b"
"""Of the syntax trees of these modules in BasicSR 1.4.2."""
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


def modules_sha256() -> str:
    """The SHA-256 of what the installed modules do, apart from comments, docstrings and formatting."""
    spec = importlib.util.find_spec("basicsr")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    texts = (meaning((folder / module).read_bytes()) for module in _MODULES)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def distribution() -> str:
    """The distribution that the installed BasicSR comes from: basicsr or a fork."""
    try:
        return metadata("basicsr")["Name"]
    except PackageNotFoundError:
        return next(iter(packages_distributions().get("basicsr", ())), "basicsr")


if distribution() != "basicsr" and modules_sha256() != KNOWN_SHA256:
    raise ImportError(f"{distribution()} computes otherwise than BasicSR 1.4.2; install new-basicsr 1.0.0 in its place")

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
