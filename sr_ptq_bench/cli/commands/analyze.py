"""`srq analyze`: which sites suffer most from quantization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options as declared

if TYPE_CHECKING:
    from ...records.sensitivity import By
    from ...tables.formats import Format


@click.command()
@declared.method
@declared.selection
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
@declared.table_format()
@click.option("--plot", type=declared.FILE, metavar="FILE", help="Also draw the ranking: .png, .pdf or .svg.")
@click.option("--keep", is_flag=True, help="Save the ranking beside the run's record, for `srq report --images`.")
def analyze(
    method: str,
    by: By,
    patches: int,
    test: str | None,
    as_format: Format,
    plot: Path | None,
    keep: bool,
    **choice: Any,
) -> None:
    """Rank sites by their quantization loss: only this site quantized, and all sites but this one.

    \b
    srq analyze --method dobi --bits 2 --scale 2
    srq analyze --method 2dquant --bits 2 --scale 2 --by layer --plot layers.png
    srq analyze --method minmax --bits 4 --scale 2 --by producer --test photos --format csv

    The quantized network is the one of `srq run` if there is a record, else the method is run now. The score is the
    PSNR between its output and the output of the full-precision (FP) network on a few calibration patches.
    """
    from ..selected import SelectedRuns

    if keep and by != "site":
        raise click.UsageError("--keep needs --by site; leave out --by.")
    if test is not None and declared.is_given("patches"):
        raise click.UsageError("--test scores a test set, and --patches calibration patches; give one.")
    if plot:
        from ...plots.canvas import check_suffix, save
        from ...plots.sensitivity import draw

        check_suffix(plot)
    selected = SelectedRuns((method,), **choice)
    (run,) = selected.runs

    from ...errors import SrqError, unknown
    from ...records.sensitivity import write_sensitivity
    from ...runs.sensitivity import psnr_to_fp, psnr_to_hr, sensitivities
    from ...tables.formats import render
    from ...tables.sensitivity import page

    if test is not None and test not in run.tests:
        raise unknown("test set", test, run.tests)
    record = selected.results / run.record_name
    if keep and not record.is_file():
        raise SrqError(f"there is no record {record}; make it with `srq run` first, or leave out --keep")
    if test is None:
        psnr, unit = psnr_to_fp(run, patches), f"PSNR against FP output, {patches} calibration patches"
    else:
        psnr, unit = psnr_to_hr(run, test), f"PSNR against HR, test set {test}"
    ((_, student),) = selected.students()
    with selected.display.stage(f"Quantize {by} by {by}") as progress:
        found = sensitivities(student, by, psnr, unit, progress)
    title = f"Sensitivity of {selected.title}, {method}"
    notes = {"Weights": f"sha256 `{run.hashes.weights[:12]}`", "Calibration": f"sha256 `{run.hashes.calibration[:12]}`"}
    click.echo(render([page(found, title, by, notes)], as_format), nl=False)
    if keep:
        selected.display.say(f"wrote {write_sensitivity(found, record)}")
    if plot:
        save(draw(found, title), plot)
        selected.display.say(f"wrote {plot}")
