"""Adam at a rate of its own for every tensor, and Muon for matrices, in one optimizer.

Muon (Jordan et al., 2024) replaces the momentum M = U S V^T of a matrix by U V^T, so that all its directions are
trained at one speed. A quantized matrix profits: the gradient of a few directions would otherwise move all codes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BETAS = (0.9, 0.999)
EPS = 1e-10
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Muon's polynomial: it carries singular values from (0, 1] to about 1 in five rounds."""
ROUNDS = 5


class AdamAndMuon(torch.optim.Optimizer):
    """A group has `params`, `sizes` (a number for each, the unit of its rate), `lr`, and `muon`: Muon or Adam."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "muon": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every tensor that has a gradient."""
        for group in self.param_groups:
            found = [(p, size) for p, size in zip(group["params"], group["sizes"], strict=True) if p.grad is not None]
            if not found:
                continue
            parameters, sizes = zip(*found, strict=True)
            directions = self._muon(parameters) if group["muon"] else self._adam(parameters)
            torch._foreach_mul_(directions, [-group["lr"] * size for size in sizes])
            torch._foreach_add_(list(parameters), directions)

    def _adam(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Adam's directions (Kingma and Ba, 2015): about 1 in every element."""
        gradients = gradients_of(parameters)
        means, squares = self._moments("mean", parameters), self._moments("square", parameters)
        counts = self._moments("step", parameters, ())
        torch._foreach_add_(counts, 1)
        steps = [int(count) for count in counts]  # a tensor without a gradient in a step makes none
        torch._foreach_lerp_(means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(squares, BETAS[1])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - BETAS[1])
        scale = torch._foreach_sqrt(squares)
        torch._foreach_div_(scale, [math.sqrt(1 - BETAS[1] ** t) for t in steps])
        torch._foreach_add_(scale, EPS)
        directions = torch._foreach_div(means, scale)
        torch._foreach_div_(directions, [1 - BETAS[0] ** t for t in steps])
        return list(directions)

    def _muon(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Muon's directions with Nesterov's momentum, of RMS about 1."""
        gradients = gradients_of(parameters)
        means = self._moments("mean", parameters)
        torch._foreach_lerp_(means, gradients, 1 - BETAS[0])
        return orthogonal(torch._foreach_lerp(means, gradients, 1 - BETAS[0]))

    def _moments(self, key: str, parameters: Sequence[Tensor], shape: tuple[int, ...] | None = None) -> list[Tensor]:
        """A tensor of the state for each parameter, zero at first; step numbers stay on the CPU."""
        for p in parameters:
            if key not in self.state[p]:
                self.state[p][key] = torch.zeros_like(p) if shape is None else torch.zeros(shape)
        return [self.state[p][key] for p in parameters]


def gradients_of(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradients, which all are there."""
    return [p.grad for p in parameters if p.grad is not None]


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """U V^T of every matrix U S V^T, times the root of its longer side: (O, ...) seen as (O, I); RMS about 1.

    Matrices of one shape are done together.
    """
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault((matrix.shape[0], matrix[0].numel()), []).append(index)
    found: dict[int, Tensor] = {}
    for shape, indices in by_shape.items():
        whole = newton_schulz(torch.stack([matrices[index].reshape(shape) for index in indices]))
        whole *= math.sqrt(max(shape))
        found |= {index: whole[i].reshape(matrices[index].shape) for i, index in enumerate(indices)}
    return [found[index] for index in range(len(matrices))]


def newton_schulz(x: Tensor) -> Tensor:
    """(N, rows, columns) -> the same, every singular value about 1, of whatever size it was; zeros stay.

    A power of two brings the largest element near 1 first, which changes no bit of the result: squares of a momentum
    that has faded for hundreds of steps would be zero.
    """
    a, b, c = NEWTON_SCHULZ
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT.contiguous() if tall else x
    tiny = torch.finfo(x.dtype).tiny
    largest = x.abs().amax((1, 2), keepdim=True)
    x = x / (largest / (2 * torch.frexp(largest).mantissa)).nan_to_num(nan=1.0)
    x = x / x.flatten(1).norm(dim=1).clamp_min(tiny)[:, None, None]
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
