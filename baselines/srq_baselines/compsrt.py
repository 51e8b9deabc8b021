"""CompSRT (Zeinali et al., arXiv 2601.21069, 2026): levels behind a Hadamard transform, with a trained step and offset.

The channels of a tensor are padded with zeros to a power of two and transformed, v' = H v. With bounds l and u:

    s = (u - l)/(2^b - 1) + alpha,   Z = l + beta,   k = round((clip(v', l, u) - Z)/s),   v_q = Hᵀ (s k + Z)

DOBI (two-sided) chooses l and u on v', and 2DQuant's training then moves l, u, alpha and beta, the last two from 0.

The released code does not clip k. Training makes s smaller than (u - l)/(2^b - 1), so there are more than 2^b levels:
that is no result of b bits, and tables say so. `bounded=true` clips k to 0..2^b - 1. The loss is 2DQuant's as its paper
writes it; the released code has that of 2DQuant's code. A convolution's weights are transformed along its inputs. The
released code also pads the other axes, which only adds zeros to the search, and prunes, which is left out.

At run time every input needs a transform: 64 log2 64 additions for 60 channels. A layer's input and weight could stay
transformed in a product over 64 channels, and so could q and k; attention and v have different axes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from sr_ptq_bench import (
    Batches,
    Bounds,
    CalibrationLog,
    Checkpoint,
    Distribution,
    PluginOptions,
    Progress,
    Quantizer,
    Site,
    Student,
    Teacher,
    Training,
    distillation_loss,
    hookimpl,
)

from .ranges import distributions, dobi_bounds

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 128
"""The largest transform that is one matrix."""
FINEST = 2.0**-16
"""The least step, as a share of the range."""


class Options(PluginOptions):
    """The numbers of the released code; `bounded` is ours."""

    bounded: bool = Field(False, description="clip codes to 0..2^b - 1; the released code does not")
    iterations: int = Field(4000, ge=1, description="Adam steps")
    batch: int = Field(16, ge=1, description="LR patches a step")
    patch: int = Field(64, ge=8, description="side of an LR patch in pixels")
    lr: float = Field(1e-2, gt=0, description="Adam's learning rate")
    feature_weight: float = Field(5.0, ge=0, description="lambda of L_O + lambda * L_F")


class HadamardQuantizer(Quantizer):
    """Levels Z + s k behind a Hadamard transform of the channels; two numbers as bounds, of the transformed tensor."""

    def __init__(self, site: Site, bits: int, bounded: bool) -> None:
        super().__init__(site, bits)
        self.levels_bounded = bounded
        self.alpha = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.beta = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._codes = (0, 0)

    def quantize(self, v: Tensor) -> Tensor:
        """Fake-quantize `v`; gradients go to `v`, the bounds, alpha and beta."""
        s, z = self.step_and_offset()
        k = (self.transformed(v).clamp(self.lower, self.upper) - z) / s
        k = k + (k.round() - k).detach()  # straight-through
        if self.levels_bounded:
            k = k.clamp(0, 2**self.bits - 1)
        if not torch.is_grad_enabled():
            self._codes = tuple(int(end) for end in k.round().aminmax())  # type: ignore[assignment]
        return self._back(k * s + z, v)

    def step_and_offset(self) -> tuple[Tensor, Tensor]:
        """S and Z."""
        width = self.upper - self.lower
        least = (FINEST * width.detach().abs()).clamp_min(torch.finfo(width.dtype).tiny * 2**24)
        return torch.maximum(width / (2**self.bits - 1) + self.alpha, least), self.lower + self.beta

    def levels_of(self, v_q: Tensor) -> Tensor:
        """All levels between the least and the largest that the last result had: padding is gone from `v_q`.

        In float64, because codes are huge where the bounds have met and the step is next to nothing.
        """
        s, z = (number.detach().double() for number in self.step_and_offset())
        first, last = self._codes
        codes = float(first) + torch.arange(last - first + 1, dtype=torch.float64, device=v_q.device)
        return z + s * codes

    @property
    def axis(self) -> int:
        """The axis of the channels: those of the input, for a convolution's weight too."""
        return 1 if self.site.layer == "conv" else -1

    def transformed(self, v: Tensor) -> Tensor:
        """H v, the channels last and padded."""
        channels = v.movedim(self.axis, -1)
        size = 1 << (channels.shape[-1] - 1).bit_length()
        return hadamard(F.pad(channels, (0, size - channels.shape[-1])))

    def _back(self, transformed: Tensor, v: Tensor) -> Tensor:
        channels = hadamard(transformed)[..., : v.shape[self.axis]]
        return channels.movedim(-1, self.axis).contiguous()


def hadamard(v: Tensor) -> Tensor:
    """The orthonormal Hadamard transform of the last axis, whose length is a power of two; its own inverse."""
    size = v.shape[-1]
    if size <= BLOCK:
        return v @ _matrix(size).to(v)
    blocks = v.unflatten(-1, (size // BLOCK, BLOCK)) @ _matrix(BLOCK).to(v)
    return hadamard(blocks.transpose(-1, -2)).transpose(-1, -2).flatten(-2)


@lru_cache
def _matrix(size: int) -> Tensor:
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)]) / 2**0.5
    return matrix


@hookimpl
def srq_make_quantizer(site: Site, bits: int, options: Options) -> Quantizer:
    """Every site is transformed."""
    return HadamardQuantizer(site, bits, options.bounded)


@hookimpl
def srq_init_bounds(distribution: Distribution) -> Bounds:
    """About what transformed values reach, sqrt(C) times the largest; the calibration begins with DOBI."""
    channels = distribution.channel_minimum.numel() if distribution.channel_minimum is not None else 8
    most = channels**0.5 * max(abs(distribution.minimum), abs(distribution.maximum))
    return Bounds(-most, most)


@hookimpl
def srq_calibrate(
    student: Student,
    teacher: Teacher,
    batches: Batches,
    options: Options,
    progress: Progress,
    checkpoint: Checkpoint,
) -> CalibrationLog:
    """DOBI on the transformed tensors, then training; the last values are kept."""
    search(student, batches)
    training = Training(student, checkpoint)
    trained = [p for quantizer in student.quantizers.values() for p in quantizer.parameters()]
    adam = torch.optim.Adam(trained, options.lr, (0.9, 0.99), foreach=True)
    constant = torch.optim.lr_scheduler.ConstantLR(adam, 1.0)
    patches = batches.random(options.batch, options.patch, skip=len(training.losses))

    def loss() -> Tensor:
        return distillation_loss(student, teacher, next(patches), options.feature_weight)

    training.minimize(loss, adam, constant, options.iterations, progress)
    return training.log()


def search(student: Student, batches: Batches) -> None:
    """DOBI's bounds of every transformed tensor, from two passes of the FP network."""
    for name, quantizer in student.quantizers.items():
        if isinstance(quantizer, HadamardQuantizer) and name in student.weights:
            _set_dobi(quantizer, Distribution.of_tensor(quantizer.transformed(student.weights[name])))
    own = {name: q for name, q in student.quantizers.items() if isinstance(q, HadamardQuantizer)}
    activations = [name for name in own if name not in student.weights]
    seen = distributions(student, batches, activations, lambda name, v: own[name].transformed(v))
    for name, distribution in seen.items():
        _set_dobi(own[name], distribution)


def _set_dobi(quantizer: Quantizer, distribution: Distribution) -> None:
    lower, upper = dobi_bounds(distribution, quantizer.bits)
    quantizer.lower.data.fill_(lower)
    quantizer.upper.data.fill_(upper)
