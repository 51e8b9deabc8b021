"""Bits for every site by its sensitivity, at the same mean: `--method mixed+2dquant`.

The output error that site s causes at b bits is estimated by one backward pass for each of P random vectors v of +-1:

    error(s, b) = 1/P sum_v sum_i (g_i d_i)^2,   g = d(v . network(lr)) / d(tensor of s),   d = its error at b bits

This is E ||J d||^2 for independent errors d_i; J is the Jacobian of the output. An integer program (`allocation`) then
chooses one bit-width for every site: the least total error at which neither the mean over the numbers of all weights
nor the mean over those of all activations is above the bits of the run. So no more bytes are stored or moved.

With `budget=macs` the mean over all multiply-accumulates is not above that of the run either, so the theoretical
speedup is kept too. A multiply-accumulate has the bits of the wider of its two operands.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import islice, product
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from sr_ptq_bench import (
    Batches,
    Bits,
    PluginOptions,
    Student,
    fake_quantize,
    hookimpl,
    site_elements,
    site_macs,
)

from .allocation import WIDTHS, Macs, Mean, allocate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

CANDIDATES = 20
"""Bounds that the search for the least error tries, from the whole range to half of it."""
ROLES: tuple[Literal["weight", "activation"], ...] = ("weight", "activation")
ONE_SIDED = ("softmax", "gelu", "relu")


class Options(PluginOptions):
    """How sensitivity is measured."""

    patches: int = Field(4, ge=1, description="calibration patches")
    patch: int = Field(32, ge=8, description="side of a patch in pixels, cut from its corner")
    vectors: int = Field(2, ge=1, description="random vectors a patch")
    seed: int = Field(0, ge=0, description="seed of the vectors")
    budget: Literal["bytes", "macs"] = Field(
        "bytes", description="what keeps its mean: bytes, or multiply-accumulates as well"
    )

    later = ("budget",)


@hookimpl
def srq_choose_bits(student: Student, batches: Batches, bits: Bits, options: Options) -> Mapping[str, int] | None:
    """Bits by site; None at 2 bits, which leave no choice."""
    if max(bits.weight, bits.activation) == WIDTHS[0]:
        return None
    found = output_errors(student, batches, options)
    elements = site_elements(student)
    by_role = [[name for name in found if student.quantizers[name].site.role == role] for role in ROLES]
    # Without products the roles do not meet, and two small programs are solved sooner than one large one.
    together = [[*by_role[0], *by_role[1]]] if options.budget == "macs" else by_role
    chosen: dict[str, int] = {}
    for names in filter(None, together):
        place = {name: index for index, name in enumerate(names)}
        roles = [student.quantizers[name].site.role for name in names]
        means = [
            Mean([elements[name] * (of == role) for name, of in zip(names, roles, strict=True)], bits.of(role))
            for role in ROLES
            if role in roles
        ]
        macs = _products(student, bits, place) if options.budget == "macs" else None
        widths = allocate([found[name] for name in names], means, macs)
        chosen |= dict(zip(names, widths, strict=True))
    return chosen


def _products(student: Student, bits: Bits, place: Mapping[str, int]) -> Macs:
    """The products of two sites, with the mean of the run: each has the bits of its wider operand."""
    counts = site_macs(student)
    nominal = sum(
        count * max(bits.of(student.quantizers[site].site.role) for site in sites) for sites, count in counts.items()
    )
    pairs = [(place[one], place[other]) for one, other in counts]
    return Macs(pairs, list(counts.values()), nominal)


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
            if name in student.weights and seen[name]:  # read once more: its gradients add up
                return output + seen[name][0][1]
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
