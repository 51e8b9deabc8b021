"""What grows with what: memory with size and number of images, whole and in tiles; tables with their records."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import network
from benchmarks.compare import Row, mib, peak_memory, seconds
from sr_ptq_bench.data.batches import to_image
from sr_ptq_bench.evaluate import of_network
from sr_ptq_bench.records import write_record
from sr_ptq_bench.schema import DatasetScores, Record
from sr_ptq_bench.spec import Tiles

if TYPE_CHECKING:
    from collections.abc import Callable

FEW, MANY = 1000, 10_000
SIZES = (128, 256)
TILES = Tiles(size=64, overlap=16)
SOURCE = Path(__file__).parents[1] / "leaderboards/results/sample"


def rows() -> list[Row]:
    """Tables of many records, images of two sizes, one image and several."""
    return [*_tables(), *_sizes(), _images()]


def _tables() -> list[Row]:
    few, many = (_table(count) for count in (FEW, MANY))
    work, ways = "`srq table`, every record a row of its own, CPU time and memory", f"{FEW} / {MANY} records"
    return [
        Row(work, ways, f"{few[0]:.1f} s", f"{many[0]:.1f} s", f"{many[0] / few[0]:.1f}x", "<= 5 s"),
        Row("the same, peak memory", ways, mib(few[1]), mib(many[1]), f"{many[1] / few[1]:.1f}x", "<= 10x"),
    ]


def _table(count: int) -> tuple[float, int]:
    """CPU seconds and peak bytes of the command on synthetic records."""
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder) / "results/sample", count)
        code = (
            "import resource, sys; from sr_ptq_bench.cli import main; main(); "
            "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_maxrss, file=sys.stderr)"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", code, "table", "--out", folder]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, 1024 * int(done.stderr.split()[-1])


def write_records(folder: Path, count: int) -> None:
    """Variants of the committed records of x4: other options, and scores that differ from image to image."""
    generator = random.Random(0)
    known: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(SOURCE.glob("*-x4-*.json"))]
    for index in range(count):
        variant = json.loads(json.dumps(known[index % len(known)]))
        variant["spec"]["options"].setdefault(variant["spec"]["parts"][0], {})["variant"] = index // len(known)
        record = Record.model_validate_json(json.dumps(variant), strict=True)
        scores = {
            name: DatasetScores.of(
                {
                    image: {metric: value + generator.gauss(0, 0.01) for metric, value in of.items()}
                    for image, of in dataset.images.items()
                }
            )
            for name, dataset in record.scores.items()
        }
        write_record(record.model_copy(update={"scores": scores}), folder)


def _sizes() -> list[Row]:
    made = []
    for size in SIZES:
        whole, tiled = (peak_memory(partial(_prepare, size, 1, tiles)) for tiles in (None, TILES))
        times = [seconds(_prepare(size, 1, tiles)) for tiles in (None, TILES)]
        work = f"FP network, one LR image of {size}x{size}"
        ways = f"whole / tiles of {TILES.size} + {TILES.overlap}"
        slower = f"{times[1] / times[0]:.2f}x"
        made += [
            Row(f"{work}, peak memory", ways, mib(whole), mib(tiled), f"{tiled / whole:.2f}x", ""),
            Row(f"{work}, time", ways, f"{times[0]:.1f} s", f"{times[1]:.1f} s", slower, ""),
        ]
    return made


def _images() -> Row:
    one, several = (peak_memory(partial(_prepare, SIZES[0], count, None)) for count in (1, 4))
    ratio = f"{several / one:.2f}x"
    return Row(f"LR images of {SIZES[0]}x{SIZES[0]}, peak memory", "1 / 4", mib(one), mib(several), ratio, "1x")


def _prepare(size: int, count: int, tiles: Tiles | None) -> Callable[[], None]:
    model = network.teacher()
    upscaler, lr = of_network(model, tiles), to_image(network.patches(1, size))
    with torch.inference_mode():
        model(network.patches(1, 16))

    def work() -> None:
        for _ in range(count):
            upscaler(lr)

    return work
