"""How memory grows with the size and number of images, whole and in tiles; how tables grow with their records."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import network
from benchmarks.compare import Row, memory_and_time, mib, peak_memory
from sr_ptq_bench.data.patches import to_image
from sr_ptq_bench.evaluation.score import network_upscaler
from sr_ptq_bench.protocol.suite import Tiles
from sr_ptq_bench.quantization.student import cached_quantized_weights
from sr_ptq_bench.records.files import write_record
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.scores import DatasetScores

if TYPE_CHECKING:
    from collections.abc import Callable

FEW, MANY = 1000, 10_000
SCALE = 4
REPEATS = 5
SIZES = ((128, 128), (270, 480), (540, 960))  # LR; HR of 512x512, 1920x1080 and 3840x2160
TILES = Tiles(size=96, overlap=16)
SOURCE = Path(__file__).parents[1] / "leaderboards/results/sample"


def rows() -> list[Row]:
    """Tables of many records, images of three sizes, one image and several."""
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
            "import sys; from pathlib import Path; from sr_ptq_bench.cli import main; main(); "
            "lines = Path('/proc/self/status').read_text().splitlines(); "
            "print(next(line for line in lines if line.startswith('VmHWM')), file=sys.stderr)"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", code, "table", "--out", folder]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, 1024 * int(done.stderr.split()[-2])


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
    """The FP network on images up to 4K HR, and the student with its weights quantized once."""
    work = [("FP network", height, width, False) for height, width in SIZES]
    work.append(("student, 2 bits", *SIZES[1], True))
    made = []
    for name, height, width, quantized in work:
        (whole, slow), (tiled, slower) = (
            memory_and_time(partial(_prepare, height, width, 1, tiles, quantized)) for tiles in (None, TILES)
        )
        image = f"{name} x{SCALE}, one LR image of {width}x{height}"
        ways = f"whole / tiles of {TILES.size} + {TILES.overlap}"
        made += [
            Row(f"{image}, peak memory", ways, mib(whole), mib(tiled), f"{tiled / whole:.2f}x", ""),
            Row(f"{image}, time", ways, f"{slow:.1f} s", f"{slower:.1f} s", f"{slower / slow:.2f}x", ""),
        ]
    return made


def _images() -> Row:
    """Memory from the second image on: not all that the first image leaves to the allocator is used again."""
    few, many = (peak_memory(partial(_prepare, *SIZES[0], count, None), REPEATS) for count in (2, 16))
    height, width = SIZES[0]
    ratio = f"{many / few:.2f}x"
    return Row(f"LR images of {width}x{height}, peak memory", "2 / 16", mib(few), mib(many), ratio, "1x")


def _prepare(height: int, width: int, count: int, tiles: Tiles | None, quantized: bool = False) -> Callable[[], None]:
    """Upscale an image `count` times; what the first forward pass of a process sets up is not counted."""
    model = network.teacher(SCALE)
    student = network.student(model) if quantized else None
    upscaler = network_upscaler(student.model if student else model, tiles, 0)
    lr = to_image(network.patches(1, max(height, width)))

    def work() -> None:
        with cached_quantized_weights(student) if student else nullcontext():
            for _ in range(count):
                upscaler(lr[:height, :width])

    with torch.inference_mode():
        model(network.patches(1, 16))
    return work
