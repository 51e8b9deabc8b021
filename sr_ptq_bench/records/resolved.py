"""A run with every default filled in, and the fingerprint that names its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import (
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from ..errors import SrqError
from ..protocol.bits import Bits
from ..protocol.run_spec import RunSpec
from ..protocol.suite import Tiles
from ..protocol.types import Padding, Scale, ScopeName, Seed
from .complaint import complaint
from .fields import Name, RecordPart, Setting, Sha256, Text

FINGERPRINT_VERSION: Final = 1
"""Part of every fingerprint, and so of the names of records."""


class Patches(RecordPart):
    """How many calibration patches there were, and their side in LR pixels."""

    patches: PositiveInt
    size: PositiveInt


class ResolvedSpec(RecordPart):
    """What was run, with every default filled in and no path of a machine."""

    method: Name
    parts: tuple[Name, ...] = Field(min_length=1)
    bits: Bits
    scale: Scale
    seed: Seed
    model: Name
    suite: Name
    options: dict[Name, dict[Text, Setting]]
    padding: Padding
    calibration: Patches
    scope: ScopeName = "linear"
    """Old records, made before there was a choice, lack it; they have this scope."""
    tiles: Tiles | None = None
    """Absent if the networks saw every image whole."""

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in content(self).items() if (key, value) != ("tiles", None)}

    @classmethod
    def of(
        cls, run: RunSpec, parts: tuple[str, ...], options: Mapping[str, Mapping[str, Any]], scope: ScopeName
    ) -> ResolvedSpec:
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


class Hashes(RecordPart):
    """SHA-256 of the weights file, the calibration patches, each test set, and the code of foreign plugins."""

    weights: Sha256
    calibration: Sha256
    test: dict[Text, Sha256] = Field(min_length=1)
    plugins: dict[Name, Sha256] = Field(default_factory=dict)

    @classmethod
    def of(cls, weights: str, calibration: str, test: Mapping[str, str], plugins: Mapping[str, str]) -> Hashes:
        """The hashes of a run; raises SrqError for a test set whose name no record can hold."""
        try:
            return cls(weights=weights, calibration=calibration, test=dict(test), plugins=dict(plugins))
        except ValidationError as error:
            raise SrqError(f"a record cannot hold this run: {complaint(error, cls)}") from error


def fingerprint(spec: ResolvedSpec, hashes: Hashes) -> str:
    """Identify a run before it is made: SHA-256 of all that decides its scores, except software versions."""
    decisive = {
        "schema_version": FINGERPRINT_VERSION,
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "hashes": hashes.model_dump(mode="json", exclude_defaults=True),
    }
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
