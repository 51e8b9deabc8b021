"""`srq plot psnr`, `srq plot pareto` and `srq plot loss`: figures that need only records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ... import options as declared
from .writer import picture_writer

if TYPE_CHECKING:
    from ....records.record import Record
    from ....records.scores import References
    from ....tables.rows import Row


record_selection = declared.together(
    declared.scale,
    click.option("--suite", default="sample", metavar="SUITE", show_default=True, help="Records of this suite."),
    declared.model, declared.some_methods, declared.results, declared.picture,
)  # fmt: skip
"""The options of figures that need only records."""
_lowest = click.option(
    "--lowest", type=declared.FiniteRange(0), metavar="DB", help="Where the axis begins; lower values are not shown."
)


@click.command()
@record_selection
@_lowest
def psnr(methods: tuple[str, ...], out: Path, lowest: float | None, **where: Any) -> None:
    """PSNR over bits: a line per method; FP and bicubic as horizontal lines.

    Example: srq plot psnr --scale 2 --out psnr.png
    """
    save = picture_writer(out)
    from ....plots.psnr import draw

    save(draw(*_table(methods, **where), lowest))


@click.command()
@record_selection
@_lowest
def pareto(methods: tuple[str, ...], out: Path, lowest: float | None, **where: Any) -> None:
    """PSNR over the bytes of the parameters and over bit-operations, with the Pareto front.

    Example: srq plot pareto --scale 2 --out pareto.png
    """
    save = picture_writer(out)
    from ....plots.pareto import draw

    save(draw(*_table(methods, **where), lowest))


@click.command()
@record_selection
@click.option("--bits", "-b", metavar="BITS", help="Only runs of these bits: 4, or w4a8; default: all found.")
def loss(methods: tuple[str, ...], out: Path, bits: str | None, **where: Any) -> None:
    """The loss over the steps of a calibrator, such as DQC or Pac, a line per run.

    Example: srq plot loss --scale 2 --bits 2 --out loss.png
    """
    save = picture_writer(out)
    from ....errors import SrqError
    from ....plots.loss import draw
    from ....protocol.bits import Bits
    from ....tables.labels import labels

    wanted = Bits.parse(bits) if bits else None
    found = [record for record in _records(methods, **where) if wanted in (None, record.spec.bits)]
    kept = [record for record in found if record.figures.get("losses") and isinstance(record.figures["losses"], tuple)]
    if not kept:
        raise SrqError(
            f"of the {len(found)} records selected none holds losses; measure a calibrator: see `srq methods`"
        )
    kept.sort(key=lambda record: (record.spec.method, str(record.spec.bits), record.spec.seed, record.key))
    named = labels(kept)
    seeds = len({record.spec.seed for record in kept}) > 1
    losses = {}
    for record in kept:
        seed = f", seed {record.spec.seed}" if seeds else ""
        losses[f"{named[record.key]} {record.spec.bits}{seed}"] = record.figures["losses"]
    save(draw(losses, _place(kept[0])))  # type: ignore[arg-type]  # checked above


def _table(methods: tuple[str, ...], **where: Any) -> tuple[list[Row], References, str]:
    """The rows of a table, its references, and what it is called."""
    from ....tables.comparable import comparable_records
    from ....tables.labels import labels
    from ....tables.rows import rows_of

    records = comparable_records(_records(methods, **where))
    return rows_of(records, labels(records)), records[0].references, _place(records[0])


def _records(methods: tuple[str, ...], *, scale: int, suite: str, model: str | None, results: Path) -> list[Record]:
    """The records of one network and scale, by default the first of a built-in suite.

    Raises SrqError if there are none, or several networks.
    """
    from ....errors import SrqError, unknown
    from ....protocol.suite import Suite, suite_names
    from ....protocol.types import parse_scale
    from ....records.files import read_records
    from ...leaderboards.records import how_to_make, suite_name

    asked, suite = suite, suite_name(suite)
    factor = parse_scale(scale)
    records = [record for record in read_records(results / suite) if record.spec.scale == factor]
    models = sorted({record.spec.model for record in records})
    if not records:
        raise SrqError(f"no records of x{scale} in {results / suite}; {how_to_make(asked, factor)}")
    if model is None and suite in suite_names() and Suite.load(suite).model in models:
        model = Suite.load(suite).model
    if model is None and len(models) > 1:
        raise SrqError(f"{results / suite} holds records of {', '.join(models)}; choose one with --model")
    if model is not None and model not in models:
        raise unknown("model", model, models)
    of_model = [record for record in records if model in (None, record.spec.model)]
    known = {record.spec.method for record in of_model}
    for method in methods:
        if method not in known:
            raise unknown("method", method, known)
    return [record for record in of_model if not methods or record.spec.method in methods]


def _place(record: Record) -> str:
    spec = record.spec
    return f"{spec.model} x{spec.scale}, suite {spec.suite}"
