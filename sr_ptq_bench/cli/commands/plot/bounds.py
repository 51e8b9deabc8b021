"""`srq plot distributions` and `srq plot bounds`: what methods choose for tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ... import options as declared
from .writer import picture_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ....errors import SrqError
    from ....quantization.distribution import Distribution
    from ....quantization.quantizer import Bounds, Site
    from ...selected import SelectedRuns


@click.command()
@declared.methods
@declared.selection
@click.option(
    "--site",
    "sites",
    multiple=True,
    metavar="PATTERN",
    help="Sites by name, such as '*fc2.input'; default: one a kind.",
)
@declared.picture
def distributions(methods: tuple[str, ...], sites: tuple[str, ...], out: Path, **choice: Any) -> None:
    """Histograms of weights and activations from the calibration pass, with the bounds of methods as vertical lines.

    Example: srq plot distributions --method minmax --method dobi --bits 2 --scale 2 --out distributions.png
    """
    save = picture_writer(out)
    from ....plots.distributions import draw, select_sites

    selected, known, observed, bounds = _bounds(methods, choice, lambda known: select_sites(known, sites))
    save(draw(known, observed, bounds, selected.title))


@click.command()
@declared.methods
@declared.selection
@declared.picture
def bounds(methods: tuple[str, ...], out: Path, **choice: Any) -> None:
    """Percentiles of the bounds within the distribution of their site, in network order.

    Example: srq plot bounds --method dobi --method 2dquant --bits 2 --scale 2 --out bounds.png
    """
    save = picture_writer(out)
    from ....plots.bounds import draw

    selected, known, observed, of = _bounds(methods, choice, lambda known: known)
    save(draw(known, observed, of, selected.title))


def _bounds(
    methods: tuple[str, ...], choice: Mapping[str, Any], choose: Callable[[list[Site]], list[Site]]
) -> tuple[SelectedRuns, list[Site], dict[str, Distribution], dict[str, dict[str, Bounds]]]:
    """The selected sites with their distributions, and the bounds of every method."""
    from ....quantization.state.network_tensors import changed_tensors
    from ...selected import SelectedRuns

    selected = SelectedRuns(methods, **choice)
    several = len(selected.runs) > 1
    for run in selected.runs:  # refused before any work
        if several and run.method.transforms:
            raise _not_alone(run.spec.method)
    known: list[Site] = []
    observed: dict[str, Distribution] = {}
    bounds: dict[str, dict[str, Bounds]] = {}
    for run, (name, student) in zip(selected.runs, selected.students(), strict=True):
        if several and changed_tensors(student, run.teacher):
            raise _not_alone(name)
        if not known:
            known = choose([quantizer.site for quantizer in student.quantizers.values()])
            observed = selected.distributions(run, student)
        bounds[name] = {site.name: student.quantizers[site.name].bounds for site in known}
    return selected, known, observed, bounds


def _not_alone(method: str) -> SrqError:
    from ....errors import SrqError

    return SrqError(f"method '{method}' changes weights, so its distributions are its own; draw it alone")
