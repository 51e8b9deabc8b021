"""PTQ4ViT (Yuan et al., ECCV 2022): two ranges after softmax and GELU, and bounds with the least error at the output.

A layer's weight and input are searched in turn, three rounds. Candidates draw both ends towards zero, or out, together:
l = s min, u = s max for 100 points s in [0.01, 1.2]. After GELU the ranges meet at zero and s moves u alone. After
softmax they meet at u 2^-i, i = 0..19, and u stays. The candidate with the least

    sum g^2 (o_q - o)^2,   g = d(v . network(lr)) / do

wins, o the output of the layer and v of +-1 at random: the mean of g^2 is the diagonal of the Hessian of the network's
squared error, which takes the place of the paper's classification loss.

Further differences: levels are asymmetric, with real zero points; the two ranges share a level, so 2^b - 1 are used;
2048 rows of inputs stand for all; u after softmax is the largest value seen, the paper's is 1. An operand of a product
is searched once by its own error and gradient; the paper looks at the product. A weight that several layers read is
searched by its own error.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from pydantic import Field

from sr_ptq_bench import (
    Batches,
    Bounds,
    CalibrationLog,
    Distribution,
    PluginOptions,
    Progress,
    Quantizer,
    Site,
    Student,
    TwinUniformQuantizer,
    capture,
    hookimpl,
    quantizers_off,
)

from .layers import input_rows, output_rows, own_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

VALUES = 32
"""Numbers of an operand are kept for each row of a layer."""
SPLITS = 20


class Options(PluginOptions):
    """The numbers of the paper, and what its search looks at."""

    points: int = Field(100, ge=2, description="candidates of s")
    least: float = Field(0.01, gt=0, description="the least s")
    most: float = Field(1.2, gt=0, description="the largest s")
    rounds: int = Field(3, ge=1, description="searches of weight and input in turn")
    rows: int = Field(2048, ge=1, description="rows of inputs of a layer, drawn from all patches")
    patch: int = Field(32, ge=8, description="side of a patch in pixels, cut from its corner")
    seed: int = Field(0, ge=0, description="seed of rows and of v")


@hookimpl
def srq_make_quantizer(site: Site, bits: int) -> Quantizer | None:
    """Two ranges after softmax and GELU."""
    return TwinUniformQuantizer(site, bits) if site.input_kind in ("softmax", "gelu") else None


@hookimpl
def srq_init_bounds(site: Site, distribution: Distribution) -> Bounds:
    """The whole range, from which the search starts; from zero after softmax."""
    if site.input_kind == "softmax":
        return Bounds(0.0, max(0.0, distribution.maximum))
    return Bounds(distribution.minimum, distribution.maximum)


@hookimpl
def srq_calibrate(student: Student, batches: Batches, options: Options, progress: Progress) -> CalibrationLog:
    """Search all bounds; the log has the mean relative error before and after."""
    seen, own = observe(student, batches, options), own_layers(student)
    before = after = 0.0
    for done, (name, (x, squared_gradient)) in enumerate(seen.items()):
        progress(done, len(seen), name)
        searched = _layer if name in own else _alone
        with torch.no_grad():
            start, end = searched(student, name, x, squared_gradient, options)
        before, after = before + start, after + end
    progress(len(seen), len(seen))
    count = max(1, len(seen))
    return {"searched": len(seen), "error_start": before / count, "error_end": after / count}


def observe(student: Student, batches: Batches, options: Options) -> dict[str, tuple[Tensor, Tensor]]:
    """What the search looks at, from one pass with gradients over the FP network.

    By the name of its weight: rows of a layer's input (R, I), and g^2 (R, O) of its output. By the name of the site:
    numbers of an operand (R, 1), and their g^2. g is 1 for what does not depend on the image, and for weights without a
    layer of their own.
    """
    own = own_layers(student)
    layers = {at.site.removesuffix(".input"): at for at in own.values()}
    inputs = {at.site for at in own.values()}
    operands = [name for name in student.quantizers if name not in inputs and name not in student.weights]
    kept: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    generator = torch.Generator().manual_seed(options.seed)
    share = -(-options.rows // max(1, sum(1 for _ in batches.fixed(1))))

    def see(name: str, x: Tensor, y: Tensor) -> None:
        layer = layers[name].layer if name in layers else None
        rows = input_rows(x.detach(), layer) if layer else x.detach().reshape(-1, 1)
        drawn = torch.randint(len(rows), (share if layer else share * VALUES,), generator=generator).to(x.device)
        rows = rows[drawn]

        def keep(gradient: Tensor) -> None:
            g = output_rows(gradient, layer) if layer else gradient.reshape(-1, 1)
            kept[layers[name].weight if layer else name].append((rows, g[drawn].square()))

        if y.requires_grad:
            y.register_hook(keep)
        else:
            keep(torch.ones_like(y))

    with quantizers_off(student), torch.enable_grad(), capture(student, [*layers, *operands], see):
        for patch in batches.fixed(1):
            lr = patch[..., : options.patch, : options.patch].clone().requires_grad_()
            output = student(lr)
            v = torch.randint(0, 2, output.shape, generator=generator).mul(2).sub(1).to(output)
            torch.autograd.grad(output, lr, v)
    seen = {name: (torch.cat([x for x, _ in of]), torch.cat([g for _, g in of])) for name, of in kept.items()}
    others = {name: w.detach().reshape(-1, 1) for name, w in student.weights.items() if name not in own}
    return seen | {name: (w, torch.ones_like(w)) for name, w in others.items()}


def _layer(student: Student, name: str, x: Tensor, squared_gradient: Tensor, options: Options) -> tuple[float, float]:
    """Search weight and input of a layer in turn; the relative errors before and after."""
    of_weight, of_input = student.quantizers[name], student.quantizers[name.removesuffix("weight") + "input"]
    w = student.weights[name].detach().flatten(1)
    output = x @ w.T

    def error(x_q: Tensor, w_q: Tensor) -> float:
        return float(((x_q @ w_q.T - output).square() * squared_gradient).sum())

    start = end = error(_quantized(of_input, x), _quantized(of_weight, w))
    weights, inputs = candidates(of_weight, options), candidates(of_input, options)
    for _ in range(options.rounds):
        choose(of_weight, weights, w, partial(error, _quantized(of_input, x)))
        end = choose(of_input, inputs, x, partial(error, w_q=_quantized(of_weight, w)))
    return _relative(start, end, output, squared_gradient)


def _alone(student: Student, name: str, v: Tensor, squared_gradient: Tensor, options: Options) -> tuple[float, float]:
    """Search the bounds of one tensor; the relative errors before and after."""
    quantizer = student.quantizers[name]

    def error(v_q: Tensor) -> float:
        return float(((v_q - v).square() * squared_gradient).sum())

    start = error(_quantized(quantizer, v))
    end = choose(quantizer, candidates(quantizer, options), v, error)
    return _relative(start, end, v, squared_gradient)


def _relative(start: float, end: float, output: Tensor, squared_gradient: Tensor) -> tuple[float, float]:
    size = float((output.square() * squared_gradient).sum())
    return (start / size, end / size) if size > 0 else (0.0, 0.0)


class Ends(NamedTuple):
    """Bounds, and where two ranges meet; None keeps that place."""

    lower: float
    upper: float
    middle: float | None = None


def candidates(quantizer: Quantizer, options: Options) -> list[Ends]:
    """What is tried in place of the bounds that a quantizer has now."""
    low, high = float(quantizer.lower), float(quantizer.upper)
    kind = quantizer.site.input_kind
    if kind == "softmax":
        return [Ends(low, high, high * 2.0**-i) for i in range(SPLITS)]
    scales = torch.linspace(options.least, options.most, options.points).tolist()
    pairs = [(low if kind == "gelu" else s * low, s * high) for s in scales]
    return [Ends(lower, max(lower, upper)) for lower, upper in pairs]


def choose(quantizer: Quantizer, tried: Sequence[Ends], v: Tensor, error: Callable[[Tensor], float]) -> float:
    """Give a quantizer the first candidate with the least error of the quantized `v`; that error."""
    errors = []
    for ends in tried:
        _give(quantizer, ends)
        errors.append(error(_quantized(quantizer, v)))
    least = min(errors)
    _give(quantizer, tried[errors.index(least)])
    return least


def _give(quantizer: Quantizer, ends: Ends) -> None:
    quantizer.lower.data.fill_(ends.lower)
    quantizer.upper.data.fill_(ends.upper)
    if ends.middle is not None and isinstance(quantizer, TwinUniformQuantizer):
        quantizer.middle.data.fill_(ends.middle)


def _quantized(quantizer: Quantizer, v: Tensor) -> Tensor:
    """A copy: a quantizer may overwrite what it reads."""
    v_q: Tensor = quantizer(v.clone())
    return v_q
