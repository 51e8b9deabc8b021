"""`srq analyze`: which sites suffer most from quantization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as shared
from .chosen import run_options

if TYPE_CHECKING:
    from ..formats import Format
    from ..sensitivity import By


@click.command()
@click.option("--method", "-m", required=True, metavar="NAME", help="Whose bounds: a method; see `srq methods`.")
@run_options
@click.option(
    "--by",
    type=click.Choice(["site", "layer", "producer"]),
    default="site",
    show_default=True,
    help="Quantize site by site, or all sites of a layer or of a kind of tensor together.",
)
@click.option(
    "--patches",
    default=2,
    show_default=True,
    metavar="N",
    type=click.IntRange(1),
    help="Score against the FP output on the first N calibration patches.",
)
@click.option("--test", metavar="SET", help="Score against HR on a test set of the suite instead: slow.")
@shared.table_format()
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw it too: .png, .pdf or .svg.")
def analyze(
    method: str, by: By, patches: int, test: str | None, as_format: Format, plot: Path | None, **choice: Any
) -> None:
    """Rank sites by what their quantization costs: this site alone quantized, and all but this site.

    \b
    srq analyze --method dobi --bits 2 --scale 2
    srq analyze --method 2dquant --bits 2 --scale 2 --by layer --plot layers.png
    srq analyze --method minmax --bits 4 --scale 2 --by producer --test photos --format csv

    The bounds are those beside the record of `srq run` where there is one, else they are chosen now. The score is the
    PSNR of the student's output against that of the full-precision (FP) network on a few calibration patches.
    """
    from .chosen import Chosen

    if plot:
        from ..plots.canvas import check_suffix, save
        from ..plots.sensitivity import draw

        check_suffix(plot)
    chosen = Chosen((method,), **choice)
    (run,) = chosen.runs

    from ..errors import unknown
    from ..formats import render
    from ..sensitivity import fidelity, page, quality, sensitivities

    if test is not None and test not in run.tests:
        raise unknown("test set", test, run.tests)
    if test is None:
        psnr, unit = fidelity(run, patches), f"PSNR against FP output, {patches} calibration patches"
    else:
        psnr, unit = quality(run, test), f"PSNR against HR, test set {test}"
    ((_, student),) = chosen.students()
    with chosen.display.stage(f"Quantize {by} by {by}") as progress:
        found = sensitivities(student, by, psnr, unit, progress)
    title = f"Sensitivity of {chosen.title}, {method}"
    notes = {"Weights": f"sha256 `{run.hashes.weights[:12]}`", "Calibration": f"sha256 `{run.hashes.calibration[:12]}`"}
    click.echo(render([page(found, title, by, notes)], as_format), nl=False)
    if plot:
        save(draw(found, title), plot)
        chosen.display.print(f"wrote {plot}")
