"""Pac, pixel-aware calibration (Tu et al., CVPR 2023): activation bounds, then weight bounds learn from the FP network.

Only the bounds are trained, by Adam on random crops, flipped and rotated (the released code does not flip or rotate):

    L   = L_O + lambda L_F,   L_O = mean |S(x) - T(x)|
    L_F = mean over features of mean (a_s/||a_s|| - a_t/||a_t||)^2,   a = mean over channels of F^2

lambda is 5; norms are per image. Each gradient is multiplied by 1/sqrt(numel (2^(b-1) - 1)), where numel counts the
tensor of one step; the released code counts its first batch of 16 patches. This brings gradients near Adam's epsilon,
1e-8, so it matters. If l passes u, u becomes l. The last state is kept. The released code lets only L_O teach
(`preset=official`). For EDSR x2 the paper has `iterations=500`. Rates are absolute: one rate is a longer step in SwinIR
(0 to 1) than in EDSR (0 to 255).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from sr_ptq_bench import (
    Batches,
    CalibrationLog,
    Checkpoint,
    PluginOptions,
    Progress,
    Student,
    Teacher,
    Training,
    capture,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

HR_PATCH = 192  # pixels; LR patches are of 96, 64 and 48 at x2, x3 and x4


class Options(PluginOptions):
    """The training's numbers; `paper` follows the text, `official` the released code."""

    preset: Literal["paper", "official"] = "paper"
    iterations: int = Field(250, ge=1, description="Adam steps of each of the two phases")
    batch: int = Field(2, ge=1, description="LR patches a step")
    patch: int | None = Field(None, ge=8, description="side of an LR patch in pixels; None: 192 HR pixels")
    activation_lr: float = Field(5e-3, gt=0, description="Adam's first learning rate of activation bounds")
    activation_lr_last: float = Field(2e-3, ge=0, description="the rate that its cosine ends at")
    weight_lr: float = Field(5e-6, gt=0, description="Adam's first learning rate of weight bounds")
    weight_lr_last: float = Field(2e-6, ge=0, description="the rate that its cosine ends at")
    feature_weight: float = Field(5.0, ge=0, description="lambda of L_O + lambda * L_F")
    feature_grad: bool = Field(True, description="whether L_F has a gradient, or is only added to the loss")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """The published text and the released code."""
        return {"paper": {"feature_grad": True}, "official": {"feature_grad": False}}


@hookimpl
def srq_calibrate(
    student: Student,
    teacher: Teacher,
    batches: Batches,
    options: Options,
    progress: Progress,
    checkpoint: Checkpoint,
) -> CalibrationLog:
    """Train all activation bounds, then all weight bounds, and keep the last ones."""
    training = Training(student, checkpoint)
    size = options.patch or HR_PATCH // teacher.scale
    scales = gradient_scales(student, next(batches.random(options.batch, size)))
    patches = batches.random(options.batch, size, skip=1 + len(training.losses))
    for role, rate, last_rate in (
        ("activation", options.activation_lr, options.activation_lr_last),
        ("weight", options.weight_lr, options.weight_lr_last),
    ):
        scale_of = {
            bound.requires_grad_(): scales[name]
            for name, quantizer in student.quantizers.items()
            if quantizer.site.role == role
            for bound in (quantizer.lower, quantizer.upper)
        }
        adam = torch.optim.Adam(list(scale_of), rate, foreach=True)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.iterations, last_rate)
        for _ in training.steps(adam, cosine, options.iterations):
            loss = distillation_loss(student, teacher, next(patches), options)
            scaled_step(adam, loss, scale_of)
            cosine.step()
            student.fix_crossed_bounds()
            training.losses.append(loss.detach())
            progress(len(training.losses), 2 * options.iterations, role)
        for bound in scale_of:
            bound.requires_grad_(False)
    return training.log()


def gradient_scales(student: Student, lr: Tensor) -> dict[str, float]:
    """1/sqrt(numel (2^(b-1) - 1)) of every site; numel counts the whole tensor that `lr` makes there."""
    sizes: dict[str, int] = {}

    with torch.no_grad(), capture(student, student.quantizers, lambda name, v, _: sizes.__setitem__(name, v.numel())):
        student(lr)
    return {name: 1 / sqrt(size * (2 ** (student.quantizers[name].bits - 1) - 1)) for name, size in sizes.items()}


def scaled_step(adam: torch.optim.Optimizer, loss: Tensor, scale_of: Mapping[Tensor, float]) -> None:
    """One step; each gradient is multiplied first by the scale of its bound."""
    adam.zero_grad()
    loss.backward()
    for bound, scale in scale_of.items():
        if bound.grad is not None:  # a method's own quantizer may use only one of its bounds
            bound.grad *= scale
    adam.step()


def distillation_loss(student: Student, teacher: Teacher, lr: Tensor, options: Options) -> Tensor:
    """L = L_O + lambda * L_F; L_O is the mean absolute difference of the outputs. Without features, L = L_O."""
    with torch.no_grad():
        target, target_features = teacher.with_features(lr)
    output, features = student.with_features(lr)
    if not options.feature_grad:
        features = [feature.detach() for feature in features]
    loss = F.l1_loss(output, target)
    return loss + options.feature_weight * feature_loss(features, target_features) if features else loss


def feature_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """L_F: the mean over the features of the mean squared difference of their energy maps."""
    pairs = zip(features, targets, strict=True)
    return torch.stack([F.mse_loss(energy_map(f), energy_map(t)) for f, t in pairs]).mean()


def energy_map(feature: Tensor) -> Tensor:
    """Mean over the channels of the squared feature, per image of norm 1: (N, L, C) or (N, C, H, W) -> (N, pixels)."""
    energy = feature.square().mean(1 if feature.ndim == 4 else -1)
    return F.normalize(energy.flatten(1), dim=1)
