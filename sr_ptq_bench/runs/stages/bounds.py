"""Bounds for every site, from its distribution."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...quantization.costs import LazyCosts
from .observation import observe_costs, observe_distributions

if TYPE_CHECKING:
    from ...cache.shared import Cache
    from ...progress import TimedStages
    from ...quantization.student import Student
    from ..prepare import PreparedRun


def choose_bounds(run: PreparedRun, student: Student, cache: Cache, stage: TimedStages, fresh: bool) -> None:
    """Observe all sites of the student and let the method choose the bounds of each."""
    seen = observe_distributions(run, student, cache, stage, fresh)
    costs = LazyCosts(seen, partial(observe_costs, run, student, seen, cache, fresh))
    with stage("bounds") as progress:
        for done, (name, quantizer) in enumerate(student.quantizers.items()):
            progress(done, len(student.quantizers))
            run.method.initialize(quantizer, seen[name], partial(costs.of, name))
