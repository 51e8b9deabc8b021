"""Scoring: a student with its weights quantized once, and the full-precision network; and the cache of scores."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmarks import network
from benchmarks.compare import Row, alternate, seconds
from sr_ptq_bench import SRModel
from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.data.datasets import Dataset
from sr_ptq_bench.data.images.pixels import size_of
from sr_ptq_bench.data.patches import to_image
from sr_ptq_bench.evaluation.score import network_upscaler, score_datasets
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.progress import no_progress
from sr_ptq_bench.quantization.student import cached_quantized_weights

SIZE = 256


def rows() -> list[Row]:
    """LR images of one network that is Linear layers for the most part, and of one that is products."""
    swinir, dat = network.teacher(), network.teacher(backbone="dat-light")
    return [
        _student("SwinIR-light", swinir, SIZE),
        *(_student("DAT-light", dat, side) for side in (64, 128, SIZE)),
        _cached(swinir),
    ]


def _student(name: str, model: SRModel, side: int) -> Row:
    student, lr = network.student(model), network.patches(1, side)
    with torch.inference_mode(), cached_quantized_weights(student):
        full, quantized = alternate(lambda: model(lr), lambda: student(lr), 7)
    work, ways = f"{name} x2, one image of {side}x{side}, weights quantized once", "FP network / student"
    return Row(work, ways, f"{full:.2f} s", f"{quantized:.2f} s", f"{quantized / full:.2f}x its time", "<= 1.2x")


def _cached(model: SRModel) -> Row:
    lr, hr = (to_image(network.patches(1, size)) for size in (SIZE, SIZE * model.scale))
    tests = {"noise": Dataset("noise", model.scale, ("one",), (size_of(lr),), lambda _: (lr, hr), lambda _: lr)}
    compute = partial(score_datasets, network_upscaler(model, None, 0), tests, model.scale, Plugins(), no_progress)
    with tempfile.TemporaryDirectory() as folder:
        found = []

        def ask() -> None:
            found.append(Cache(Path(folder), print).scores({"test": tests["noise"].sha256}, compute, fresh=False))

        first, second = seconds(ask), seconds(ask)
    same = "equal scores" if found[0] == found[1] else "DIFFERENT SCORES"
    work, ways = "FP scores of one image of 256x256", "computed / read from the cache"
    return Row(work, ways, f"{first:.2f} s", f"{second:.4f} s", f"{first / second:.0f}x faster", "once", same)
