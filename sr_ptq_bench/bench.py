"""One run: load, quantize, choose bounds, calibrate, evaluate; the result is a record."""

from __future__ import annotations

import hashlib
import time
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter, ValidationError

from .accounting import count, parameters
from .checks import said_of
from .data.batches import Batches
from .data.datasets import crops, load_dataset
from .data.library import Library
from .environment import describe, keep_freed_memory, peak_memory
from .errors import SrqError
from .evaluate import interpolations, of_network, score
from .files import sha256_of
from .manager import option_values
from .model import quantize, quantizers_off, weights_quantized_once, with_padding, with_scope
from .observation import observe
from .records import Measured, record_name
from .schema import SCHEMA_VERSION, Hashes, PortableSpec, Record, References, Scope, Text, complaint
from .spec import Download
from .stored_bounds import bounds_sha256, packed
from .tiles import check_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .cache import Cache
    from .data.datasets import Dataset
    from .distribution import Distribution
    from .hookspecs import Figures, Progress
    from .manager import Plugins
    from .method import Method
    from .model import SRModel, Student
    from .schema import Scores
    from .spec import RunSpec, ScopeName
    from .unfinished import KeptScores, Unfinished


SCOPES: dict[ScopeName, tuple[str, str]] = {
    "linear": (
        "linear+matmul",
        "Linear layers and the operands of matrix products; convolutions and LayerNorm stay FP",
    ),
    "all": ("all", "convolutions, Linear layers and the operands of matrix products; LayerNorm and biases stay FP"),
}
"""The word and the sentence of a table for each scope."""
LAYERS_ALONE: dict[ScopeName, tuple[str, str]] = {
    "linear": ("linear", "Linear layers; convolutions and LayerNorm stay FP"),
    "all": ("linear+conv", "Linear layers and convolutions; LayerNorm and biases stay FP"),
}
"""The same for networks with products at no site."""

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


@dataclass
class Stages:
    """Shows and times the stages of a run."""

    show: Callable[[str], AbstractContextManager[Progress]]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[Progress]:
        """Open one stage; its seconds count under `name`."""
        start = time.perf_counter()
        with self.show(name) as progress:
            yield progress
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def prepare(spec: RunSpec, plugins: Plugins, device: str = "cpu", library: Library | None = None) -> Run:
    """Check everything that a user can get wrong, before any work; raises SrqError.

    Weights of a release are fetched into the library at first use. Test sets that it lacks are left out; the run then
    names them in `not_scored`.
    """
    library = library or Library()
    method = plugins.method(spec.method, spec.options, spec.suite.options)
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
    method = run.plugins.method(spec.method, spec.options, spec.suite.options)
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


def measure(run: Run, cache: Cache, show: Callable[[str], AbstractContextManager[Progress]]) -> Measured:
    """Do the run; the same spec on the same machine gives the same record apart from its times.

    A run that was killed continues from its last checkpoint, and so to the same record.
    """
    keep_freed_memory()
    torch.manual_seed(run.spec.seed)
    start = time.perf_counter()
    stages = Stages(show)
    references = _references(run, cache, stages)
    unfinished = unfinished_of(run, cache)
    student, figures = calibrated(run, cache, unfinished, stages)
    complexity = count(student)
    known = unfinished.scores(student)
    with stages("evaluate") as progress:
        scores = scores_of(run, student, progress, known)
    record = _record(
        schema_version=SCHEMA_VERSION,
        spec=run.portable,
        scope=_scope(student),
        complexity=complexity,
        scores=scores,
        not_scored=run.not_scored,
        references=references,
        figures={key: tuple(v) if isinstance(v, list) else v for key, v in figures.items()},
        environment=describe(run.method, str(student.device), student.libraries),
        hashes=run.hashes,
        bounds_sha256=bounds_sha256(student),
        timings=stages.seconds | {"total": time.perf_counter() - start + unfinished.seconds_before},
        peak_memory_bytes=peak_memory(),
        created=datetime.now(UTC).replace(microsecond=0),
    )
    return Measured(record, packed(student))


def scores_of(run: Run, student: Student, progress: Progress, kept: KeptScores | None = None) -> Scores:
    """The scores of a student on the test sets of the run; those that were `kept` are not measured again."""
    upscaler = of_network(student, run.portable.tiles)
    with weights_quantized_once(student), said_of(f"method '{run.spec.method}'"):
        return score(upscaler, run.tests, run.spec.scale, run.plugins, progress, kept)


