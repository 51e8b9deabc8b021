"""Bits for every site by its sensitivity, at the same mean: `--method mixed+2dquant`.

The output error that site s causes at b bits is estimated by one backward pass for each of P random vectors v of +-1:

    error(s, b) = 1/P sum_v sum_i (g_i d_i)^2,   g = d(v . network(lr)) / d(tensor of s),   d = its error at b bits

This is E ||J d||^2 for independent errors d_i; J is the Jacobian of the output. An integer
program then chooses one bit-width for every site: the least total error at which neither the mean over the numbers of
all weights nor the mean over those of all activations is above the bits of the run.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import islice, product
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from scipy.optimize import Bounds, LinearConstraint, milp

from sr_ptq_bench import Batches, Bits, PluginOptions, SrqError, Student, fake_quantize, hookimpl, site_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

WIDTHS = tuple(range(2, 9))
CANDIDATES = 20
"""Bounds that the search for the least error tries, from the whole range to half of it."""
GAP = 1e-4
"""How far, relatively, the total error may be from the least one."""
LARGEST = 1e6
"""What the largest error is scaled to: HiGHS also stops at an absolute gap of 1e-6."""
ONE_SIDED = ("softmax", "gelu", "relu")


class Options(PluginOptions):
    """How sensitivity is measured."""

    patches: int = Field(4, ge=1, description="calibration patches")
    patch: int = Field(32, ge=8, description="side of a patch in pixels, cut from its corner")
    vectors: int = Field(2, ge=1, description="random vectors a patch")
    seed: int = Field(0, ge=0, description="seed of the vectors")


@hookimpl
def srq_choose_bits(student: Student, batches: Batches, bits: Bits, options: Options) -> Mapping[str, int] | None:
    """Bits by site; None at 2 bits, which leave no choice."""
    found = output_errors(student, batches, options)
    elements = site_elements(student)
    chosen: dict[str, int] = {}
    for role in ("weight", "activation"):
        names = [name for name in found if student.quantizers[name].site.role == role]
        if names and bits.of(role) > WIDTHS[0]:
            errors, sizes = [found[name] for name in names], [elements[name] for name in names]
            widths = allocate(errors, sizes, bits.of(role))
            chosen |= dict(zip(names, widths, strict=True))
    return chosen or None


def allocate(errors: Sequence[Sequence[float]], sizes: Sequence[int], mean: float) -> list[int]:
    """The bit-widths with the least total error and at most this mean, weighted by `sizes`; (S, 7) errors, S sizes.

    Raises SrqError if there are none.
    """
    error, count = np.asarray(errors, float), np.asarray(sizes, float)
    cost = (count / count.sum())[:, None] * np.asarray(WIDTHS, float)
    one_each = np.kron(np.eye(len(count)), np.ones(len(WIDTHS)))
    result = milp(
        (error / (error.max() or 1.0) * LARGEST).ravel(),
        integrality=np.ones(error.size),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(cost.reshape(1, -1), ub=mean)],
        options={"mip_rel_gap": GAP},
    )
    if result.x is None:
        raise SrqError(f"no choice of bits with a mean of {mean}: {result.message}")
    index = result.x.reshape(error.shape).argmax(axis=1)
    sites = np.arange(len(index))
    while count @ (index + WIDTHS[0]) > mean * count.sum():  # HiGHS keeps a constraint up to 1e-6 only
        lost = error[sites, index - 1] - error[sites, index]
        index[np.where(index > 0, lost, np.inf).argmin()] -= 1
    return [WIDTHS[each] for each in index]


def output_errors(student: Student, batches: Batches, options: Options) -> dict[str, list[float]]:
    """The squared error of the output that each site causes alone, at 2, 3, ... 8 bits, by name."""
    generator = torch.Generator().manual_seed(options.seed)
    found = {name: [0.0] * len(WIDTHS) for name in student.quantizers}
    for patch in islice(batches.fixed(1), options.patches):
        lr = patch[..., : options.patch, : options.patch]
        for name, tensors in _squared_gradients(student, lr, options.vectors, generator).items():
            one_sided = student.quantizers[name].site.input_kind in ONE_SIDED
            for (v, squared_gradient), (index, bits) in product(tensors, enumerate(WIDTHS)):
                error = quantized(v, bits, one_sided) - v
                found[name][index] += float((error.square() * squared_gradient).double().sum())
    return found


def _squared_gradients(
    student: Student, lr: Tensor, vectors: int, generator: torch.Generator
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """The tensors of every site in an FP forward pass, with the mean squared gradient of v . output."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in student.quantizers}

    def watch(name: str) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def add_zero(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            zero = torch.zeros_like(output, requires_grad=True)  # its gradient is that of the tensor
            seen[name].append((output.detach().clone(), zero))
            return output + zero

        return add_zero

    enabled = {name: quantizer.enabled for name, quantizer in student.quantizers.items()}
    with ExitStack() as hooks, torch.enable_grad():
        for name, quantizer in student.quantizers.items():
            hooks.callback(setattr, quantizer, "enabled", enabled[name])
            quantizer.enabled = False
            hooks.callback(quantizer.register_forward_hook(watch(name)).remove)
        output = student(lr)
    zeros = [zero for pairs in seen.values() for _, zero in pairs]
    means = [torch.zeros_like(zero) for zero in zeros]
    for _ in range(vectors):
        v = torch.randint(0, 2, output.shape, generator=generator).mul(2).sub(1).to(output)
        gradients = torch.autograd.grad(output, zeros, v, retain_graph=True, materialize_grads=True)
        for mean, gradient in zip(means, gradients, strict=True):
            mean.add_(gradient.square(), alpha=1 / vectors)
    by_zero = dict(zip(map(id, zeros), means, strict=True))
    return {name: [(v, by_zero[id(zero)]) for v, zero in pairs] for name, pairs in seen.items()}


def quantized(v: Tensor, bits: int, one_sided: bool) -> Tensor:
    """The tensor at these bits, between the bounds with the least squared error; `one_sided` keeps l = min."""
    low, high = v.min(), v.max()
    best, least = v, torch.tensor(torch.inf)
    for step in range(CANDIDATES):
        narrow = (high - low) * step / (2 * CANDIDATES)
        made = fake_quantize(v, low if one_sided else low + narrow, high - narrow, bits)
        error = (made - v).square().sum()
        if error < least:
            best, least = made, error
    return best
