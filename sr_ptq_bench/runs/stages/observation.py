"""Distributions of all sites, and what errors at them cost at the output."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...errors import plugin_errors
from ...quantization.costs import output_costs
from ...quantization.observe import observe
from ...quantization.state.network_tensors import changed_tensors
from .. import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...cache.shared import Cache
    from ...progress import TimedStages
    from ...quantization.costs import OutputCosts
    from ...quantization.distribution import Distribution
    from ...quantization.student import Student
    from ..prepare import PreparedRun


def observe_distributions(
    run: PreparedRun, student: Student, cache: Cache, stage: TimedStages, fresh: bool
) -> dict[str, Distribution]:
    """The distribution of every site, by name.

    Shared by all methods and bit-widths, unless a method changed the network.
    """

    def compute() -> dict[str, Distribution]:
        with plugin_errors(f"method '{run.spec.method}': the network fails on calibration patches"):
            return observe(student, run.batches.fixed)

    with stage("observe"):
        if _is_other_network(run, student):
            return compute()
        return cache.distributions(identity.distributions(run, student), compute, fresh)


def observe_costs(
    run: PreparedRun, student: Student, seen: Mapping[str, Distribution], cache: Cache, fresh: bool
) -> OutputCosts:
    """What errors at the sites cost at the output; shared as distributions are."""
    compute = partial(output_costs, student, run.batches.fixed, seen)
    if _is_other_network(run, student):
        return compute()
    return cache.output_costs(identity.output_costs(run, student), compute, fresh)


def _is_other_network(run: PreparedRun, student: Student) -> bool:
    """Whether a method may have changed what the network computes: its tensors, or modules that no tensor tells of."""
    return run.method.transforms or bool(changed_tensors(student, run.teacher))
