"""The calibration pass over all sites, and the bounds for three bit-widths, against one plain forward pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from benchmarks import network
from benchmarks.compare import Row, alternate, mib, peak_memory, seconds
from sr_ptq_bench import Bits, SRModel
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize

PATCHES = 32
MANY = 256
REPEATS = 5  # of the memory's measurement
BATCH = 4


def rows() -> list[Row]:
    """Time, memory and growth."""
    model = network.teacher()
    forward, full = alternate(_forward(model, PATCHES), whole_pass(model, PATCHES), 2)
    memory = [peak_memory(partial(_prepare, full, PATCHES), REPEATS) for full in (False, True)]
    many = seconds(whole_pass(model, MANY))
    grown = peak_memory(partial(_prepare, True, MANY))
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
            f"{MANY} patches instead of {PATCHES}, time",
            f"{PATCHES} / {MANY} patches",
            f"{full:.1f} s",
            f"{many:.1f} s",
            f"{many / full:.1f}x",
            f"{MANY // PATCHES}x",
        ),
        Row(
            "the same, peak memory",
            f"{PATCHES} / {MANY} patches",
            mib(memory[1]),
            mib(grown),
            f"{grown / memory[1]:.2f}x",
            "1x",
        ),
    ]


def _forward(model: SRModel, count: int) -> Callable[[], None]:
    batches = network.patches(count).split(BATCH)

    def work() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    return work


def whole_pass(model: SRModel, count: int) -> Callable[[], None]:
    """Observe all sites and choose DOBI's bounds for three bit-widths."""
    student = quantize(model, Bits.parse("4"))
    batches, method = network.patches(count).split(BATCH), resolve_method(Plugins(), "dobi", {})

    def work() -> None:
        distributions = observe(student, lambda: batches)
        for name, quantizer in student.quantizers.items():
            for bits in (4, 3, 2):
                method.init_bounds(quantizer.site, distributions[name], bits)

    return work


def _prepare(full: bool, count: int) -> Callable[[], None]:
    model = network.teacher()
    with torch.inference_mode():
        model(network.patches(1, 16))
    return whole_pass(model, count) if full else _forward(model, count)
