"""What a record holds: one model per idea, read strictly and without a path of any machine."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PlainSerializer,
    PlainValidator,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from .complexity import Complexity
from .errors import SrqError
from .spec import Bits, Padding, RunSpec, Scale, ScopeName, Tiles, first_complaint

SCHEMA_VERSION: Final = 1
PORTABLE = r"^([^/~\\A-Za-z]|[A-Za-z]([^:]|:([^/\\]|$)|$)|$)"
"""How a text begins that is no absolute path of any system; as a pattern, pydantic checks it without calling Python."""
LARGEST_SCORE = 1e300
"""So that sums of scores stay finite."""
NO_PATHS = "a record holds no absolute paths"


def _storable(value: Any) -> Any:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, str):
            item.encode()  # raises ValueError for what no UTF-8 file can hold
            if not re.match(PORTABLE, item):
                raise ValueError(NO_PATHS)
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"expected a finite number, got {item}")
    return value


def _score(value: object, info: ValidationInfo) -> float:
    """One function for all that a score must be: a record has dozens of them, and 10,000 records are read at once."""
    if isinstance(value, float) and -LARGEST_SCORE <= value <= LARGEST_SCORE:
        return value
    if value == "inf" or (value == math.inf and info.mode == "python"):
        return math.inf
    if value == math.inf:
        raise ValueError('an infinite score is written "inf"')
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_SCORE:
        return float(value)
    raise ValueError("a score is a number or +inf")


def _utc(value: AwareDatetime) -> AwareDatetime:
    if value.utcoffset() != timedelta(0):
        raise ValueError("expected a time in UTC")
    return value


Text = Annotated[str, Field(pattern=PORTABLE)]
"""Any text but an absolute path, which would mean nothing on another machine."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
"""A name that is safe in a file name."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[
    float,
    PlainValidator(_score),
    PlainSerializer(lambda value: "inf" if value == math.inf else value, when_used="json"),
]
"""A float, or +inf (the PSNR of equal images), which JSON lacks and the file therefore spells "inf"."""
Scalar = bool | int | float | str
Setting = Annotated[Scalar | tuple[Scalar, ...] | None, AfterValidator(_storable)]
Figure = Annotated[Scalar | tuple[float, ...], AfterValidator(_storable)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Patches(_Part):
    """How many calibration patches there were, and their side in LR pixels."""

    patches: PositiveInt
    size: PositiveInt


class PortableSpec(_Part):
    """What was run, with every default filled in and no path of a machine."""

    method: Name
    parts: tuple[Name, ...] = Field(min_length=1)
    bits: Bits
    scale: Scale
    seed: NonNegativeInt
    model: Name
    suite: Name
    options: dict[Name, dict[Text, Setting]]
    padding: Padding
    calibration: Patches
    scope: ScopeName = "linear"
    """The records of the time before there was a choice lack it; they are of this scope."""
    tiles: Tiles | None = None
    """Absent where the networks saw every image whole."""

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in content(self).items() if (key, value) != ("tiles", None)}

    @classmethod
    def of(
        cls, run: RunSpec, parts: tuple[str, ...], options: Mapping[str, Mapping[str, Any]], scope: ScopeName
    ) -> PortableSpec:
        """Resolve a run: `parts` are its plugins, `options` all the values of each; raises SrqError."""
        calibration = run.suite.calibration
        try:
            return cls(
                method=run.method,
                parts=parts,
                bits=run.bits,
                scale=run.scale,
                seed=run.seed,
                model=run.suite.model,
                suite=run.suite.name,
                options={part: dict(values) for part, values in options.items()},
                padding=run.suite.padding,
                calibration=Patches(patches=calibration.patches, size=calibration.size),
                scope=scope,
                tiles=run.suite.tiles,
            )
        except ValidationError as error:
            raise SrqError(f"a record cannot hold this run: {complaint(error, cls)}") from error


class Scope(_Part):
    """What is quantized; without it no two scores can be compared."""

    short: Text = Field(min_length=1)
    """A word for the table, such as linear+matmul."""
    description: Text
    sites: NonNegativeInt
    quantized_weights: NonNegativeInt
    parameters: NonNegativeInt


class DatasetScores(_Part):
    """The scores of one test set, per image and as the mean over the images."""

    images: dict[Text, dict[Text, Score]] = Field(min_length=1)
    mean: dict[Text, Score]

    @classmethod
    def of(cls, images: Mapping[str, Mapping[str, float]]) -> Self:
        """Add the means to the scores of the images."""
        return cls.model_validate({"images": images, "mean": _means(images)})

    @model_validator(mode="after")
    def _mean_of_the_images(self) -> Self:
        expected = _means(self.images)
        if any(scores.keys() != self.mean.keys() for scores in self.images.values()):
            raise ValueError("not every image has the same metrics as the mean")
        for metric, mean in self.mean.items():
            if not math.isclose(mean, expected[metric], rel_tol=1e-9, abs_tol=1e-12):
                raise ValueError(f"mean {metric} {mean} is not the images' {expected[metric]}")
        return self


def _means(images: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    metrics, of, count = next(iter(images.values()), {}), images.values(), len(images)
    return {metric: math.fsum([scores.get(metric, 0.0) / count for scores in of]) for metric in metrics}


Scores = Annotated[dict[Text, DatasetScores], Field(min_length=1)]
"""Per test set, in the suite's order."""


