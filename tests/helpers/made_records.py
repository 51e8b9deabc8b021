"""Records that no run made, and tables read back, for tests of tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.record import Environment, Record, Scope
from sr_ptq_bench.records.resolved import Hashes, Patches, ResolvedSpec
from sr_ptq_bench.records.scores import DatasetScores, References
from sr_ptq_bench.tables.formats import markdown
from sr_ptq_bench.tables.leaderboard import page

LINEAR = {"short": "linear+matmul", "description": "Linear layers and matrix products", "sites": 384}


def scored(psnr: float, ssim: float = 0.9, names: tuple[str, ...] = ("Set5",)) -> dict[str, DatasetScores]:
    return {name: DatasetScores.of({"baby": {"psnr": psnr, "ssim": ssim}}) for name in names}


def like(scores: dict[str, DatasetScores], psnr: float) -> dict[str, DatasetScores]:
    """One PSNR for all images that are scored."""
    return {
        name: DatasetScores.of({image: {"psnr": psnr, "ssim": 0.9} for image in of.images})
        for name, of in scores.items()
    }


def record(
    method: str = "minmax",
    psnr: float = 30.0,
    bits: str = "4",
    *,
    seed: int = 0,
    options: dict[str, dict[str, Any]] | None = None,
    scores: dict[str, DatasetScores] | None = None,
    references: dict[str, dict[str, DatasetScores]] | None = None,
    scope: dict[str, Any] | None = None,
    **others: Any,
) -> Record:
    """A tiny record; `others` are further entries of the spec, the hashes or the record itself."""
    scores = scores or scored(psnr)
    names = tuple(scores)
    parts = others.pop("parts", tuple(method.split("+")))
    spec = {
        "method": method,
        "parts": parts,
        "bits": Bits.parse(bits),
        "scale": 2,
        "seed": seed,
        "model": "swinir-light",
    }
    spec |= {
        "suite": "sample",
        "options": options or {},
        "padding": "flip",
        "calibration": Patches(patches=32, size=64),
        "tiles": None,
    }
    hashes = {"weights": "a" * 64, "calibration": "b" * 64, "test": dict.fromkeys(names, "c" * 64)}
    width = max(Bits.parse(bits).weight, Bits.parse(bits).activation)
    complexity = {"parameters": {32: 910152 - 691200, Bits.parse(bits).weight: 691200}, "lr_pixels": 256}
    complexity["macs"] = {32: 170100 * 256, width: 875520 * 256}
    whole = {
        "schema_version": SCHEMA_VERSION,
        "spec": ResolvedSpec.model_validate(spec | {k: v for k, v in others.items() if k in spec}),
        "scope": Scope.model_validate(LINEAR | {"quantized_weights": 691200, "parameters": 910152} | (scope or {})),
        "site_bits": {},
        "most_levels": None,
        "learned": None,
        "complexity": Complexity.model_validate(complexity),
        "scores": scores,
        "not_scored": (),
        "calibration_images": None,
        "references": References.model_validate(
            {name: like(scores, psnr) for name, psnr in (("fp", 38.15), ("bicubic", 33.68), ("bilinear", 32.25))}
            | (references or {})
        ),
        "figures": {},
        "environment": Environment(versions={}, device="cpu", threads=1, platform="Linux", cpu="x"),
        "hashes": Hashes.model_validate(hashes | {k: v for k, v in others.items() if k in hashes}),
        "state_sha256": "d" * 64,
        "timings": {"total": 1.0},
        "peak_memory_bytes": 1,
        "created": datetime(2025, 1, 1, tzinfo=UTC),
    }
    return Record.model_validate(whole | {k: v for k, v in others.items() if k in whole})


def rows(text: str, heading: str = "# ") -> list[list[str]]:
    """The cells of the body of the table below a heading, without the padding that aligns them."""
    (section,) = (part for part in re.split(r"\n(?=##? )", text) if part.startswith(heading))
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def render(records: Sequence[Record]) -> str:
    """The page of a table."""
    return markdown(page(records))


def methods(*records: Record) -> list[str]:
    """The first cells of the rows below FP and the interpolations."""
    return [row[0] for row in rows(render(records))[3:]]
