"""One DQC step: elementary operations under autograd against one function that keeps two tensors a quantizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from srq_2dquant.dqc import DqcOptions, distillation_loss

from benchmarks import network
from benchmarks.compare import Row, alternate, mib, peak_memory
from sr_ptq_bench import SRModel, Student

OPTIONS = DqcOptions.parse({})


def rows() -> list[Row]:
    """Time and memory of a step, and the losses of fifty."""
    model = network.teacher()
    naive, ours = network.student(model, naive=True), network.student(model)
    lr = network.patches(8)
    slow, fast = alternate(_step(naive, model, lr), _step(ours, model, lr), 2)
    memory = peak_memory(partial(_prepare, True)), peak_memory(partial(_prepare, False))
    work, ways, share = "one DQC step, batch 8, patch 64", "plain autograd / srq", memory[1] / memory[0]
    return [
        Row(work, ways, f"{slow:.1f} s", f"{fast:.1f} s", f"{slow / fast:.2f}x faster", ">= 2x"),
        Row("the same, peak memory", ways, mib(memory[0]), mib(memory[1]), f"{share:.2f}x", "<= 0.6x"),
        _same_losses(model),
    ]


def _step(student: Student, model: SRModel, lr: torch.Tensor, rate: float = 1e-2) -> Callable[[], float]:
    bounds = [bound.requires_grad_() for bound in student.bound_parameters()]
    adam = torch.optim.Adam(bounds, rate, foreach=True)

    def work() -> float:
        loss = distillation_loss(student, model, lr, OPTIONS)
        adam.zero_grad()
        loss.backward()
        adam.step()
        student.keep_ordered()
        return float(loss)

    return work


def _prepare(naive: bool) -> Callable[[], float]:
    model = network.teacher()
    student = network.student(model, naive)
    _step(student, model, network.patches(1, 16))()
    return _step(student, model, network.patches(8))


def _same_losses(model: SRModel, steps: int = 50) -> Row:
    lr = network.patches(1, 32)
    ways = (_step(network.student(model, naive), model, lr) for naive in (True, False))
    losses = [[way() for _ in range(steps)] for way in ways]
    difference = max(abs(a - b) / a for a, b in zip(*losses, strict=True))
    return Row(
        "losses over 50 steps, patch 32",
        "plain autograd / srq",
        f"{losses[0][-1]:.6f}",
        f"{losses[1][-1]:.6f}",
        f"{difference:.1e} apart",
        "<= 1e-4",
    )
