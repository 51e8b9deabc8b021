"""SmoothQuant (Xiao et al., ICML 2023): channels with large activations hand their size over to the weights.

Each channel j between a LayerNorm and the Linear layers that read it is divided by

    s_j = max|X_j|^a / max|W_j|^(1 - a)

and the weights are multiplied by it, so that the network computes the same. In SwinIR: the first norm of a block with
q, k and v, the second with fc1. An initializer follows: `smoothquant+percentile`. Sums and other readers of a norm
would see the difference, so such norms are left alone. The paper moves the layers of language models only, whose
activations it quantizes per token or per tensor; here per tensor.
"""

from __future__ import annotations

import torch
from pydantic import Field

from sr_ptq_bench import Batches, PluginOptions, Student, hookimpl

from .norms import pairs, watch

LEAST = 1e-5


class Options(PluginOptions):
    """How much is moved."""

    alpha: float = Field(0.5, ge=0, le=1, description="a: 0 evens out the weights, 1 the activations")


@hookimpl
def srq_transform_model(student: Student, batches: Batches, options: Options) -> None:
    """Move the scales of all channels."""
    with torch.no_grad():
        found = pairs(student, next(iter(batches.fixed(1))))
    largest: dict[str, torch.Tensor] = {}

    def see(name: str, x: torch.Tensor) -> None:
        now = x.abs().flatten(0, -2).amax(0)
        largest[name] = torch.maximum(largest[name], now) if name in largest else now

    watch(student, batches, [pair.names[0] for pair in found], see)
    for pair in found:
        weights = torch.cat([layer.weight.detach() for layer in pair.layers]).abs().amax(0)
        pair.move(scales(largest[pair.names[0]], weights, options.alpha))


def scales(activations: torch.Tensor, weights: torch.Tensor, alpha: float) -> torch.Tensor:
    """s from the largest absolute values of every channel, (C,) and (C,) -> (C,); 1e-5 stands for less."""
    s = activations.clamp_min(LEAST) ** alpha / weights.clamp_min(LEAST) ** (1 - alpha)
    return s.clamp_min(LEAST)
