"""Where a record comes from: what it shares with others, what is its own, and the command that repeats it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from ..protocol.suite import suite_names
from ..records.suite_name import given_tests, suffix_of_tiles, suite_of
from .entries import place_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ..records.record import Record
    from .entries import Table

LONGEST_FIGURE = 8
"""Numbers of a figure that are printed; longer ones, such as losses, are left out."""


SHORTEST = 0.1
"""Seconds; stages that took less, often because they were cached, are left out."""
DIGITS = 16
"""Digits of a sha256 that a page shows; the record has all 64."""
_PLUGIN, _PATCHES = _NAMED = "plugin", "calibration patches of seed"
"""Facts whose name says which records they are of."""


@dataclass(frozen=True)
class Software:
    """Versions and machine, which many records share."""

    name: str
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """A record's own part of the page."""

    anchor: str
    title: str
    record: str
    command: str
    software: Software
    facts: Mapping[str, str]


def sections(table: Table) -> tuple[list[Section], list[Software]]:
    """A section per record, in the order of the rows, and the software that they name."""
    software: dict[str, Software] = {}
    found = []
    several = len({record.scope.short for record in table.records}) > 1
    for record in (record for records in table.of_row for record in records):
        facts = _software(record)
        known = software.setdefault(repr(facts), Software(str(len(software) + 1), facts))
        spec = record.spec
        title = f"{table.labels[record.key]} {spec.bits}, seed {spec.seed}" + f", {record.scope.short}" * several
        name = record_id(record)
        found.append(Section(place_of(name), title, name, command(record), known, dict(_facts(record))))
    return found, list(software.values())


def common(sections: Sequence[Section]) -> dict[str, str]:
    """The facts that are the same for all sections, unless there is but one, and hashes that never differ."""
    values: dict[str, list[str]] = {}
    for section in sections:
        for name, value in section.facts.items():
            values.setdefault(name, []).append(value)
    return {
        name: first
        for name, (first, *others) in values.items()
        if others and all(other == first for other in others)
        if len(others) + 1 == len(sections) or name.startswith(_NAMED)
    }


def command(record: Record) -> str:
    """The command that repeats the run, files of a user without their folder; HR_DIR is one of photos."""
    spec = record.spec
    suite = suite_of(record)
    words = ["srq", "run", "--suite", suite if suite in suite_names() else f"{suite}.toml"]
    words += ["--model", spec.model, "--method", spec.method]
    words += ["--bits", str(spec.bits), "--scale", str(spec.scale), "--scope", spec.scope]
    words += ["--seed", str(spec.seed)] if spec.seed else []
    for name in given_tests(record):
        words += ["--test", f"{name}=HR_DIR"]
    if spec.tiles and spec.suite.endswith(suffix_of_tiles(record)):  # else the suite has them
        words += ["--tile", str(spec.tiles.size), "--tile-overlap", str(spec.tiles.overlap)]
    for part, values in spec.options.items():
        for key, value in values.items():
            if isinstance(value, bool | int | float | str):  # None stands for an option that was not given
                words += ["-o", f"{part}.{key}={_text(value)}"]
    for name, version in record.environment.versions.items():
        if name.startswith("plugin ") and " sha256 " in version:
            words += ["--plugin", version.partition(" ")[0]]
    words += ["--device", "cpu" if record.environment.device == "cpu" else "cuda"]
    words += ["--threads", str(record.environment.threads)]
    return shlex.join(words)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _software(record: Record) -> dict[str, str]:
    environment = record.environment
    machine = {
        "device": environment.device, "threads": str(environment.threads), "platform": environment.platform,
        "cpu": environment.cpu,
    }  # fmt: skip
    code = {f"code of {name}": sha256[:DIGITS] for name, sha256 in record.code.items()}
    return {**environment.versions, **machine, **code}


def shared_facts(record: Record) -> dict[str, str]:
    """What all records of a table share."""
    spec, hashes = record.spec, record.hashes
    tests = {f"test set {name}, sha256": sha256[:DIGITS] for name, sha256 in hashes.test.items()}
    tiles = {"tiles": f"{spec.tiles.size}, overlap {spec.tiles.overlap}"} if spec.tiles else {}
    return {
        "suite": spec.suite, "network": f"{spec.model} x{spec.scale}",
        "weights, sha256": hashes.weights[:DIGITS], **tests,
        "calibration": f"{spec.calibration.patches} patches of {spec.calibration.size} LR pixels",
        "padding": spec.padding, **tiles,
    }  # fmt: skip


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    if "+".join(record.spec.parts) != record.spec.method:
        yield "parts", "+".join(record.spec.parts)
    yield "state, sha256", record.state_sha256[:DIGITS]
    yield f"{_PATCHES} {record.spec.seed}, sha256", record.hashes.calibration[:DIGITS]
    yield from ((f"{_PLUGIN} {name}, sha256", sha256[:DIGITS]) for name, sha256 in record.hashes.plugins.items())
    yield "made", _moment(record.created)
    if record.stamp:
        yield "verified again", _moment(record.stamp.created)
    yield "seconds", ", ".join(f"{k} {v:.3g}" for k, v in record.timings.items() if v >= SHORTEST or k == "total")
    yield "peak memory", f"{record.peak_memory_bytes / 2**20:,.0f} MiB"
    if record.site_bits:
        yield "sites with other bits", str(len(record.site_bits))
    if record.not_scored:
        yield "not scored", ", ".join(record.not_scored)
    if record.calibrated_on:
        yield (
            "test images also calibrated on",
            ", ".join(f"{k}: {', '.join(v)}" for k, v in record.calibrated_on.items()),
        )
    if record.most_levels:
        most = record.most_levels
        yield "levels", f"{most.levels} at {most.site} on the test images, whose bits are {most.bits}"
    for name, value in record.figures.items():
        if not (isinstance(value, tuple) and len(value) > LONGEST_FIGURE):
            yield name, _figure(value)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _figure(value: bool | float | str | Sequence[float]) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(f"{each:.4g}" for each in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
