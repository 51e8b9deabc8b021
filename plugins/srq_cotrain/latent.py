"""Train all that a quantized network stores, together: latent weights, biases, norms and bounds (docs/cotrain.md).

A weight that is trained under its quantizer learns to live with the error of all others. It costs nothing at run time:
what is stored is still codes, bounds, biases and norms. Weights of layers that are not quantized stay as they are.
"""

from __future__ import annotations

import math
from itertools import chain, islice
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import nn

from sr_ptq_bench import (
    Batches,
    CalibrationLog,
    Checkpoint,
    PluginOptions,
    Progress,
    Quantizer,
    Site,
    SrqError,
    Student,
    Teacher,
    Training,
    distillation_loss,
    hookimpl,
)

from .optimizer import AdamAndMuon

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

SMALL = 2
"""Small patches have this part of the side, and so this many times squared the steps for the same pixels."""
EDGE_BITS = 8


class Options(PluginOptions):
    """The budget, as DQC counts it, and the rates, each relative to the size of what it moves.

    The rates are those of 2 bits; at b bits they are s = 3 / (2^b - 1) of that, as wide as a step of b bits is beside
    one of 2, and s^2 for latent weights of Linear layers. Finer steps leave a smaller error, and rates for 2 bits then
    do harm.
    """

    later = ("edge_layers_8bit",)

    preset: Literal["minutes", "seconds", "full"] = "minutes"
    iterations: int = Field(150, ge=1, description="steps, if all patches had the full side")
    batch: int = Field(2, ge=1, description="LR patches a step")
    patch: int = Field(32, ge=8, description="side of an LR patch in pixels")
    small: float = Field(1.0, ge=0, le=1, description="share of the pixels in patches of half the side, or one by one")
    muon: bool = Field(True, description="Muon for latent weights; without it Adam")
    weight_lr: float = Field(1e-2, ge=0, description="rate of latent weights over their RMS; 0 leaves them")
    shift_lr: float = Field(1e-3, ge=0, description="rate of biases and norms; 0 leaves them")
    bound_lr: float = Field(2e-2, ge=0, description="rate of bounds over the width of their site; 0 leaves them")
    feature_weight: float = Field(5.0, ge=0, description="lambda of L_O + lambda * L_F")
    edge_layers_8bit: bool = Field(True, description="8 bits for a network's first and last layer, as DBDC gives them")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """Seconds to a minute, minutes, and hours on a CPU."""
        return {
            "minutes": {"iterations": 150, "batch": 2, "patch": 32},
            "seconds": {"iterations": 15, "batch": 2, "patch": 32},
            "full": {"iterations": 3000, "batch": 32, "patch": 64},
        }

    @classmethod
    def parts(cls) -> Mapping[str, Mapping[str, Any]]:
        """What the ablation leaves out."""
        return {
            "weights": {"weight_lr": 0},
            "biases and norms": {"shift_lr": 0},
            "bounds": {"bound_lr": 0},
            "Muon": {"muon": False, "weight_lr": 3e-2},
            "small patches": {"small": 0},
            "features": {"feature_weight": 0},
        }


class Sized(NamedTuple):
    """A tensor to train, and its size: the unit of its rate."""

    tensor: Tensor
    size: float


class Phase(NamedTuple):
    """Steps on as many patches of one size."""

    steps: int
    batch: int
    side: int


@hookimpl
def srq_make_quantizer(site: Site, options: Options) -> Quantizer | None:
    """8 bits for the first and the last layer, where the scope takes them in: four levels are too few for an image."""
    return Quantizer(site, EDGE_BITS) if site.edge and options.edge_layers_8bit else None


@hookimpl
def srq_calibrate(
    student: Student,
    teacher: Teacher,
    batches: Batches,
    options: Options,
    progress: Progress,
    checkpoint: Checkpoint,
) -> CalibrationLog:
    """Train everything that is stored and keep the last values."""
    training = Training(student, checkpoint)
    plan = phases(options, max(student.model.smallest(), student.model.count_side))
    steps = sum(phase.steps for phase in plan)
    optimizer = AdamAndMuon(trained(student, options))
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    patches = supply(batches, plan, len(training.losses))

    def loss() -> Tensor:
        return distillation_loss(student, teacher, next(patches), options.feature_weight, root_mean_square=True)

    training.minimize(loss, optimizer, decay, steps, progress)
    return training.log()


