"""What an error at a site costs at the output of the network, from one backward pass over the calibration patches.

To second order an error e of a tensor moves the squared error of the output by sum_i c_i e_i^2, with c the diagonal of
JᵀJ and J the Jacobian of the output. With a random z of signs, ((Jᵀz)_i)^2 has the mean c_i (Hutchinson, 1989), and
Jᵀz is the gradient of <z, output>. Gradients of the squared error itself are zero where student and teacher agree.

J is that of what the site's reader gets: a residual sum that reads the same tensor reads no error of the quantizer.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch

from .capture import apart
from .distribution import bin_of
from .student import quantizers_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from .distribution import Distribution
    from .student import Student

OutputCosts = dict[str, "Tensor"]
"""(B,) float64 by site: of each value of the site's distribution, the mean of the squared gradients of its elements."""


def first_sites(distributions: Mapping[str, Distribution]) -> dict[str, str]:
    """By site, the first site with the same distribution; these read the same tensors, so their costs are the same."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(distribution), name) for name, distribution in distributions.items()}


def output_costs(
    student: Student, batches: Callable[[], Iterable[Tensor]], distributions: Mapping[str, Distribution], seed: int = 0
) -> OutputCosts:
    """The costs of the first sites of the distributions, in full precision, one patch at a time.

    Sites that read one tensor are quantized alike, so an error of it reaches all of them. `batches` yields the LR
    batches of the distributions, (N, 3, H, W) in [0, 1]; `seed` is that of the signs.
    """
    first = first_sites(distributions)
    sums = _Sums({name: distributions[name] for name in first.values()})
    generator = torch.Generator().manual_seed(seed)
    weights = {name: student.weights[name] for name in sums.of if name in student.weights}
    with ExitStack() as stack:
        stack.enter_context(quantizers_off(student))
        for name, quantizer in student.quantizers.items():
            if name not in student.weights:
                stack.callback(quantizer.register_forward_hook(sums.hook(first[name])).remove)
        stack.enter_context(torch.enable_grad())
        for weight in weights.values():
            stack.callback(weight.requires_grad_, weight.requires_grad)
            weight.requires_grad_()
        for lr in (patch.clone() for batch in batches() for patch in batch.to(student.device).split(1)):
            lr.requires_grad_()
            output = student(lr)
            signs = torch.randint(0, 2, output.shape, generator=generator).to(output) * 2 - 1
            # Gradients of activations go to their hooks, of all that lie between the image and the output.
            _, *gradients = torch.autograd.grad(output, [lr, *weights.values()], signs, allow_unused=True)
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                if gradient is not None:
                    sums.add(name, sums.bins(name, weight), gradient)
    return sums.means()


class LazyCosts:
    """Costs of all sites that are made when the first site asks for them."""

    def __init__(self, distributions: Mapping[str, Distribution], make: Callable[[], OutputCosts]) -> None:
        self._first, self._make = first_sites(distributions), make
        self._made: OutputCosts | None = None

    def of(self, site: str) -> Tensor:
        """The costs of the values of a site: (B,) float64."""
        if self._made is None:
            self._made = self._make()
        return self._made[self._first[site]].clone()  # which the method may change; sites share it


class _Sums:
    """Squared gradients by the bins of their elements, and the number of elements."""

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        self._distributions = distributions
        self.of = {name: torch.zeros(2, len(d.bin_counts), dtype=torch.float64) for name, d in distributions.items()}
        self._last: tuple[str, Tensor, int, Tensor] | None = None

    def hook(self, name: str) -> Callable[[object, object, Tensor], Tensor]:
        """A hook of quantizers that are off: gradients of what their readers get will be added."""

        def hook(_quantizer: object, _inputs: object, v: Tensor) -> Tensor:
            return self._followed(name, v)

        return hook

    def _followed(self, name: str, v: Tensor) -> Tensor:
        """The tensor for the reader of a site; sites of one distribution that read one tensor get the same."""
        if not v.requires_grad:
            return v
        if self._last is not None:
            of, tensor, version, given = self._last
            if of == name and tensor is v and version == v._version:
                return given
        given = apart(v)
        given.register_hook(partial(self.add, name, self.bins(name, v)))
        self._last = name, v, v._version, given
        return given

    def bins(self, name: str, v: Tensor) -> Tensor:
        """The bins of the elements now; a network may overwrite the tensor later."""
        return bin_of(v.detach().reshape(-1), self._distributions[name])

    def add(self, name: str, bins: Tensor, gradient: Tensor) -> None:
        """Add the gradients of elements in these bins."""
        squares = gradient.detach().reshape(-1).double().square()
        size = self.of[name].shape[1]
        counted = [torch.bincount(bins, weights, size).cpu() for weights in (squares, None)]
        self.of[name] += torch.stack([counted[0], counted[1].double()])

    def means(self) -> OutputCosts:
        """The mean of each bin; zero in a bin without elements."""
        return {name: total / count.clamp_min(1) for name, (total, count) in self.of.items()}
