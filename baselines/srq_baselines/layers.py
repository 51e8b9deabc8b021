"""The layers of a student as matrices: rows of inputs (R, I) meet weights (O, I)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from sr_ptq_bench import capture, quantizers_off

if TYPE_CHECKING:
    from torch import Tensor

    from sr_ptq_bench import Batches, Student


def run(student: Student, batches: Batches) -> None:
    """One pass over the calibration patches."""
    for lr in batches.fixed():
        student(lr)


def layer_of(student: Student, name: str) -> nn.Linear | nn.Conv2d | None:
    """The layer that a weight belongs to; None for an operand of a product, and for a grouped convolution."""
    module = dict(student.network.named_modules()).get(name.removesuffix(".weight"))
    layer = getattr(module, "layer", None)
    if name.removesuffix("weight") + "input" not in student.quantizers:
        return None
    if isinstance(layer, nn.Conv2d):
        return layer if layer.groups == 1 and not isinstance(layer.padding, str) else None
    return layer if isinstance(layer, nn.Linear) else None


def input_rows(x: Tensor, layer: nn.Linear | nn.Conv2d) -> Tensor:
    """(..., I), or (N, C, H, W) of a convolution -> (rows, I): every row meets one row of the weights."""
    if isinstance(layer, nn.Linear):
        return x.flatten(0, -2)
    padding = layer._reversed_padding_repeated_twice
    x = F.pad(x, padding, "constant" if layer.padding_mode == "zeros" else layer.padding_mode)
    columns = F.unfold(x, layer.kernel_size, layer.dilation, 0, layer.stride)
    return columns.transpose(1, 2).flatten(0, 1)


def output_rows(y: Tensor, layer: nn.Linear | nn.Conv2d) -> Tensor:
    """(..., O), or (N, O, H, W) of a convolution -> (rows, O), in the order of `input_rows`."""
    return (y if isinstance(layer, nn.Linear) else y.movedim(1, -1)).flatten(0, -2)


def input_grams(student: Student, batches: Batches, inputs: str) -> dict[str, Tensor]:
    """XᵀX (I, I) in float64 of every layer, by the name of its weight, from one pass over the patches."""
    layers = {name: layer_of(student, name) for name in student.weights}
    sites = {name.removesuffix("weight") + "input": (name, layer) for name, layer in layers.items() if layer}
    grams: dict[str, Tensor] = {}

    def see(site: str, x: Tensor, x_q: Tensor) -> None:
        name, layer = sites[site]
        rows = input_rows(x if inputs == "fp" else x_q, layer).double()
        gram = rows.T @ rows
        grams[name] = grams[name] + gram if name in grams else gram

    with torch.no_grad(), capture(student, sites, see):
        if inputs == "fp":
            with quantizers_off(student):
                run(student, batches)
        else:
            run(student, batches)
    return grams