def phases(options: Options, least: int) -> list[Phase]:
    """Small patches, then full ones; together the pixels of `iterations` full ones. No side is below `least`.

    A network may pad a smaller patch inside, and then learns from zeros. Where half the side is below `least`, patches
    of the full side come one by one instead: more steps for the same pixels too.
    """
    side = max(options.patch // SMALL, least)
    batch = options.batch if side < options.patch else 1
    side = min(side, options.patch)
    full = round(options.iterations * (1 - options.small))
    pixels = (options.iterations - full) * options.batch * options.patch**2
    return [Phase(pixels // (batch * side**2), batch, side), Phase(full, options.batch, options.patch)]


def supply(batches: Batches, plan: Sequence[Phase], done: int) -> Iterator[Tensor]:
    """The patches of all steps after the first `done`."""
    kinds: list[Iterator[Tensor]] = []
    for steps, batch, side in plan:
        skip = min(done, steps)
        kinds.append(islice(batches.random(batch, side, skip=skip), steps - skip))
        done -= skip
    return chain.from_iterable(kinds)


def trained(student: Student, options: Options) -> list[dict[str, Any]]:
    """The optimizer's groups: latent weights, biases and norms, bounds; what has no size or no rate is left out."""
    groups = []
    kinds = (
        (weights(student), options.weight_lr, options.muon),
        (shifts(student), options.shift_lr, False),
        (bounds(student), options.bound_lr, False),
    )
    for tensors, rate, muon in kinds:
        sized = [of for of in tensors if of.size > 0]
        if rate and sized:
            params, sizes = zip(*sized, strict=True)
            groups.append({"params": list(params), "sizes": list(sizes), "lr": rate, "muon": muon})
    if not groups:
        raise SrqError("nothing to train: give weight_lr, shift_lr or bound_lr")
    return groups


def weights(student: Student) -> Iterator[Sized]:
    """The latent weights, by their RMS; those of Linear layers need less at finer steps, found on Kodak (docs)."""
    for name, weight in student.weights.items():
        quantizer = student.quantizers[name]
        yield Sized(weight, rms(weight) * coarseness(quantizer) ** (2 if quantizer.site.layer == "linear" else 1))


def shifts(student: Student) -> Iterator[Sized]:
    """Biases of quantized layers, by the RMS that an input as large as its bounds gives; all LayerNorms."""
    modules = dict(student.network.named_modules())
    for name, source in student.quantizers.items():
        layer = getattr(modules.get(name.removesuffix(".input")), "layer", None)
        if name.endswith(".input") and layer is not None and layer.bias is not None:
            size = rms(layer.weight) * math.sqrt(layer.weight[0].numel()) * width(source)
            yield Sized(layer.bias, size * coarseness(source))
    inputs = [coarseness(of) for of in student.quantizers.values() if of.site.role == "activation"]
    for module in student.network.modules():
        if isinstance(module, nn.LayerNorm) and module.elementwise_affine:
            size = rms(module.weight) * fmean(inputs or [1.0])
            yield from (Sized(tensor, size) for tensor in module.parameters())


def bounds(student: Student) -> Iterator[Sized]:
    """The bounds, by the width of their site."""
    for quantizer in student.quantizers.values():
        size = width(quantizer) * coarseness(quantizer)
        yield from (Sized(end, size) for end in (quantizer.lower, quantizer.upper))


def coarseness(quantizer: Quantizer) -> float:
    """How wide a step is beside one of 2 bits between the same bounds."""
    return 3 / ((1 << quantizer.bits) - 1)


def width(quantizer: Quantizer) -> float:
    """u - l, the mean over channels."""
    return float((quantizer.upper - quantizer.lower).detach().mean())


def rms(v: Tensor) -> float:
    """Root of the mean square."""
    return float(v.detach().square().mean().sqrt())
