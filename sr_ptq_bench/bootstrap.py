"""Whether a mean difference over a few images would survive other images: the paired bootstrap."""

from __future__ import annotations

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0


def interval(
    differences: np.ndarray, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> tuple[float, float] | None:
    """The interval that holds the share `level` of the means of resampled differences (Efron's percentile bootstrap).

    `differences` (N,) are one method's scores less another's on the same images; images are drawn with replacement,
    each with both its scores. None for fewer than two images or a difference that is not finite.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return None
    # RandomState: NumPy keeps its stream as it is for ever, and so the tables made with it.
    drawn = np.random.RandomState(seed).randint(len(differences), size=(resamples, len(differences)))
    means = differences[drawn].mean(axis=1)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
