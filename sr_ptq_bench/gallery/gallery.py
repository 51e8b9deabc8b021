"""The gallery of one table: every stored state is restored once, and what it shows is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..evaluation.score import interpolations, network_upscaler
from ..progress import TimedStages
from ..quantization.quantize import quantize
from ..quantization.student import cached_quantized_weights
from ..records.compare import Comparison
from ..records.files import name_of, read_result
from ..records.sensitivity import read_sensitivity
from ..runs.restore import prepare_recorded, restore_recorded
from ..runs.stages.observation import observe_distributions
from ..runs.stages.references import FP_SEED
from .pictures import ImageFolder
from .sites import bounds_view, changes, site_view
from .views import BICUBIC, FP, Gallery, StudentView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ..progress import Say
    from ..protocol.suite import Suite
    from ..quantization.distribution import Distribution
    from ..quantization.student import Student
    from ..records.files import RunResult
    from ..records.record import Record
    from ..runs.prepare import PreparedRun
    from ..runs.session import Session
    from .views import SiteView


def gallery(
    records: Sequence[Record], results: Path, suite: Suite, session: Session, below: Path, leave_out: Say
) -> Gallery | None:
    """Pictures of all records of a table into the folder `below`, and what is known of their sites.

    `results` is the folder of the records. A record without a usable state is named to `leave_out`; None if no state
    is usable. Pictures that are in the folder already are not made again.
    """
    made = _Maker(suite, session, below)
    students: dict[str, StudentView] = {}
    with session.reporter.stage(f"Pictures, {below.name}") as progress:
        for done, record in enumerate(records):
            name = name_of(record)
            progress(done, len(records), record.spec.method)
            try:
                students[record.key] = made.student(read_result(results / name), results / name, leave_out)
            except SrqError as error:
                leave_out(f"{name}: {error}")
        if not students:
            return None
        pictures: dict[str, list[str]] = {}
        for record in sorted(records, key=lambda of: (-of.spec.bits.weight, -of.spec.bits.activation)):
            if record.key in students:
                pictures.setdefault(str(record.spec.bits), []).append(students[record.key].picture)
        images = [folder.view(pictures) for folder in made.folders]
    return Gallery(images, {scope: network.sites() for scope, network in made.networks.items()}, students)


@dataclass(frozen=True, eq=False)
class _Network:
    """The FP network under one scope, with the distributions of its sites."""

    run: PreparedRun
    distributions: Mapping[str, Distribution]
    plain: Student

    def sites(self) -> list[SiteView]:
        """In network order."""
        quantizers = self.plain.quantizers.items()
        return [site_view(quantizer.site, self.distributions[name]) for name, quantizer in quantizers]


class _Maker:
    """The folders of a table's images, and its FP network under each scope."""

    def __init__(self, suite: Suite, session: Session, below: Path) -> None:
        self.suite, self.session, self.below = suite, session, below
        self.networks: dict[str, _Network] = {}
        self.folders: list[ImageFolder] = []

    def student(self, result: RunResult, path: Path, say: Say) -> StudentView:
        """Restore a student, write its pictures, and forget it; raises SrqError if it is not usable here."""
        network = self._network(result.record)
        student = restore_recorded(result, self.suite, self.session)
        picture = result.record.state_sha256[:12]
        self._pictures(network.run, student, picture, result.record, say)
        bounds = {
            name: bounds_view(quantizer.bounds, network.distributions[name])
            for name, quantizer in student.quantizers.items()
        }
        found = read_sensitivity(path)
        psnr = {group.name: group.only for group in found.groups} if found else {}
        return StudentView(picture, bounds, changes(student, network.run.teacher), psnr, found.unit if found else "")

    def _network(self, record: Record) -> _Network:
        scope = record.scope.short
        if scope not in self.networks:
            run = prepare_recorded(record, self.suite, self.session)
            plain = quantize(run.teacher, run.spec.bits)
            stages = TimedStages(self.session.reporter)
            seen = observe_distributions(run, plain, self.session.cache, stages, fresh=False)
            if not self.folders:
                self.folders = list(self._references(run))
            self.networks[scope] = _Network(run, seen, plain)
        return self.networks[scope]

    def _references(self, run: PreparedRun) -> Iterable[ImageFolder]:
        """A folder for each test image, with HR, bicubic and FP."""
        upscalers = {
            BICUBIC: interpolations(run.spec.scale)["bicubic"],
            FP: network_upscaler(run.teacher, run.tiles, FP_SEED),
        }
        spec = run.resolved
        made_with = f"{run.hashes.weights} {spec.padding} {spec.tiles}"
        for dataset in run.tests.values():
            for index in range(len(dataset)):
                folder = ImageFolder(dataset, index, self.below, made_with)
                folder.make_hr()
                for name, upscaler in upscalers.items():
                    folder.make(name, upscaler)
                yield folder

    def _pictures(self, run: PreparedRun, student: Student, picture: str, record: Record, say: Say) -> None:
        upscaler = network_upscaler(student.model, run.tiles, record.spec.seed)
        with cached_quantized_weights(student, record.spec.seed):
            for folder in self.folders:
                made = folder.make(picture, upscaler)
                if made is None:
                    continue
                image = folder.dataset.names[folder.index]
                of = folder.dataset.name
                recorded = record.scores[of].images[image].get("psnr")
                found = run.plugins.evaluate(*made, run.spec.scale).get("psnr")
                if recorded is None or found is None:
                    continue
                if not Comparison(
                    of, "psnr", recorded, found, record.references.fp[of].images[image].get("psnr")
                ).holds_for_an_image:
                    say(f"{name_of(record)}: '{image}' has {found:.2f} dB here and {recorded:.2f} dB in the record")
