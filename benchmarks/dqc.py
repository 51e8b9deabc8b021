"""One DQC step: elementary operations under autograd against one function that keeps two tensors a quantizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from benchmarks import network
from benchmarks.compare import Row, alternate, mib, peak_memory, total_memory
from sr_ptq_bench import Student, Teacher, distillation_loss

FEATURE_WEIGHT = 5.0
STEPS, GENTLE = 50, 3e-5
NEEDED = 32 * 2**30  # bytes that plain autograd takes for a step of 8 patches, with some room


def rows() -> list[Row]:
    """Time and memory of a step, and the losses of fifty."""
    batch = 8 if total_memory() > NEEDED else 4
    memory = peak_memory(partial(_prepare, True, batch)), peak_memory(partial(_prepare, False, batch))
    model = network.teacher()
    naive, ours = network.student(model, naive=True), network.student(model)
    lr = network.patches(batch)
    slow, fast = alternate(step(naive, model, lr), step(ours, model, lr), 3)
    work, ways, share = f"one DQC step, batch {batch}, patch 64", "plain autograd / srq", memory[1] / memory[0]
    note = "" if batch == 8 else "at batch 8 plain autograd does not fit into this machine's memory"
    return [
        Row(work, ways, f"{slow:.1f} s", f"{fast:.1f} s", f"{slow / fast:.2f}x faster", ">= 2x", note),
        Row("the same, peak memory", ways, mib(memory[0]), mib(memory[1]), f"{share:.2f}x", "<= 0.6x"),
        *_same_losses(),
    ]


def step(student: Student, teacher: Teacher, lr: torch.Tensor, rate: float = 1e-2) -> Callable[[], float]:
    """Adam's step on all bounds, as DQC takes it; returns the loss."""
    bounds = [bound.requires_grad_() for bound in student.bound_parameters()]
    adam = torch.optim.Adam(bounds, rate, foreach=True)

    def work() -> float:
        loss = distillation_loss(student, teacher, lr, FEATURE_WEIGHT)
        adam.zero_grad()
        loss.backward()
        adam.step()
        student.fix_crossed_bounds()
        return float(loss.detach())

    return work


def _prepare(naive: bool, batch: int) -> Callable[[], float]:
    model = network.teacher()
    student = network.student(model, naive)
    step(student, model, network.patches(1, 16))()
    return step(student, model, network.patches(batch))


def _same_losses() -> list[Row]:
    """The learning rate keeps bounds from meeting: at u = l eq. 1 has no gradient, and the two ways differ.

    In float32 a rounding may move an element to another level, and training amplifies this. So plain autograd is also
    compared with itself on an input that differs by one rounding.
    """
    made = []
    for dtype in (torch.float64, torch.float32):
        lr = network.patches(1, 32).to(dtype)
        (plain, _), (ours, met) = _losses(True, lr), _losses(False, lr)
        beside, _ = _losses(True, lr * (1 + torch.finfo(dtype).eps))
        made.append(
            Row(
                f"losses over {STEPS} steps, batch 1, patch 32, {str(dtype).removeprefix('torch.')}",
                "plain autograd / srq",
                f"{plain[-1]:.7f}",
                f"{ours[-1]:.7f}",
                f"{_apart(plain, ours):.1e} apart",
                "<= 1e-4",
                f"plain autograd, input one rounding away: {_apart(plain, beside):.1e}; bounds that met: {met}",
            )
        )
    return made


def _losses(naive: bool, lr: torch.Tensor) -> tuple[list[float], int]:
    """The losses of a training in the precision of `lr`, and the number of sites that it left without a range."""
    model = network.teacher()
    student = network.student(model, naive)
    for part in (model, student):
        part.network.to(lr.dtype)
    take = step(student, model, lr, GENTLE)
    losses = [take() for _ in range(STEPS)]
    return losses, sum(bool(quantizer.lower >= quantizer.upper) for quantizer in student.quantizers.values())


def _apart(one: list[float], other: list[float]) -> float:
    """The largest relative difference."""
    return max(abs(a - b) / a for a, b in zip(one, other, strict=True))
