"""Scores of test sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    Field,
    model_validator,
)

from .fields import RecordPart, Score, Text


class DatasetScores(RecordPart):
    """The scores of one test set, per image and as the mean over the images."""

    images: dict[Text, dict[Text, Score]] = Field(min_length=1)
    mean: dict[Text, Score]

    @classmethod
    def of(cls, images: Mapping[str, Mapping[str, float]]) -> Self:
        """Add the means to the scores of the images."""
        return cls.model_validate({"images": images, "mean": _means(images)})

    @model_validator(mode="after")
    def _mean_of_the_images(self) -> Self:
        expected = _means(self.images)
        if any(scores.keys() != self.mean.keys() for scores in self.images.values()):
            raise ValueError("not every image has the same metrics as the mean")
        for metric, mean in self.mean.items():
            if not math.isclose(mean, expected[metric], rel_tol=1e-9, abs_tol=1e-12):
                raise ValueError(f"mean {metric} {mean} is not the images' {expected[metric]}")
        return self


def _means(images: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    metrics, of, count = next(iter(images.values()), {}), images.values(), len(images)
    return {metric: math.fsum([scores.get(metric, 0.0) / count for scores in of]) for metric in metrics}


Scores = Annotated[dict[Text, DatasetScores], Field(min_length=1)]
"""Per test set, in the suite's order."""


class References(RecordPart):
    """The scores of the unquantized network (FP) and of two interpolations on the same images."""

    fp: Scores
    bicubic: Scores
    bilinear: Scores


def image_names(scores: Mapping[str, DatasetScores]) -> dict[str, set[str]]:
    """The images of every test set."""
    return {dataset: set(of.images) for dataset, of in scores.items()}
