"""AdaRound (Nagel et al., ICML 2020): learned rounding of weights, with bounds from any initializer: `dobi+adaround`.

Layer after layer, every weight learns whether it goes to the level below or above it. With step s and n = 2^b - 1:

    W_q  = l + s clip(floor((W - l)/s) + h(V), 0, n),    h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1)        (eq. 22, 23)
    loss = mean ||W_q x_q - W x||^2 + lambda sum (1 - |2 h(V) - 1|^beta)                                  (eq. 21, 24)

x is the layer's input in full precision, x_q that behind the quantizer, in the network with all earlier layers rounded.
beta falls from 20 to 2 along a cosine, after a fifth of the iterations without the second term. At last h is 0 or 1.

Differences: the error is that of all patches, from the sums of x_q x_qᵀ and (x_q - x) x_qᵀ; the paper draws batches of
32 images. What follows the layer (ReLU) is left out. Bounds come from the initializer. `preset=quick` takes the inputs
of 18 layers from one pass. Grouped convolutions, operands of products and weights with quantizers of another kind keep
their rounding to nearest.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field

from sr_ptq_bench import (
    Batches,
    CalibrationLog,
    Checkpoint,
    PluginOptions,
    Progress,
    Quantizer,
    Student,
    Training,
    capture,
    hookimpl,
    quantizers_off,
)

from .layers import input_rows, layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

STRIDE = 100
"""Iterations between two checkpoints."""
STRETCH, SHIFT = 1.2, -0.1
"""Zeta - gamma, and gamma."""
QUIET = 0.2
"""Share of the iterations without the second term."""


class Options(PluginOptions):
    """The numbers of the paper, or a budget of minutes."""

    preset: Literal["paper", "quick"] = "paper"
    iterations: int = Field(10_000, ge=1, description="Adam steps a layer")
    lr: float = Field(1e-3, gt=0, description="Adam's learning rate")
    reg: float = Field(0.01, ge=0, description="lambda")
    beta_first: float = Field(20, ge=1, description="beta after the first fifth")
    beta_last: float = Field(2, ge=1, description="beta at the end")
    layers: int = Field(1, ge=1, description="layers that share a pass over the patches")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """A pass for every layer, or a tenth of the iterations with ten times the rate and a pass for 18 layers."""
        return {
            "paper": {"iterations": 10_000, "lr": 1e-3, "layers": 1},
            "quick": {"iterations": 1000, "lr": 1e-2, "layers": 18},
        }


@hookimpl
def srq_calibrate(
    student: Student, batches: Batches, options: Options, progress: Progress, checkpoint: Checkpoint
) -> CalibrationLog:
    """Round all layers; the log has the mean relative error of their outputs, rounded to nearest and as learned."""
    names = [name for name in layers(student) if type(student.quantizers[name]) is Quantizer]
    teacher = copy.deepcopy(student)
    roundings = {name: Rounding.of(student.weights[name], student.quantizers[name]) for name in names}
    training = Training(student, checkpoint, {f"V {name}": rounding.v for name, rounding in roundings.items()})
    steps = -(-options.iterations // STRIDE)
    for start in range(0, len(names), options.layers):
        group = names[start : start + options.layers]
        problems: dict[str, Problem] = {}
        for done, name in enumerate(group, start):
            rounding = roundings[name]
            rounding.v.requires_grad_()
            adam = torch.optim.Adam([rounding.v], options.lr)
            constant = torch.optim.lr_scheduler.ConstantLR(adam, 1.0)
            for step in training.steps(adam, constant, steps):
                problems = problems or posed(student, teacher, batches, group)  # after the checkpoint is restored
                before = problems[name].relative(rounding.hard())
                for iteration in range(step * STRIDE, min((step + 1) * STRIDE, options.iterations)):
                    loss = problems[name].error(rounding.soft()) + penalty(rounding.h(), iteration, options)
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                constant.step()
                training.losses.append(torch.stack([before, problems[name].relative(rounding.hard())]))
                progress(done * steps + step + 1, len(names) * steps, name)
            rounding.v.requires_grad_(False)
        for name in group:
            student.weights[name].data.copy_(roundings[name].hard().view_as(student.weights[name]))
    if not names:
        return {"layers": 0}
    errors = torch.stack(training.losses).view(len(names), steps, 2).mean(0)
    return {"layers": len(names), "error_nearest": float(errors[0, 0]), "error_learned": float(errors[-1, 1])}


@dataclass(frozen=True, eq=False)
class Rounding:
    """The weights (O, I) of a layer between the levels below and above them."""

    v: Tensor
    below: Tensor
    step: Tensor
    lower: Tensor
    last: int

    @classmethod
    def of(cls, weight: Tensor, quantizer: Quantizer) -> Rounding:
        """H(V) is the weight's place between both levels."""
        w, last = weight.detach().flatten(1), 2**quantizer.bits - 1
        lower, upper = (end.detach().view(-1, 1) for end in (quantizer.lower, quantizer.upper))
        step = ((upper - lower) / last).clamp_min(torch.finfo(w.dtype).tiny * 2**24)
        place = ((w - lower) / step).clamp(-1, last + 1)
        below = place.floor()
        v = -(STRETCH / (place - below - SHIFT) - 1).log()
        return cls(v, below, step, lower, last)

    def h(self) -> Tensor:
        """Rectified sigmoid (eq. 23), 0 to 1."""
        return (STRETCH * self.v.sigmoid() + SHIFT).clamp(0, 1)

    def soft(self) -> Tensor:
        """The weights with h(V) as it is."""
        return self.lower + self.step * (self.below + self.h()).clamp(0, self.last)

    def hard(self) -> Tensor:
        """The weights at levels."""
        return self.lower + self.step * (self.below + (self.h().detach() >= 0.5)).clamp(0, self.last)


