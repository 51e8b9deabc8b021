"""Records of the smallest kind, and calls of `srq table` on them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner, Result
from refusals import one_line

from sr_ptq_bench.cli.commands.table import table
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.types import Scale
from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.files import write_record
from sr_ptq_bench.records.record import Environment, Record, Scope
from sr_ptq_bench.records.resolved import Hashes, Patches, ResolvedSpec
from sr_ptq_bench.records.scores import DatasetScores, References


def record(suite: str = "sample", method: str = "minmax", scale: Scale = 2) -> Record:
    scores = {"Set5": DatasetScores.of({"baby": {"psnr": 30.0, "ssim": 0.9}})}
    return Record(
        schema_version=SCHEMA_VERSION,
        spec=ResolvedSpec(
            method=method,
            parts=(method,),
            bits=Bits.parse("4"),
            scale=scale,
            seed=0,
            model="swinir-light",
            suite=suite,
            options={method: {}},
            padding="flip",
            calibration=Patches(patches=32, size=64),
        ),
        scope=Scope(short="linear", description="Linear layers", sites=1, quantized_weights=1, parameters=2),
        complexity=Complexity(parameters={32: 1, 4: 1}, macs={32: 1, 4: 1}, lr_pixels=1),
        scores=scores,
        references=References(fp=scores, bicubic=scores, bilinear=scores),
        figures={},
        environment=Environment(versions={}, device="cpu", threads=1, platform="Linux", cpu="x"),
        hashes=Hashes(weights="a" * 64, calibration="b" * 64, test={"Set5": "c" * 64}),
        state_sha256="d" * 64,
        timings={"total": 1.0},
        peak_memory_bytes=0,
        created=datetime(2025, 1, 1, tzinfo=UTC),
    )


def store(*records: Record, out: str = "leaderboards") -> None:
    for each in records:
        write_record(each, Path(out) / "results" / each.spec.suite)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(table, arguments, catch_exceptions=True)


def refusal(*arguments: str) -> str:
    """The line that the call is refused with."""
    result = call(*arguments)
    assert result.stdout == ""
    return one_line(result.exception)


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))
