"""How near the work is to the machine's limits: operations over its arithmetic rate, bytes over its bandwidth.

Both rates are measured here, on a large matrix product and a large copy. The operations are those of matrix products
and convolutions. The bytes are those that fake quantization and the calibration pass cannot avoid: every operand read
and every result written once, as if everything else stayed in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import dqc, network, observation
from benchmarks.compare import Row, seconds
from benchmarks.dobi import ELEMENTS
from sr_ptq_bench import Distribution

if TYPE_CHECKING:
    from collections.abc import Callable

    from sr_ptq_bench import Student

FLOAT = 4  # bytes
TOUCHED = 2 + 4  # a quantizer reads v and writes v_q; backward reads v, v_q and the gradient and writes one
BATCH = 4


@dataclass(frozen=True)
class Machine:
    """Operations a second in matrix products, and bytes a second to and from memory."""

    rate: float
    bandwidth: float

    @classmethod
    def measured(cls) -> Machine:
        """Of all threads together, in float32."""
        a, b = torch.rand(2, 2048, 2048)
        source = torch.rand(2**26)
        target = torch.empty_like(source)
        product, copy = _median(partial(torch.mm, a, b)), _median(partial(target.copy_, source))
        return cls(2 * 2048**3 / product, 2 * FLOAT * source.numel() / copy)

    def floor(self, operations: float, numbers: float) -> float:
        """Seconds for so many operations and so many float32 numbers moved."""
        return operations / self.rate + FLOAT * numbers / self.bandwidth


def rows() -> list[Row]:
    """DOBI on one activation, the calibration pass, and a DQC step."""
    machine = Machine.measured()
    rates = f"{machine.rate / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s"
    model = network.teacher()
    student = network.student(model)
    lr = network.patches(BATCH)
    with torch.inference_mode():
        forward, elements = _operations(partial(model, lr)), _elements(student, partial(student, lr))
    batches = observation.PATCHES // BATCH
    step = dqc.step(student, model, lr)
    v = torch.randn(ELEMENTS, generator=torch.Generator().manual_seed(0))
    works: list[tuple[str, int, int, Callable[[], object]]] = [
        ("DOBI's histogram of 50 million elements: read twice", 0, 2 * v.numel(), partial(Distribution.of_tensor, v)),
        (
            "the pass over 32 patches: two forwards, every activation read twice",
            2 * batches * forward,
            2 * batches * elements,
            observation.whole_pass(model, observation.PATCHES),
        ),
        (
            f"one DQC step, batch {BATCH}, patch 64: {TOUCHED} numbers moved for each quantized one",
            _operations(step),
            TOUCHED * elements,
            step,
        ),
    ]
    made = []
    for name, operations, numbers, work in works:
        least, taken = machine.floor(operations, numbers), _median(work)
        made.append(
            Row(name, "floor / srq", f"{least:.3f} s", f"{taken:.3f} s", f"{taken / least:.1f}x the floor", "", rates)
        )
    return made


def _median(work: Callable[[], object]) -> float:
    work()
    return median(seconds(work) for _ in range(3))


def _operations(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def _elements(student: Student, work: Callable[[], object]) -> int:
    """Numbers that pass through the quantizers of activations."""
    seen: list[int] = []
    activations = [q for q in student.quantizers.values() if q.site.role == "activation"]
    handles = [q.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel())) for q in activations]
    work()
    for handle in handles:
        handle.remove()
    return sum(seen)
