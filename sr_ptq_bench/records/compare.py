"""Two results of one run: whether they agree, and what becomes of the file that is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..storage.files import set_aside
from .files import ForeignRecordError, make_room, name_of, read_record, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..progress import Say
    from .files import RunResult
    from .record import Record
    from .scores import Scores

PRINTED = {"psnr": 0.005, "ssim": 0.00005}
"""Half of the last printed digit."""
ON_ANOTHER_PROCESSOR = 0.1
"""The share of a student's loss against FP that another order of sums may change in the scores of its state.

A sum that differs in its last bit may round an activation to the next level. The layers after it spread this error
until it is as large as that of the quantization itself, so a student that loses much moves much. Between processors of
two makers records of this project moved by up to 0.037 of their loss, those of FP networks by less than 0.00001 dB.
"""
OF_OTHER_METRICS = 0.001
"""What counts as printed of a metric that tables do not print, as a share of its value."""
OF_AN_IMAGE = 2
"""Times the tolerance of a mean."""
COUNTED = ("scope", "site_bits", "complexity", "not_scored", "calibrated_on")
"""What no machine changes."""


@dataclass(frozen=True)
class Comparison:
    """A score, recorded and measured again.

    `fp` is that of the FP network for the score of a student on another machine, else None.
    """

    dataset: str
    metric: str
    recorded: float
    again: float
    fp: float | None = None

    @property
    def difference(self) -> float:
        """Again minus recorded; 0 where both are infinite."""
        return 0.0 if self.again == self.recorded else self.again - self.recorded

    @property
    def prints_alike(self) -> bool:
        """Whether the printed digits agree but for rounding."""
        return self._within(self._printed)

    @property
    def holds(self) -> bool:
        """Whether one state may have both scores, on processors that sum in another order."""
        return self._within(self._explained)

    @property
    def holds_for_an_image(self) -> bool:
        """The same for the score of one image, which moves further than a mean."""
        return self._within(OF_AN_IMAGE * self._explained)

    @property
    def _printed(self) -> float:
        return PRINTED.get(self.metric, OF_OTHER_METRICS * abs(self.recorded))

    @property
    def _explained(self) -> float:
        lost = 0.0 if self.fp is None else abs(self.fp - self.recorded)
        return max(self._printed, ON_ANOTHER_PROCESSOR * lost) if math.isfinite(lost) else self._printed

    def _within(self, tolerance: float) -> bool:
        return self.difference == 0 or abs(self.difference) < tolerance


def compare(recorded: Scores, again: Scores, fp: Scores | None = None) -> list[Comparison]:
    """All mean scores side by side; raises SrqError for a metric, test set or image of one side alone."""
    metrics = {name: {*scores.mean} for name, scores in recorded.items()}
    if metrics != {name: {*scores.mean} for name, scores in again.items()}:
        raise SrqError("the scores are of other test sets or metrics")
    for name, scores in recorded.items():
        if odd := scores.images.keys() ^ again[name].images.keys():
            raise SrqError(f"the scores of {name} are of other images, such as '{min(odd)}'")
    return [
        Comparison(dataset, metric, value, again[dataset].mean[metric], fp[dataset].mean.get(metric) if fp else None)
        for dataset, scores in recorded.items()
        for metric, value in scores.mean.items()
    ]


def other_images(recorded: Scores, again: Scores, fp: Scores | None = None) -> Iterator[str]:
    """The scores of single images that no other processor or number of threads explains."""
    for dataset, scores in recorded.items():
        for image, metrics in scores.images.items():
            for metric, value in metrics.items():
                here = again[dataset].images[image][metric]
                at_best = fp[dataset].images[image].get(metric) if fp else None
                if not Comparison(dataset, metric, value, here, at_best).holds_for_an_image:
                    yield f"{dataset}, image '{image}': {metric.upper()} {value:.6g} in the record, {here:.6g} again"


def differences(there: Record, here: Record) -> list[str]:
    """What two records of one run say differently, apart from times, machine and digits that no table prints."""
    said = [f"another {name}" for name in COUNTED if getattr(there, name) != getattr(here, name)]
    pairs = {"": (there.scores, here.scores)}
    pairs |= {f"{name} ": (of, getattr(here.references, name)) for name, of in there.references}
    for name, (recorded, again) in pairs.items():
        try:
            compared = compare(recorded, again)
        except SrqError as error:
            said.append(str(error))
            continue
        said += [
            f"{name}{of.dataset} {of.metric.upper()} {of.recorded:.6g} there, {of.again:.6g} here"
            for of in compared
            if not of.prints_alike
        ]
    return said


def write_or_reproduce(result: RunResult, folder: Path, say: Say, replace: bool = False) -> Path:
    """Bring a result into `folder`; the path of its record. Raises SrqError if the system refuses.

    A record of the same run that is there stays: `say` tells that it is reproduced, or how it differs. A reproduced one
    that lacks its state is written again. With `replace` the new result takes the place of any.
    """
    record = result.record
    path = folder / name_of(record)
    if replace or not path.exists():
        return result.write(folder, say)
    make_room(path, say)
    if not path.exists():
        return result.write(folder, say)
    there = read_record(path)
    if name_of(there) != path.name:
        say(f"{path} is of another run, {name_of(there)}; {set_aside(path)}")
        return result.write(folder, say)
    said = differences(there, record)
    if said:
        made = f", made on {there.environment.cpu}," if there.environment.cpu != record.environment.cpu else ""
        say(f"{path}{made} differs: {'; '.join(said)}. The file stays; --replace writes this result.")
        return path
    try:
        read_state(path, there)
    except ForeignRecordError:
        raise
    except SrqError:  # the state is missing or damaged
        return result.write(folder, say)
    if there.state_sha256 != record.state_sha256:
        say(f"Reproduced to the printed digits; the file stays: {path}")
    elif there != record:
        say(f"Reproduced to the last bit; the file stays: {path}")
    return path
