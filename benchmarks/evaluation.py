"""Scoring: a student with its weights quantized once, and the full-precision network; and the cache of scores."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZE = 256
SET5_X4 = ((128, 128), (72, 72), (64, 64), (70, 70), (86, 57))
"""Height and width of the LR images of Set5 at x4, the smallest images of a usual test set."""


def rows() -> list[Row]:
    """LR images of one network that is Linear layers for the most part, and of one that is products."""
    swinir, dat = network.teacher(), network.teacher(backbone="dat-light")
    return [
        _student("SwinIR-light", swinir, [(SIZE, SIZE)]),
        *(_student("DAT-light", dat, [(side, side)]) for side in (64, 128, SIZE)),
        *(_student(name, network.teacher(4, name.lower()), SET5_X4) for name in ("SwinIR-light", "DAT-light")),
        _cached(swinir),
    ]


def _student(name: str, model: SRModel, sizes: Sequence[tuple[int, int]]) -> Row:
    """Images of these heights and widths, one after the other."""
    student = network.student(model)
    images = [network.patches(1, max(height, width))[..., :height, :width] for height, width in sizes]

    def upscale(by: Callable[[torch.Tensor], torch.Tensor]) -> None:
        for lr in images:
            by(lr)

    with torch.inference_mode(), cached_quantized_weights(student):
        full, quantized = alternate(partial(upscale, model), partial(upscale, student), 7)
    what = "one image of {}x{}".format(*sizes[0]) if len(sizes) == 1 else f"{len(sizes)} images of Set5's sizes"
    work, ways = f"{name} x{model.scale}, {what}, weights quantized once", "FP network / student"
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
