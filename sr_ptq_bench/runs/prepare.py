"""Everything before a run: data are read, the method is resolved, and all that a user can get wrong is checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ..data.datasets import crops, load_dataset
from ..data.patches import Batches
from ..errors import SrqError
from ..evaluation.tiles import check_tiles
from ..hooks.resolve import resolve_method
from ..protocol.suite import Download
from ..quantization.network import with_padding, with_scope
from ..records.fields import Text
from ..records.files import record_name
from ..records.resolved import Hashes, ResolvedSpec
from ..storage.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..data.datasets import Dataset
    from ..data.images.header import Size
    from ..hooks.method import Method
    from ..hooks.plugins import Plugins
    from ..library.library import Library
    from ..protocol.run_spec import RunSpec
    from ..protocol.suite import Tiles
    from ..quantization.network import SRModel
    from .session import Session

_NAME: TypeAdapter[str] = TypeAdapter(Text)


@dataclass(frozen=True)
class PreparedRun:
    """A run that has passed all checks: data are read, the method is resolved, the record's name is known."""

    spec: RunSpec
    plugins: Plugins
    method: Method
    resolved: ResolvedSpec
    hashes: Hashes
    tests: dict[str, Dataset]
    not_scored: tuple[str, ...]
    batches: Batches
    teacher: SRModel
    loader: str
    """The plugin that loaded the network."""
    calibrated_on: dict[str, tuple[str, ...]]
    """Test images that are calibration images too, by test set."""
    calibration_images: str
    """SHA-256 of the whole calibration images, whatever the seed."""

    @property
    def tiles(self) -> Tiles | None:
        """How networks see images; None for whole images."""
        return self.resolved.tiles

    @property
    def record_name(self) -> str:
        """The file that the record of this run will have."""
        return record_name(self.resolved, self.hashes)


def prepare(spec: RunSpec, session: Session, method: Method | None = None) -> PreparedRun:
    """Check everything that a user can get wrong, before any work; raises SrqError.

    Weights of a release are fetched into the library at first use. Missing test sets are skipped; the run names them
    in `not_scored`.
    """
    plugins, library, device = session.plugins, session.library, session.device
    method = method or resolve_method(plugins, spec.method, spec.options, spec.suite.options)
    not_scored = _absent(spec, library)
    model, loader, weights = load_network(spec, session)
    resolved = _resolved(spec, method, model)
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
    if why := model.too_small(calibration.size):
        raise SrqError(f"calibration patches of {calibration.size} are {why}; choose a larger size")
    images = load_dataset("calibration", calibration.source, spec.scale, library.images)
    patches = crops(images, calibration.patches, calibration.size, spec.seed)
    batches = Batches(patches, images.lr_images, spec.seed, device)
    hashes = Hashes.of(
        weights=sha256_of(weights),
        calibration=hashlib.sha256(images.sha256.encode() + patches.tobytes()).hexdigest(),
        test={name: dataset.sha256 for name, dataset in tests.items()},
        plugins=_foreign(plugins, method, loader),
    )
    return PreparedRun(
        spec,
        plugins,
        method,
        resolved,
        hashes,
        tests,
        not_scored,
        batches,
        model.to(device),
        loader,
        overlap(images, tests),
        images.sha256,
    )


def load_network(spec: RunSpec, session: Session) -> tuple[SRModel, str, Path]:
    """The FP network of a run on the CPU, the plugin that loads it, and the file of its weights; raises SrqError."""
    weights = session.library.weights(spec.weights.download) if isinstance(spec.weights, Download) else spec.weights
    loaded, loader = session.plugins.load_model(spec.suite.model, spec.scale, weights)
    return with_scope(with_padding(loaded, spec.suite.padding), spec.scope), loader, weights


def overlap(calibration: Dataset, tests: Mapping[str, Dataset]) -> dict[str, tuple[str, ...]]:
    """The test images with the LR pixels of a calibration image; images of other sizes are not read."""
    places: dict[Size, list[int]] = {}
    for index, size in enumerate(calibration.lr_sizes):
        places.setdefault(size, []).append(index)

    def is_known(dataset: Dataset, index: int) -> bool:
        alike = places.get(dataset.lr_sizes[index], [])
        return bool(alike) and any(np.array_equal(dataset.lr(index), calibration.lr(other)) for other in alike)

    found = {
        name: tuple(image for index, image in enumerate(dataset.names) if is_known(dataset, index))
        for name, dataset in tests.items()
    }
    return {name: images for name, images in found.items() if images}


def with_method(run: PreparedRun, spec: RunSpec) -> PreparedRun:
    """A prepared run of the same suite, scale, scope and seed, without reading images again.

    Method, options and bits may differ from those of `run`; raises SrqError if they are unusable.
    """
    method = resolve_method(run.plugins, spec.method, spec.options, spec.suite.options)
    hashes = run.hashes.model_copy(update={"plugins": _foreign(run.plugins, method, run.loader)})
    return replace(run, spec=spec, method=method, resolved=_resolved(spec, method, run.teacher), hashes=hashes)


def _foreign(plugins: Plugins, method: Method, loader: str) -> dict[str, str]:
    """The code of plugins of other distributions: no version identifies it, so it is part of the record's name."""
    code = plugins.code([*method.components, loader])
    return {name: sha256 for name, sha256 in code.items() if not plugins.plugins[name].is_built_in()}


def _resolved(spec: RunSpec, method: Method, model: SRModel) -> ResolvedSpec:
    return ResolvedSpec.of(spec, method.components, method.option_values, model.scope)


def _absent(spec: RunSpec, library: Library) -> tuple[str, ...]:
    """The suite's test sets that are missing; raises SrqError if all are, or if the calibration images are."""
    missing = {name: library.missing(source) for name, source in spec.suite.test.items()}
    absent = tuple(name for name, sets in missing.items() if sets)
    calibration = library.missing(spec.suite.calibration.source)
    if calibration:
        what = f"calibration images {calibration[0]} are missing"
        raise SrqError(f"suite '{spec.suite.name}': {what}: {library.how_to_get(calibration[0])}")
    if len(absent) == len(spec.suite.test):
        first = missing[absent[0]][0]
        what = f"no test set is available of {', '.join(absent)}"
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
        if why := model.too_small(min(size)):
            raise SrqError(f"dataset '{dataset.name}': LR image '{name}' is {size}, {why}; remove it")
