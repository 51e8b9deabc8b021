"""A record: the result of a run, except the state of its student."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from .complexity import Complexity
from .fields import LONGEST_TIME, Figure, Name, RecordPart, Sha256, Text, utc
from .resolved import Hashes, ResolvedSpec, fingerprint
from .scores import References, Scores, image_names


class Scope(RecordPart):
    """What is quantized; without it no two scores can be compared."""

    short: Text = Field(min_length=1)
    """A word for the table, such as linear+matmul."""
    description: Text
    sites: NonNegativeInt
    quantized_weights: NonNegativeInt
    parameters: NonNegativeInt


class MostLevels(RecordPart):
    """The site with the most distinct levels for its bits, of a method that has more than 2^bits and says so."""

    site: Text
    bits: Annotated[int, Field(ge=1, le=32)]
    levels: PositiveInt


class Learned(RecordPart):
    """What a method did to the network, by what happened: tensors that differ, and steps of optimizers."""

    weights: Literal["kept", "closed form", "trained"]
    """Whether tensors of the network differ from the teacher's, and whether they changed while an optimizer ran."""
    steps: NonNegativeInt
    patches: NonNegativeInt | None = None
    """Different LR patches that the method drew; None if that is not known."""

    @property
    def kind(self) -> str:
        """The class of a method."""
        if self.weights == "trained":
            return "weights trained"
        of_weights = ["weights in closed form"] if self.weights == "closed form" else []
        of_bounds = ["bounds trained"] if self.steps else []
        return ", ".join([*of_weights, *of_bounds]) or "bounds"


ALWAYS_BOUNDS = {"minmax", "percentile", "dobi", "dbdc", "dqc", "pac"}
"""Built-in parts of methods that change bounds alone; their first records do not say so."""


class Environment(RecordPart):
    """The software and the machine of the run."""

    versions: dict[Text, Text]
    """Versions of sr_ptq_bench, torch, basicsr, numpy, opencv, python and every plugin's distribution."""
    device: Text
    threads: PositiveInt
    platform: Text
    cpu: Text


class Stamp(RecordPart):
    """Code and versions under which the scores of a record were measured again, with the same result."""

    code: dict[Name, Sha256]
    versions: dict[Text, Text]
    created: Annotated[AwareDatetime, AfterValidator(utc)]


ABSENT: tuple[tuple[str, Any], ...] = (
    ("site_bits", {}),
    ("most_levels", None),
    ("learned", None),
    ("calibrated_on", {}),
    ("calibration_images", None),
    ("code", {}),
    ("stamp", None),
)
"""Entries that a file lacks if there is nothing to say."""


class Record(RecordPart):
    """One run: what was measured, on what, by what, and the scores."""

    schema_version: Literal[2]
    spec: ResolvedSpec
    scope: Scope
    site_bits: dict[Text, Annotated[int, Field(ge=1, le=32)]] = Field(default_factory=dict)
    """The bits of the sites that differ from `spec.bits`; absent if there are none."""
    most_levels: MostLevels | None = None
    """Where levels are not bounded by the bits; absent if every site has 2^bits at most on the test images."""
    learned: Learned | None = None
    """Absent in the first records."""
    complexity: Complexity
    """Counted on the network of the run."""
    scores: Scores
    not_scored: tuple[Text, ...] = ()
    """The suite's test sets that were missing."""
    calibrated_on: dict[Text, tuple[Text, ...]] = Field(default_factory=dict)
    """Test images that are calibration images too, by test set; absent if there are none."""
    calibration_images: Sha256 | None = None
    """SHA-256 of the whole calibration images, the same for every seed; absent in the first records."""
    references: References
    figures: dict[Text, Figure]
    """The calibrator's log; `checkpoint` says which checkpoint was kept."""
    environment: Environment
    hashes: Hashes
    code: dict[Name, Sha256] = Field(default_factory=dict)
    """The code that made the record, of sr_ptq_bench and every plugin that took part; absent in records of 0.1.0."""
    stamp: Stamp | None = None
    """The last verification by `srq verify --stamp`; absent if there was none."""
    state_sha256: Sha256
    """SHA-256 of the state of the student, the file next to the record."""
    timings: dict[Text, Annotated[FiniteFloat, Field(ge=0, le=LONGEST_TIME)]]
    """Seconds per stage."""
    peak_memory_bytes: Annotated[int, Field(ge=0, lt=2**63)]
    created: Annotated[AwareDatetime, AfterValidator(utc)]

    @model_validator(mode="after")
    def _same_images(self) -> Self:
        if self.hashes.test.keys() != self.scores.keys():
            raise ValueError("hashes.test and scores name different test sets")
        if set(self.not_scored) & self.scores.keys():
            raise ValueError("not_scored names a test set that has scores")
        for name, reference in self.references:
            if image_names(reference) != image_names(self.scores):
                raise ValueError(f"references.{name} and scores name different images")
        return self

    @model_validator(mode="after")
    def _total_time(self) -> Self:
        if "total" not in self.timings:
            raise ValueError("timings lack the total")
        return self

    @model_validator(mode="after")
    def _same_parameters(self) -> Self:
        if sum(self.complexity.parameters.values()) != self.scope.parameters:
            raise ValueError("complexity and scope count different numbers of parameters")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in content(self).items() if (key, value) not in ABSENT}

    @property
    def known_learned(self) -> Learned | None:
        """What the method did; of built-in methods that change bounds alone also for records that do not say it."""
        if self.learned or not ALWAYS_BOUNDS.issuperset(self.spec.parts):
            return self.learned
        losses = self.figures.get("losses")
        return Learned(weights="kept", steps=len(losses) if isinstance(losses, tuple) else 0)

    @property
    def current_code(self) -> dict[str, str]:
        """The code that is known to give this record: what `--stamp` verified last, else what made it."""
        return self.stamp.code if self.stamp else self.code

    def is_of(self, versions: Mapping[str, str], code: Mapping[str, str]) -> bool:
        """Whether this software made the record, or has verified it."""
        known = [(self.environment.versions, self.code)]
        known += [(self.stamp.versions, self.stamp.code)] if self.stamp else []
        return (versions, code) in known

    @cached_property
    def key(self) -> str:
        """The fingerprint of the run, 64 hexadecimal digits."""
        return fingerprint(self.spec, self.hashes)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with its own fingerprint; pydantic would copy the fingerprint too."""
        copy = super().model_copy(update=update, deep=deep)
        vars(copy).pop("key", None)
        return copy