def _record(**values: Any) -> Record:
    try:
        return Record(**values)
    except ValidationError as error:
        raise SrqError(f"a record cannot hold this run: {complaint(error, Record)}") from error


def _references(run: Run, cache: Cache, stages: Stages) -> References:
    """FP and the two interpolations on the same images, computed once per weights and data."""
    upscalers = {"fp": of_network(run.model, run.portable.tiles), **interpolations(run.spec.scale)}
    scores: dict[str, Scores] = {}
    for name, upscaler in upscalers.items():
        with stages(f"score {name}") as progress:
            key: dict[str, Any] = {
                "upscaler": name,
                "scale": run.spec.scale,
                "test": run.hashes.test,
                "metrics": run.plugins.identities("srq_evaluate"),
            }
            if name == "fp":
                key |= _network_key(run) | {"padding": run.portable.padding}
                key |= {"tiles": run.portable.tiles.model_dump()} if run.portable.tiles else {}
            compute = partial(score, upscaler, run.tests, run.spec.scale, run.plugins, progress)
            scores[name] = cache.scores(key, compute)
    return References(**scores)


def _software_key(run: Run) -> dict[str, Any]:
    """The code of the method's parts: a checkpoint that another code has written is not continued."""
    return {"parts": {part: run.plugins.plugins[part].source_sha256() for part in run.method.parts}}


def _network_key(run: Run) -> dict[str, Any]:
    return {
        "model": run.portable.model,
        "loaders": run.plugins.identities("srq_load_model"),
        "weights": run.hashes.weights,
        "device": str(run.model.device),
    }


def _teacher_key(run: Run) -> dict[str, Any]:
    """Another processor or number of threads may change the last digits, and with them a training."""
    machine = describe(run.method, str(run.model.device)).model_dump(exclude={"versions"})
    return _network_key(run) | machine | {"padding": run.portable.padding}


def calibrated(run: Run, cache: Cache, unfinished: Unfinished, stages: Stages) -> tuple[Student, Figures]:
    """The student that a run ends with, and what its calibrator tells of itself."""
    student = new_student(run, stages)
    observed = distributions(run, student, cache, stages)
    with stages("bounds") as progress:
        for done, (name, quantizer) in enumerate(student.quantizers.items()):
            progress(done, len(student.quantizers))
            quantizer.set_bounds(run.method.init_bounds(quantizer.site, observed[name], quantizer.bits))
    teacher = cache.teacher(_teacher_key(run), run.model)
    with stages("calibrate") as progress:
        figures = unfinished.calibrate(
            student, lambda checkpoint: run.method.calibrate(student, teacher, run.batches, progress, checkpoint)
        )
    stages.seconds["calibrate"] += unfinished.seconds_before
    return student, figures


def unfinished_of(run: Run, cache: Cache) -> Unfinished:
    """What an earlier call has done of this run on this machine with this software."""
    environment = describe(run.method, str(run.model.device), run.model.libraries)
    return cache.unfinished(run.record_name, _software_key(run) | environment.model_dump())


def new_student(run: Run, stages: Stages) -> Student:
    """The quantized twin, its weights rewritten where the method does so, its bounds not yet set."""
    student = quantize(run.model, run.spec.bits, run.method.make_quantizer)
    if run.method.transforms():
        with stages("transform"), quantizers_off(student):
            run.method.transform(student, run.batches)
    return student


def distributions(run: Run, student: Student, cache: Cache, stages: Stages) -> dict[str, Distribution]:
    """What the calibration pass keeps of every site, by name.

    Shared by all methods and bit-widths, except where a method rewrote the weights.
    """

    def compute() -> dict[str, Distribution]:
        return observe(student, run.batches.fixed)

    with stages("observe"):
        if run.method.transforms():
            return compute()
        key = _network_key(run) | {"calibration": run.hashes.calibration, "sites": list(student.quantizers)}
        return cache.distributions(key, compute)


def _scope(student: Student) -> Scope:
    weights = sum(weight.numel() for weight in student.weights.values())
    short, description = (LAYERS_ALONE if student.not_covered else SCOPES)[student.scope]
    if student.not_covered:
        description = f"{description}, as do {student.not_covered}"
    return Scope(
        short=short,
        description=description,
        sites=len(student.quantizers),
        quantized_weights=weights,
        parameters=parameters(student.network),
    )
