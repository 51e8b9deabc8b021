"""Scores of an upscaler over a test set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .data.batches import to_image, to_tensor
from .data.resize import bilinear_upscale, upscale
from .errors import SrqError
from .records import DatasetScores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from .data.datasets import Dataset
    from .hookspecs import Progress
    from .manager import Plugins
    from .model import SRModel


def of_network(model: SRModel) -> Callable[[np.ndarray], np.ndarray]:
    """The upscaler (H, W, 3) uint8 -> (sH, sW, 3) uint8 that a network is."""

    def upscaler(lr: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return to_image(model(to_tensor(lr[None]).to(model.device)))

    return upscaler


def interpolations(scale: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The two upscalers without a network that stand beside every score."""
    return {"bicubic": lambda lr: upscale(lr, scale), "bilinear": lambda lr: bilinear_upscale(lr, scale)}


def score(
    upscaler: Callable[[np.ndarray], np.ndarray],
    datasets: Mapping[str, Dataset],
    scale: int,
    plugins: Plugins,
    progress: Progress,
) -> dict[str, DatasetScores]:
    """Upscale every image of every test set and score it with all metric plugins."""
    total = sum(len(dataset) for dataset in datasets.values())
    done = 0
    scores: dict[str, DatasetScores] = {}
    for name, dataset in datasets.items():
        images: dict[str, dict[str, float]] = {}
        for pair in dataset:
            progress(done, total, pair.name)
            images[pair.name] = plugins.evaluate(upscaler(pair.lr), pair.hr, scale)
            done += 1
        if not next(iter(images.values()), None):
            raise SrqError("no metric plugin returned a score")
        scores[name] = DatasetScores.of(images)
    progress(total, total)
    return scores