@dataclass(eq=False)
class Problem:
    """The error ||W_q x_q - W x||^2 of a layer over all rows, as a function of W_q (O, I).

    With D = W_q - W it is tr D A Dᵀ + 2 tr D Tᵀ + c, A the sum of x_q x_qᵀ, T = W sum (x_q - x) x_qᵀ.
    """

    w: Tensor
    a: Tensor
    t: Tensor
    c: Tensor
    size: Tensor
    rows: int = 0

    def add(self, x: Tensor, x_q: Tensor) -> None:
        """Add rows (R, I) of inputs in full precision and behind the quantizer."""
        x, x_q = x.double(), x_q.double()
        moved = (x_q - x) @ self.w.T
        self.a += x_q.T @ x_q
        self.t += moved.T @ x_q
        self.c += moved.square().sum()
        self.size += (x @ self.w.T).square().sum()
        self.rows += len(x)

    def error(self, w_q: Tensor) -> Tensor:
        """The mean over the rows."""
        d = w_q - self.w
        return ((d @ self.a + 2 * self.t) * d).sum() / self.rows + self.c / self.rows

    def relative(self, w_q: Tensor) -> Tensor:
        """The error over the mean of ||W x||^2; 0 for a layer without output."""
        return (self.error(w_q) * self.rows / self.size.clamp_min(torch.finfo(self.size.dtype).tiny)).detach()


def posed(student: Student, teacher: Student, batches: Batches, names: Sequence[str]) -> dict[str, Problem]:
    """The problems of these layers, by the names of their weights, from one pass of both networks."""
    sites = {at.site: at for name, of in layers(student).items() if name in names for at in of}
    weights = {name: teacher.weights[name].detach().flatten(1).double() for name in names}
    problems = {}
    for name, w in weights.items():
        zeros = w.new_zeros
        problems[name] = Problem(w, zeros(w.shape[1], w.shape[1]), zeros(w.shape), zeros(()), zeros(()))
    inputs: dict[str, list[Tensor]] = {}

    def keep(site: str, x: Tensor, _: Tensor) -> None:
        inputs.setdefault(site, []).append(x.clone())  # the network may add to it in place

    def add(site: str, _: Tensor, x_q: Tensor) -> None:
        at = sites[site]
        problems[at.weight].add(input_rows(inputs[site].pop(0), at.layer), input_rows(x_q, at.layer))

    with torch.no_grad():
        for lr in batches.fixed():
            with quantizers_off(teacher), capture(teacher, sites, keep):
                teacher(lr)
            with capture(student, sites, add):
                student(lr)
    return problems


def penalty(h: Tensor, iteration: int, options: Options) -> Tensor | float:
    """Lambda sum (1 - |2 h - 1|^beta), eq. 24; 0 in the first fifth of the iterations."""
    first = QUIET * options.iterations
    if iteration < first:
        return 0.0
    along = (iteration - first) / (options.iterations - first)
    beta = options.beta_last + (options.beta_first - options.beta_last) * (1 + math.cos(math.pi * along)) / 2
    return options.reg * (1 - (2 * h - 1).abs().pow(beta)).sum()
