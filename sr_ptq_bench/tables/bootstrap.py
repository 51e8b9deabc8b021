"""Whether a mean difference over a few images would also appear on other images: the paired bootstrap."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0


def interval(
    differences: np.ndarray, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> tuple[float, float] | None:
    """The interval that holds the share `level` of the means of resampled differences (Efron's percentile bootstrap).

    `differences` (N,) are one method's scores minus another's on the same images. Images are drawn with replacement,
    both scores together. None for fewer than two images or a difference that is not finite.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return None
    counts, times = _resamples(len(differences), resamples, seed)
    means = counts @ differences / len(differences)
    order = np.argsort(means)
    place = np.array([(1 - level) / 2, (1 + level) / 2]) * (resamples - 1)
    below = np.floor(place)
    # Sorted means, each repeated as often as it was drawn; np.quantile's interpolation between two of them.
    first, second = (
        means[order[np.searchsorted(np.cumsum(times[order]), index, side="right")]]
        for index in (below, np.minimum(below + 1, resamples - 1))
    )
    lower, upper = first + (second - first) * (place - below)
    return float(lower), float(upper)


@lru_cache(maxsize=8)
def _resamples(images: int, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each image is in a resample (R, N), every such resample once, and how often it was drawn (R,).

    Order does not matter for a mean: five images have 126 different resamples.
    """
    # RandomState: NumPy never changes its stream, so tables stay the same.
    drawn = np.random.RandomState(seed).randint(images, size=(resamples, images))
    counts = np.zeros((resamples, images))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    return np.unique(counts, axis=0, return_counts=True)
