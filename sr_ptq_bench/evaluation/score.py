"""Scores of an upscaler over a test set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ..data.images.pixels import size_of
from ..data.patches import to_image, to_tensor
from ..data.resize import bilinear_upscale, upscale
from ..errors import SrqError, plugin_errors
from ..quantization.randomness import seed_generators
from ..records.scores import DatasetScores
from .tiles import along

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..data.datasets import Dataset
    from ..hooks.plugins import Plugins
    from ..progress import Progress
    from ..protocol.suite import Tiles
    from ..quantization.network import SRModel


def psnr_of(scores: Mapping[str, float]) -> float:
    """The PSNR of an image or a test set, for figures and analyses that show it; raises SrqError if none was made."""
    if "psnr" not in scores:
        raise SrqError("no plugin gives 'psnr', which is needed here; `srq methods` lists plugins")
    return scores["psnr"]


class ScoreLog(Protocol):
    """Known scores of images, by test set and name; new ones are appended."""

    def keys(self) -> Iterable[tuple[str, str]]:
        """Test set and image of all known scores."""

    def __getitem__(self, key: tuple[str, str], /) -> dict[str, float]: ...

    def append(self, dataset: str, image: str, scores: dict[str, float]) -> None:
        """Keep the scores of one image."""


Upscaler = Callable[[np.ndarray], np.ndarray]
"""From LR to SR: (H, W, 3) uint8 -> (sH, sW, 3) uint8."""


def network_upscaler(
    model: SRModel, tiles: Tiles | None, seed: int, after_tile: Callable[[], None] = lambda: None
) -> Upscaler:
    """The upscaler that a network is; it sees an image in tiles or whole, and calls `after_tile` after each.

    A network that draws random numbers draws the same ones for every image.
    Raises SrqError if the network's output has another shape or is not finite.
    """
    scale = model.scale

    def whole(lr: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            with plugin_errors(f"the network fails on an LR image of {size_of(lr)}"):
                sr = model(to_tensor(lr[None]).to(model.device))
            expected = (1, 3, scale * lr.shape[0], scale * lr.shape[1])
            if tuple(sr.shape) != expected:
                raise SrqError(f"the network's output is of shape {tuple(sr.shape)}, expected {expected}")
            if not torch.isfinite(sr).all():
                raise SrqError("the network's output is not finite")
            return to_image(sr)

    def tiled(lr: np.ndarray) -> np.ndarray:
        assert tiles is not None
        height, width = lr.shape[:2]
        sr = np.empty((scale * height, scale * width, 3), dtype=np.uint8)
        window = model.size_multiple, model.smallest()
        for (top, bottom), rows in along(height, tiles, *window):
            for (left, right), columns in along(width, tiles, *window):
                seen = whole(np.ascontiguousarray(lr[top:bottom, left:right]))
                sr[_times(rows, scale), _times(columns, scale)] = seen[
                    _times(rows, scale, top), _times(columns, scale, left)
                ]
                after_tile()
        return sr

    see = tiled if tiles else whole

    def upscaler(lr: np.ndarray) -> np.ndarray:
        seed_generators(seed)
        return see(lr)

    return upscaler


def _times(kept: tuple[int, int], scale: int, origin: int = 0) -> slice:
    """LR pixels [start, stop) as a slice of SR pixels, counted from the LR pixel `origin`."""
    start, stop = kept
    return slice(scale * (start - origin), scale * (stop - origin))


def interpolations(scale: int) -> dict[str, Upscaler]:
    """The two upscalers without a network, which are the references of every score."""
    return {"bicubic": lambda lr: upscale(lr, scale), "bilinear": lambda lr: bilinear_upscale(lr, scale)}


def score_datasets(
    upscaler: Upscaler,
    datasets: Mapping[str, Dataset],
    scale: int,
    plugins: Plugins,
    progress: Progress,
    log: ScoreLog | None = None,
) -> dict[str, DatasetScores]:
    """Upscale every image of every test set and score it with all metric plugins.

    An image whose scores are in `log`, by test set and name, is not scored again; scores of the others are appended.
    """
    known = dict(log or {})
    total = sum(len(dataset) for dataset in datasets.values())
    done = 0
    scores: dict[str, DatasetScores] = {}
    for name, dataset in datasets.items():
        for index, image in enumerate(dataset.names):
            progress(done, total, image)
            if (name, image) not in known:
                pair = dataset[index]
                try:
                    known[name, image] = plugins.evaluate(upscaler(pair.lr), pair.hr, scale)
                except SrqError as error:
                    raise SrqError(f"dataset '{name}', image '{image}': {error}") from error
                if log is not None:
                    log.append(name, image, known[name, image])
            done += 1
        images = {image: known[name, image] for image in dataset.names}
        _check_metrics(name, images)
        scores[name] = DatasetScores.of(images)
    progress(total, total)
    return scores


def _check_metrics(dataset: str, images: Mapping[str, Mapping[str, float]]) -> None:
    """Every image of a test set has the same metrics, and at least one."""
    first = next(iter(images.values()))
    if not first:
        raise SrqError("no metric plugin returned a score; is `metrics` blocked by SRQ_DISABLE?")
    for name, scores in images.items():
        if scores.keys() != first.keys():
            differing = ", ".join(sorted(scores.keys() ^ first.keys()))
            raise SrqError(f"dataset '{dataset}', image '{name}': {differing} is scored for some images only")
