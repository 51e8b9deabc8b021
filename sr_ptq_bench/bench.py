"""One run: quantize, choose bounds, calibrate, evaluate; the result is a record."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from .accounting import count, parameters
from .checks import said_of
from .environment import describe, keep_freed_memory, peak_memory
from .errors import SrqError
from .evaluate import interpolations, of_network, score
from .model import quantize, quantizers_off, weights_quantized_once
from .observation import observe
from .records import Measured
from .schema import SCHEMA_VERSION, Record, References, Scope, complaint
from .stored_bounds import bounds_sha256, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .cache import Cache
    from .distribution import Distribution
    from .hookspecs import Figures, Progress
    from .model import Student
    from .preparation import Run
    from .schema import Scores
    from .spec import ScopeName
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
