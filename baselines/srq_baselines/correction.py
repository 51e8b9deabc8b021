"""Weights and biases corrected in closed form for inputs that are quantized, as ERQ and HarmoQ do it.

A layer has FP inputs X (R, I) and their quantized values X_q. M (I + 1, O) are its weights and, as the last row, its
bias; X and X_q end with a column of ones. The corrected layer gives on X_q what the layer gives on X, as nearly as a
ridge lets it:

    M' = argmin ||X M - X_q M'||^2 + lambda ||M' - M||^2 = M + (H + lambda D)^-1 (C - H) M
    H = X_qᵀX_q,   C = X_qᵀX,   lambda = ridge * mean diagonal of H without the bias

D is the identity with 0 for the bias: a bias is free to move. H and C are summed in one pass.

ERQ corrects layer after layer, each on the quantized outputs of those before it, and rounds weights in the same step.
Here all layers see inputs of one FP pass, and X_q is X between DOBI's two-sided bounds, before any are chosen. Weights
that several layers read stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from sr_ptq_bench import capture, fake_quantize, quantizers_off

from .layers import input_rows, own_layers, run
from .ranges import distributions, dobi_bounds

if TYPE_CHECKING:
    from torch import Tensor

    from sr_ptq_bench import Batches, Student


def correct_layers(student: Student, batches: Batches, ridge: float) -> None:
    """Change weights and biases of all layers in place, but for weights that several layers read."""
    own = own_layers(student)
    for name, (h, c) in quantized_grams(student, batches).items():
        weight, bias = student.weights[name], own[name].layer.bias
        rows = [weight.detach().flatten(1).T] + ([] if bias is None else [bias.detach()[None]])
        m = corrected(torch.cat(rows).double(), h, c, ridge, bias is not None)
        weight.data.copy_(m[: len(rows[0])].T.reshape(weight.shape))
        if bias is not None:
            bias.data.copy_(m[-1])


def corrected(m: Tensor, h: Tensor, c: Tensor, ridge: float, with_bias: bool) -> Tensor:
    """M' of M (I, O), H and C (I, I), all float64; `with_bias` says that the last row of M is a bias."""
    inputs = len(h) - with_bias
    size = ridge * h.diagonal()[:inputs].mean()
    if size <= 0:  # inputs are zeros, quantized
        return m
    damped = h.clone()
    damped.diagonal()[:inputs].add_(size)
    return m + torch.cholesky_solve((c - h) @ m, torch.linalg.cholesky(damped))


def quantized_grams(student: Student, batches: Batches) -> dict[str, tuple[Tensor, Tensor]]:
    """H and C of every layer, by the name of its weight; with a row and a column of the ones if it has a bias."""
    sites = {at.site: at for at in own_layers(student).values()}
    seen = distributions(student, batches, sites, lambda _, v: v)
    bounds = {site: dobi_bounds(of, student.quantizers[site].bits) for site, of in seen.items()}
    grams: dict[str, tuple[Tensor, Tensor]] = {}

    def see(site: str, x: Tensor, _: Tensor) -> None:
        layer, name = sites[site].layer, sites[site].weight
        lower, upper = (x.new_tensor(end) for end in bounds[site])
        x_q = fake_quantize(x, lower, upper, student.quantizers[site].bits)
        rows, rows_q = (_with_ones(input_rows(v, layer).double(), layer.bias is not None) for v in (x, x_q))
        h, c = rows_q.T @ rows_q, rows_q.T @ rows
        before = grams.get(name)
        grams[name] = (before[0] + h, before[1] + c) if before else (h, c)

    with torch.no_grad(), capture(student, sites, see), quantizers_off(student):
        run(student, batches)
    return grams


def _with_ones(rows: Tensor, wanted: bool) -> Tensor:
    return F.pad(rows, (0, int(wanted)), value=1.0)
