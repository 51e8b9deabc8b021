"""Everything before a run: its data is read, its method resolved, and all that a user can get wrong is checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from .choice import choose_method, option_values
from .data.batches import Batches
from .data.datasets import crops, load_dataset
from .data.library import Library
from .errors import SrqError
from .files import sha256_of
from .model import with_padding, with_scope
from .records import record_name
from .schema import Hashes, PortableSpec, Text
from .spec import Download
from .tiles import check_tiles

if TYPE_CHECKING:
    from .data.datasets import Dataset
    from .manager import Plugins
    from .method import Method
    from .model import SRModel
    from .spec import RunSpec

_NAME: TypeAdapter[str] = TypeAdapter(Text)


@dataclass(frozen=True)
class Run:
    """A run that has passed all checks: its data is read, its method resolved, its record's name known."""

    spec: RunSpec
    plugins: Plugins
    method: Method
    portable: PortableSpec
    hashes: Hashes
    tests: dict[str, Dataset]
    not_scored: tuple[str, ...]
    batches: Batches
    model: SRModel

    @property
    def record_name(self) -> str:
        """The file that the record of this run will have."""
        return record_name(self.portable, self.hashes)


def prepare(spec: RunSpec, plugins: Plugins, device: str = "cpu", library: Library | None = None) -> Run:
    """Check everything that a user can get wrong, before any work; raises SrqError.

    Weights of a release are fetched into the library at first use. Test sets that it lacks are left out; the run then
    names them in `not_scored`.
    """
    library = library or Library()
    method = choose_method(plugins, spec.method, spec.options, spec.suite.options)
    not_scored = _absent(spec, library)
    weights = library.weights(spec.weights.download) if isinstance(spec.weights, Download) else spec.weights
    model = with_padding(plugins.load_model(spec.suite.model, spec.scale, weights), spec.suite.padding)
    model = with_scope(model, spec.scope)
    portable = _portable(spec, method, model)
    tests = {
        name: load_dataset(name, source, spec.scale, library.images)
        for name, source in spec.suite.test.items()
        if name not in not_scored
    }
    for dataset in tests.values():
        _check_names(dataset)
        _check_windows(model, dataset)
    check_tiles(spec.suite.tiles, model)
    calibration = spec.suite.calibration
    if calibration.size < _least(model):
        raise SrqError(f"calibration patches of {calibration.size} are {_smaller(model)}; choose a larger size")
    images = load_dataset("calibration", calibration.source, spec.scale, library.images)
    patches = crops(images, calibration.patches, calibration.size, spec.seed)
    batches = Batches(patches, images.lr_images, spec.seed, device)
    hashes = Hashes(
        weights=sha256_of(weights),
        calibration=hashlib.sha256(images.sha256.encode() + patches.tobytes()).hexdigest(),
        test={name: dataset.sha256 for name, dataset in tests.items()},
        plugins=plugins.sources(method.parts),
    )
    return Run(spec, plugins, method, portable, hashes, tests, not_scored, batches, model.to(device))


def with_method(run: Run, spec: RunSpec) -> Run:
    """What `prepare` gives for a run of the same suite, scale, scope and seed, without reading network and images anew.

    Method, options and bits may differ from those of `run`; raises SrqError where they are unusable.
    """
    method = choose_method(run.plugins, spec.method, spec.options, spec.suite.options)
    hashes = run.hashes.model_copy(update={"plugins": run.plugins.sources(method.parts)})
    return replace(run, spec=spec, method=method, portable=_portable(spec, method, run.model), hashes=hashes)


def _portable(spec: RunSpec, method: Method, model: SRModel) -> PortableSpec:
    options = {part: option_values(method.options[part]) for part in method.parts}
    return PortableSpec.of(spec, method.parts, options, model.scope)


def _absent(spec: RunSpec, library: Library) -> tuple[str, ...]:
    """The suite's test sets that are not at hand; raises SrqError if all are, or if the calibration images are."""
    lacking = {name: library.lacks(source) for name, source in spec.suite.test.items()}
    absent = tuple(name for name, sets in lacking.items() if sets)
    calibration = library.lacks(spec.suite.calibration.source)
    if calibration:
        what = f"calibration images {calibration[0]} are not at hand"
        raise SrqError(f"suite '{spec.suite.name}': {what}: {library.how_to_get(calibration[0])}")
    if len(absent) == len(spec.suite.test):
        first = lacking[absent[0]][0]
        what = f"no test set is at hand of {', '.join(absent)}"
        raise SrqError(f"suite '{spec.suite.name}': {what}: {library.how_to_get(first)}")
    return absent


def _check_names(dataset: Dataset) -> None:
    for name in dataset.names:
        try:
            _NAME.validate_python(name)
        except ValidationError as error:
            raise SrqError(
                f"dataset '{dataset.name}': no record can hold the image name {name!r}; rename it"
            ) from error


def _check_windows(model: SRModel, dataset: Dataset) -> None:
    for name, size in zip(dataset.names, dataset.lr_sizes, strict=True):
        if min(size) < _least(model):
            raise SrqError(f"dataset '{dataset.name}': LR image '{name}' is {size}, {_smaller(model)}; remove it")


def _least(model: SRModel) -> int:
    return max(model.window, model.minimum)


def _smaller(model: SRModel) -> str:
    if model.minimum > model.window:
        return f"smaller than the {model.minimum} pixels that '{model.name}' needs"
    return f"smaller than one window of {model.window}x{model.window}"
