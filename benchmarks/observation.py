"""The calibration pass over all sites, and the bounds for three bit-widths, against one plain forward pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from benchmarks import network
from benchmarks.compare import Row, alternate, mib, peak_memory, seconds
from sr_ptq_bench import Bits, SRModel
from sr_ptq_bench.manager import Plugins
from sr_ptq_bench.model import quantize
from sr_ptq_bench.observation import observe

PATCHES = 32
BATCH = 4


def rows() -> list[Row]:
    """Time, memory and growth."""
    model = network.teacher()
    forward, full = alternate(_forward(model, PATCHES), _pass(model, PATCHES), 2)
    memory = peak_memory(partial(_prepare, False, PATCHES)), peak_memory(partial(_prepare, True, PATCHES))
    few, many = seconds(_pass(model, 8)), seconds(_pass(model, 64))
    grown = peak_memory(partial(_prepare, True, 8)), peak_memory(partial(_prepare, True, 64))
    return [
        Row(
            "all 384 sites, 32 patches of 3x64x64, bounds for 4, 3 and 2 bits",
            "one FP forward of the patches / the pass and DOBI",
            f"{forward:.1f} s",
            f"{full:.1f} s",
            f"{full / forward:.2f}x its time",
            "<= 4x",
        ),
        Row(
            "the same, peak memory",
            "in batches of 4",
            mib(memory[0]),
            mib(memory[1]),
            f"{memory[1] / memory[0]:.2f}x",
            "<= 1.5x",
        ),
        Row(
            "64 patches instead of 8, time",
            "8 / 64 patches",
            f"{few:.1f} s",
            f"{many:.1f} s",
            f"{many / few:.1f}x",
            "8x",
        ),
        Row(
            "the same, peak memory", "8 / 64 patches", mib(grown[0]), mib(grown[1]), f"{grown[1] / grown[0]:.2f}x", "1x"
        ),
    ]


def _forward(model: SRModel, count: int) -> Callable[[], None]:
    batches = network.patches(count).split(BATCH)

    def work() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    return work


def _pass(model: SRModel, count: int) -> Callable[[], None]:
    student = quantize(model, Bits.parse("4"))
    batches, method = network.patches(count).split(BATCH), Plugins().method("dobi", {})

    def work() -> None:
        distributions = observe(student, lambda: batches)
        for bits in (4, 3, 2):
            for name, quantizer in student.quantizers.items():
                method.init_bounds(quantizer.site, distributions[name], bits)

    return work


def _prepare(full: bool, count: int) -> Callable[[], None]:
    model = network.teacher()
    with torch.inference_mode():
        model(network.patches(1, 16))
    return _pass(model, count) if full else _forward(model, count)