class References(_Part):
    """The scores of the unquantized network (FP) and of two interpolations on the same images."""

    fp: Scores
    bicubic: Scores
    bilinear: Scores


class Environment(_Part):
    """The software and the machine of the run."""

    versions: dict[Text, Text]
    """Of sr_ptq_bench, torch, basicsr, numpy, opencv, python and every plugin's distribution."""
    device: Text
    threads: PositiveInt
    platform: Text
    cpu: Text


class Hashes(_Part):
    """SHA-256 of the weights file, the calibration patches, each test set, and the code of foreign plugins."""

    weights: Sha256
    calibration: Sha256
    test: dict[Text, Sha256] = Field(min_length=1)
    plugins: dict[Name, Sha256] = {}


class Record(_Part):
    """One run: what was measured, on what, by what, and the scores."""

    schema_version: Literal[1]
    spec: PortableSpec
    scope: Scope
    complexity: Complexity | None = None
    """Counted on the network of the run; records made before there was a count have none."""
    scores: Scores
    not_scored: tuple[Text, ...] = ()
    """The suite's test sets that were not at hand."""
    references: References
    figures: dict[Text, Figure]
    """What the calibrator tells of itself; `checkpoint` says which one was kept."""
    environment: Environment
    hashes: Hashes
    bounds_sha256: Sha256
    timings: dict[Text, Annotated[FiniteFloat, Field(ge=0)]]
    """Seconds per stage."""
    peak_memory_bytes: NonNegativeInt
    created: Annotated[AwareDatetime, AfterValidator(_utc)]

    @model_validator(mode="after")
    def _same_images(self) -> Self:
        if self.hashes.test.keys() != self.scores.keys():
            raise ValueError("hashes.test and scores name different test sets")
        if set(self.not_scored) & self.scores.keys():
            raise ValueError("not_scored names a test set that has scores")
        for name, reference in self.references:
            if _images(reference) != _images(self.scores):
                raise ValueError(f"references.{name} and scores name different images")
        return self

    @model_validator(mode="after")
    def _same_parameters(self) -> Self:
        if self.complexity and sum(self.complexity.parameters.values()) != self.scope.parameters:
            raise ValueError("complexity and scope count different numbers of parameters")
        return self

    @cached_property
    def key(self) -> str:
        """The fingerprint of the run, 64 hexadecimal digits."""
        return fingerprint(self.spec, self.hashes)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with a fingerprint of its own: pydantic would copy the one that is already known."""
        copy = super().model_copy(update=update, deep=deep)
        vars(copy).pop("key", None)
        return copy


def _images(scores: Mapping[str, DatasetScores]) -> dict[str, set[str]]:
    return {dataset: set(of.images) for dataset, of in scores.items()}


def fingerprint(spec: PortableSpec, hashes: Hashes) -> str:
    """Identify a run before it is made: SHA-256 of all that decides its scores but the software versions."""
    decisive = {
        "schema_version": SCHEMA_VERSION,
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "hashes": hashes.model_dump(mode="json", exclude_defaults=True),
    }
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def is_newer(error: ValidationError) -> bool:
    """Whether a record is refused because its schema version is a later one."""
    first = error.errors(include_url=False)[0]
    return first["loc"] == ("schema_version",) and type(first["input"]) is int and first["input"] > SCHEMA_VERSION


def complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """One printable line of bounded length, whatever the file holds."""
    first = error.errors(include_url=False)[0]
    if first["loc"] == ("schema_version",) and first["type"] == "literal_error":
        text = f"schema version {first['input']!r}; this srq reads {SCHEMA_VERSION}"
    elif first.get("ctx", {}).get("pattern") == PORTABLE:
        text = f"{'.'.join(map(str, first['loc']))}: {NO_PATHS}"
    elif first["type"] == "json_invalid":
        text = first["msg"]
    else:
        text = first_complaint(error, model)
    return "".join(c if c.isprintable() else " " for c in text)[:300]
