"""The quantized copy of a network, and ways to run it: quantizers off, quantized weights held."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .capture import capture
from .network import SRModel
from .quantizer import Quantizer
from .randomness import seed_generators

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, eq=False)
class Student:
    """The quantized copy of a teacher: `model` is a copy of the network in which every site has a quantizer.

    `quantizers` are by site name, in network order. `weights` are the full-precision weights of the quantized layers
    and products, by the names of their sites; layers read these tensors, so a change in place changes the
    network. Layers that share one weight share its site, which has the name of the first.
    """

    model: SRModel
    quantizers: Mapping[str, Quantizer]
    weights: Mapping[str, Tensor]

    def __call__(self, lr: Tensor) -> Tensor:
        """As `SRModel.__call__`, quantized."""
        return self.model(lr)

    def with_features(self, lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As `SRModel.with_features`, quantized."""
        return self.model.with_features(lr)

    @property
    def network(self) -> nn.Module:
        """The network with its quantizers."""
        return self.model.network

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.model.device

    def named_bounds(self) -> dict[str, nn.Parameter]:
        """All bounds as `SITE.lower` and `SITE.upper`, lower before upper, site by site."""
        return {f"{site}.{end}": getattr(of, end) for site, of in self.quantizers.items() for end in ("lower", "upper")}

    def bound_parameters(self) -> list[nn.Parameter]:
        """The values of `named_bounds`, as an optimizer takes them."""
        return list(self.named_bounds().values())

    def fix_crossed_bounds(self) -> None:
        """Set every upper bound that is below its lower bound after a training step to that lower bound."""
        with torch.no_grad():
            for quantizer in self.quantizers.values():
                torch.maximum(quantizer.lower, quantizer.upper, out=quantizer.upper)


@contextmanager
def quantizers_off(student: Student) -> Iterator[None]:
    """Run the student in full precision."""
    before = {name: quantizer.enabled for name, quantizer in student.quantizers.items()}
    try:
        for quantizer in student.quantizers.values():
            quantizer.enabled = False
        yield
    finally:
        for name, quantizer in student.quantizers.items():
            quantizer.enabled = before[name]


def hold_quantized_weights(student: Student, seed: int) -> None:
    """Quantize the weights once for all forward passes; a quantizer that draws random numbers draws by the seed."""
    seed_generators(seed)
    with torch.no_grad():
        for name, weight in student.weights.items():
            student.quantizers[name].hold(weight)


@contextmanager
def cached_quantized_weights(student: Student, seed: int = 0) -> Iterator[None]:
    """As `hold_quantized_weights`, for the passes within this context."""
    try:
        hold_quantized_weights(student, seed)
        yield
    finally:
        for name in student.weights:
            student.quantizers[name].release()


def site_elements(student: Student) -> dict[str, int]:
    """How many numbers are quantized at every site, by its name: of a weight all, however often a layer is called.

    Activations are those of one forward pass of the smallest image.
    """
    elements = {name: student.weights[name].numel() if name in student.weights else 0 for name in student.quantizers}

    def count(name: str, v: Tensor, _: Tensor) -> None:
        elements[name] += v.numel()

    side, activations = student.model.smallest(), [name for name in elements if name not in student.weights]
    with torch.no_grad(), quantizers_off(student), capture(student, activations, count):
        student(torch.zeros(1, 3, side, side, device=student.device))
    return elements
