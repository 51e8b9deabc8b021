"""Records that may share a table, because their scores compare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..records.files import name_of
from .labels import REFERENCES
from .rows import DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..records.record import Record
    from ..records.scores import Scores


def comparable_records(records: Iterable[Record]) -> list[Record]:
    """The records in a fixed order; raises SrqError if they do not fit into one table.

    Runs for which fewer of the suite's test sets were available than for others are left out.
    """
    known = sorted(records, key=lambda record: record.key)
    if not known:
        raise SrqError("a table needs at least one record")
    fewest = min(len(record.not_scored) for record in known)
    ordered = [record for record in known if len(record.not_scored) == fewest]
    first, *others = ordered
    ground = _shared_settings(first)
    for record in others:
        _check_fit(first, ground, record)
    _check_pairs(ordered)
    return ordered


LIBRARIES = ("sr_ptq_bench", "basicsr", "torch", "numpy", "opencv")
"""What tables name if their records had several versions of it."""


def exclusion_notes(ordered: Sequence[Record], known: Sequence[Record]) -> Iterator[str]:
    """What the rows do not show: test sets without a column, records without a row, several versions of metrics."""
    if ordered[0].not_scored:
        yield f"Not scored, because the images were missing: {', '.join(ordered[0].not_scored)}."
    seen = {f"{name}/{image}" for record in ordered for name, of in record.calibrated_on.items() for image in of}
    if seen:
        yield f"Test images that are calibration images too: {', '.join(sorted(seen))}; their scores are too good."
    missing = len(known) - len(ordered)
    if missing:
        runs = "1 run" if missing == 1 else f"{missing} runs"
        yield f"Left out: {runs} on fewer test sets; measure again."
    names = sorted({name for record in ordered for name in record.current_code})
    changed = [name for name in names if len({record.current_code.get(name) for record in ordered} - {None}) > 1]
    if changed:
        yield f"Made with several versions of the code of {', '.join(changed)}; compare them with `srq verify --stamp`."
    for library in LIBRARIES:  # all take part in every score; the references agree all the same
        versions = sorted({record.environment.versions.get(library, "unknown") for record in ordered})
        if len(versions) > 1:
            yield f"Made with several versions of {library}: {', '.join(versions)}."
    devices = sorted({record.environment.device for record in ordered})
    if len(devices) > 1:
        yield f"Made on several devices: {', '.join(devices)}."


def _check_fit(first: Record, ground: Mapping[str, object], second: Record) -> None:
    """Refuse two records whose scores do not compare; `ground` is that of the first."""
    other = _shared_settings(second)
    if ground != other:
        raise _not_comparable(first, second, next(what for what in ground if ground[what] != other[what]))
    for name, code in _shared_plugins(first).items():
        if _shared_plugins(second).get(name, code) != code:
            raise _not_comparable(first, second, f"the code of plugin '{name}'")
    for (name, one_scores), (_, other_scores) in zip(first.references, second.references, strict=True):
        if not _close(one_scores, other_scores):
            raise _not_comparable(first, second, f"scores of {REFERENCES[name]}, so in their metric or images")


def _shared_settings(record: Record) -> dict[str, object]:
    """All that the records of one table have in common, by its name in errors."""
    spec = record.spec
    return {
        "suite": spec.suite,
        "model": spec.model,
        "scale": spec.scale,
        "weights": record.hashes.weights,
        "test images": (record.hashes.test, {name: scores.images.keys() for name, scores in record.scores.items()}),
        "calibration patches": (spec.calibration.patches, spec.calibration.size),
        "padding": spec.padding,
        "tiles": spec.tiles,
        "metric": {dataset: [m for m in DIGITS if m in scores.mean] for dataset, scores in record.scores.items()},
    }


def _shared_plugins(record: Record) -> dict[str, str]:
    """The code of foreign plugins that load networks or score images: all that are not part of the method."""
    return {name: code for name, code in record.hashes.plugins.items() if name not in record.spec.parts}


def _not_comparable(first: Record, second: Record, what: str) -> SrqError:
    return SrqError(f"no table of both {name_of(first)} and {name_of(second)}: they differ in {what}")


def _close(one: Scores, other: Scores) -> bool:
    """Whether two machines' scores of a reference agree to one unit of the last digit printed."""
    return all(
        math.isclose(one[dataset].mean[metric], other[dataset].mean[metric], rel_tol=0, abs_tol=10.0**-digits)
        for dataset in one
        for metric, digits in DIGITS.items()
        if metric in one[dataset].mean and metric in other[dataset].mean
    )


def _check_pairs(ordered: Sequence[Record]) -> None:
    """Refuse a run given twice, one word for two scopes, one seed for two sets of patches, and two sets of images."""
    scopes: dict[str, Record] = {}
    seeds: dict[int, Record] = {}
    of_images: Record | None = None
    for previous, record in zip([None, *ordered], ordered, strict=False):
        if previous is not None and previous.key == record.key:
            raise SrqError(f"record {name_of(record)} is given twice")
        known = scopes.setdefault(record.scope.short, record)
        if known.scope != record.scope:
            raise _not_comparable(known, record, f"what '{record.scope.short}' quantizes")
        # The seed chooses the crops, so patches are compared within a seed only, and whole images wherever known.
        alike = seeds.setdefault(record.spec.seed, record)
        if alike.hashes.calibration != record.hashes.calibration:
            raise _not_comparable(alike, record, "calibration images")
        if record.calibration_images:
            of_images = of_images or record
            if of_images.calibration_images != record.calibration_images:
                raise _not_comparable(of_images, record, "calibration images")
