"""The scores of the FP network and of two interpolations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...evaluation.score import interpolations, network_upscaler, score_datasets
from ...records.scores import References
from .. import identity

if TYPE_CHECKING:
    from ...cache.shared import Cache
    from ...progress import TimedStages
    from ...records.scores import Scores
    from ..prepare import PreparedRun

FP_SEED = 0
"""Seed of the FP network, if it draws random numbers: runs of all seeds share its scores."""


def score_references(run: PreparedRun, cache: Cache, stage: TimedStages, fresh: bool) -> References:
    """The scores of the FP network and of two interpolations on the test sets, computed once for all runs."""
    scores: dict[str, Scores] = {}
    upscalers = {"fp": network_upscaler(run.teacher, run.tiles, FP_SEED), **interpolations(run.spec.scale)}
    for name, upscaler in upscalers.items():
        key = identity.fp_scores(run) if name == "fp" else identity.interpolation_scores(run, name)
        with stage(f"score {name}") as progress:
            compute = partial(score_datasets, upscaler, run.tests, run.spec.scale, run.plugins, progress)
            scores[name] = cache.scores(key, compute, fresh)
    return References(**scores)
