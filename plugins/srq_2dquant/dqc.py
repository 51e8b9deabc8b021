"""DQC, distillation quantization calibration (2DQuant, section 3.3): the bounds learn from the FP network.

Only the bounds are trained, by Adam on random crops, flipped and rotated:

    L   = L_O + lambda L_F,   L_O = mean |S(x) - T(x)|                           (eq. 13, 11)
    L_F = sum over features of (1/CHW) || F_s/||F_s|| - F_t/||F_t|| ||_2         (eq. 12)

lambda is 5; the paper gives none. Norms are per image. Without features L_O is used alone. If l passes u, u becomes l.
The last state is kept; the released code keeps the best of every 100th iteration by PSNR on Set5, a test set.

`loss=official` divides L_O once more by CHW and L_F by its number of elements, and normalises features over the whole
batch (our reading of the code); L_F is then about 1e-6 of L_O. One rate moves all bounds. In EDSR activations
are in the hundreds and weights below 1: try 1e-3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
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
    distillation_loss,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Options(PluginOptions):
    """The training's numbers; `paper` follows the text, `official` the released code."""

    preset: Literal["paper", "official"] = "paper"
    iterations: int = Field(3000, ge=1, description="Adam steps")
    batch: int = Field(32, ge=1, description="LR patches a step")
    patch: int = Field(64, ge=8, description="side of an LR patch in pixels")
    lr: float = Field(1e-2, gt=0, description="Adam's learning rate")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    schedule: Literal["cosine", "constant"] = Field("cosine", description="the learning rate over the steps")
    feature_weight: float = Field(5.0, ge=0, description="lambda of L_O + lambda * L_F")
    loss: Literal["paper", "official"] = Field("paper", description="normalisation of both losses")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """The published text and the released code."""
        return {
            "paper": {"iterations": 3000, "batch": 32, "beta2": 0.999, "schedule": "cosine", "loss": "paper"},
            "official": {
                "iterations": 4000,
                "batch": 16,
                "beta2": 0.99,
                "schedule": "constant",
                "loss": "official",
            },
        }


@hookimpl
def srq_calibrate(
    student: Student,
    teacher: Teacher,
    batches: Batches,
    options: Options,
    progress: Progress,
    checkpoint: Checkpoint,
) -> CalibrationLog:
    """Train all bounds and keep the last ones."""
    training = Training(student, checkpoint)
    adam = torch.optim.Adam(student.bound_parameters(), options.lr, (options.beta1, options.beta2), foreach=True)
    decay = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: learning_rate(step, options))
    patches = batches.random(options.batch, options.patch, skip=len(training.losses))

    def loss() -> Tensor:
        return loss_of(student, teacher, next(patches), options)

    training.minimize(loss, adam, decay, options.iterations, progress)
    return training.log()


def learning_rate(step: int, options: Options) -> float:
    """Share of the learning rate at a step: constant, or a cosine from 1 to 0."""
    if options.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * step / options.iterations))


def loss_of(student: Student, teacher: Teacher, lr: Tensor, options: Options) -> Tensor:
    """L = L_O + lambda * L_F (eq. 13); L = L_O if the network names no features."""
    if options.loss == "official":
        return official_loss(student, teacher, lr, options.feature_weight)
    return distillation_loss(student, teacher, lr, options.feature_weight)


def official_loss(student: Student, teacher: Teacher, lr: Tensor, feature_weight: float) -> Tensor:
    """The loss of the released code; see the top of this file."""
    with torch.no_grad():
        target, targets = teacher.with_features(lr)
    output, features = student.with_features(lr)
    loss = (output - target).abs().mean() / output[0].numel()
    return loss + feature_weight * official_feature_loss(features, targets) if features else loss


def official_feature_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Per feature: normalised by norms over the whole batch, the mean square, divided again by the size."""
    pairs = ((f / f.norm(), t / t.norm()) for f, t in zip(features, targets, strict=True))
    return torch.stack([(f - t).square().mean() / f.numel() for f, t in pairs]).sum()
