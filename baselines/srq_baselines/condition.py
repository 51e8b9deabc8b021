"""The first part of CondiQuant, a reconstruction: weights with lower condition numbers and nearly the same outputs.

A layer with inputs X (R, I) and weights M = Wᵀ (I, O) repeats, from M_0, with C = XᵀX:

    M <- M - C (M - M_0)/lambda_max(C)                       half the gradient of ||X M - X M_0||^2
    s_i <- (1 - t) s_i + t mean(s),  0 <= t <= 1             s the singular values of M

The second line is the proximal step of 1/2 sum (s_i - mean(s))^2, with t = tau/(1 + tau). t is the largest of
2^(-i/4), i = 0..64, with ||X (M - M_0)|| <= `limit` ||X M_0||, found by bisection: outputs move more with larger t, but
for a few very small layers. C is summed in one pass; a convolution is the matrix that its unfolded patches meet. Layers
with only zeros as inputs stay. `correct=true` then corrects weights and biases for quantized inputs (see `correction`).

CondiQuant (Liu et al., 2025) gives neither step sizes, strength, number of iterations nor the exact measure of the
spread, and no code: all of these are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from sr_ptq_bench import Batches, PluginOptions, Student, hookimpl

from .correction import correct_layers
from .layers import input_grams

if TYPE_CHECKING:
    from torch import Tensor

SHARES = [2 ** (-i / 4) for i in range(65)]
"""Candidates of t."""


class Options(PluginOptions):
    """How far the outputs may move."""

    limit: float = Field(0.02, gt=0, description="how far a layer's output may move, relatively")
    iterations: int = Field(20, ge=1, description="pairs of steps")
    correct: bool = Field(False, description="correct weights and biases in closed form for quantized inputs")
    ridge: float = Field(1e-3, gt=0, le=1, description="ridge of that correction, a share of the mean diagonal of H")

    later = ("correct", "ridge")


@hookimpl
def srq_transform_model(student: Student, batches: Batches, options: Options) -> None:
    """Change the weights of all layers."""
    for name, gram in input_grams(student, batches, "fp").items():
        weight = student.weights[name]
        conditioned = condition(weight.detach().double().flatten(1).T, gram, options.limit, options.iterations)
        weight.data.copy_(conditioned.T.reshape(weight.shape))
    if options.correct:
        correct_layers(student, batches, options.ridge)


def condition(m0: Tensor, gram: Tensor, limit: float, iterations: int) -> Tensor:
    """M with the most even singular values that the limit allows; (I, O) and C (I, I) -> (I, O), float64."""
    largest = torch.linalg.eigvalsh(gram)[-1]
    if largest <= 0:
        return m0
    best, first, last = m0, 0, len(SHARES)  # the answer is in SHARES[first:last], or there is none
    while first < last:
        middle = (first + last) // 2
        m = _iterate(m0, gram / largest, SHARES[middle], iterations)
        if moved(m, m0, gram) <= limit:
            best, last = m, middle
        else:
            first = middle + 1
    return best


def _iterate(m0: Tensor, gram: Tensor, t: float, iterations: int) -> Tensor:
    m = m0
    for _ in range(iterations):
        u, s, vh = torch.linalg.svd(m - gram @ (m - m0), full_matrices=False)
        m = (u * ((1 - t) * s + t * s.mean())) @ vh
    return m


def moved(m: Tensor, m0: Tensor, gram: Tensor) -> float:
    """||X (M - M_0)|| / ||X M_0||."""
    d = m - m0
    return float((((gram @ d) * d).sum() / ((gram @ m0) * m0).sum().clamp_min(1e-300)).clamp_min(0).sqrt())
