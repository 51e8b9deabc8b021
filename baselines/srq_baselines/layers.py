"""The layers of a student as matrices: rows of inputs (R, I) meet weights (O, I)."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class LayerAt:
    """A layer, the name of its weight, which other layers may share, and the name of the site of its input."""

    layer: nn.Linear | nn.Conv2d
    weight: str
    site: str


def layers(student: Student) -> dict[str, list[LayerAt]]:
    """The layers that read each weight, by its name; without operands of products and grouped convolutions."""
    names = {id(weight): name for name, weight in student.weights.items()}
    modules = dict(student.network.named_modules())
    found: dict[str, list[LayerAt]] = {}
    for site in student.quantizers:
        layer = getattr(modules.get(site.removesuffix(".input")), "layer", None)
        if site.endswith(".input") and isinstance(layer, nn.Linear | nn.Conv2d) and getattr(layer, "groups", 1) == 1:
            name = names[id(layer.weight)]
            found.setdefault(name, []).append(LayerAt(layer, name, site))
    return {name: found[name] for name in student.weights if name in found}


def own_layers(student: Student) -> dict[str, LayerAt]:
    """The layers whose weight no other layer reads, by its name."""
    return {name: of[0] for name, of in layers(student).items() if len(of) == 1}


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
    """XᵀX (I, I) in float64 by weight, of all inputs of the layers that read it, from one pass over the patches."""
    sites = {at.site: at for of in layers(student).values() for at in of}
    grams: dict[str, Tensor] = {}

    def see(site: str, x: Tensor, x_q: Tensor) -> None:
        at = sites[site]
        rows = input_rows(x if inputs == "fp" else x_q, at.layer).double()
        gram = rows.T @ rows
        grams[at.weight] = grams[at.weight] + gram if at.weight in grams else gram

    with torch.no_grad(), capture(student, sites, see):
        if inputs == "fp":
            with quantizers_off(student):
                run(student, batches)
        else:
            run(student, batches)
    return grams
