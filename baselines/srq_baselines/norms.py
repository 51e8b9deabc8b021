"""Which Linear layers read a LayerNorm, and numbers per channel moved from its output into them.

With y = x_hat g + b from the norm, and W y + c in a layer, for factors f and shifts t of shape (C,):

    g <- g / f     b <- (b + t) / f     W <- W diag(f)     c <- c - W t

leave every product as it was, and make (y + t) / f of the tensor between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sr_ptq_bench import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sr_ptq_bench import Batches, Quantizer, Student


TOLERANCE = 1e-4
"""Of the largest value. Rounding makes 3e-6 of it in DAT-light and SwinIR-light."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A LayerNorm and the Linear layers that read it, with the names of the sites between them."""

    norm: nn.LayerNorm
    layers: Sequence[nn.Linear]
    names: Sequence[str]
    """The names of the layers: their sites are NAME.input and NAME.weight."""

    def move(self, factors: Tensor, shifts: Tensor | None = None) -> None:
        """Divide the norm's output by `factors`, after `shifts` are added, and let the layers undo it."""
        with torch.no_grad():
            if shifts is not None:
                self.norm.bias.add_(shifts)
                for layer in self.layers:
                    layer.bias.sub_(layer.weight @ shifts)
            self.norm.weight.div_(factors)
            self.norm.bias.div_(factors)
            for layer in self.layers:
                layer.weight.mul_(factors)


def pairs(student: Student, lr: Tensor) -> list[Pair]:
    """Every LayerNorm over channels whose output only quantized Linear layers with a bias read, found by running.

    The layers are those that run between a norm and the next, each once however often it runs. Whether nobody else
    reads the norm is tried: with factors that are powers of two the output of the network must stay the same to the
    last bit. The quantizers must be off. Shifts have to be tried too: see `shiftable`.
    """
    output = student(lr)
    found = []
    read_by: dict[nn.LayerNorm, dict[str, None]] = {}
    for norm, names in _in_order(student, lr):
        read_by.setdefault(norm, {}).update(dict.fromkeys(names))
    for norm, of in read_by.items():
        names = list(of)
        layers = [student.network.get_submodule(f"{name}.layer") for name in names]
        alike = [one for one in layers if isinstance(one, nn.Linear) and one.bias is not None]
        wide = all(one.in_features == norm.weight.numel() for one in alike)  # not a layer that mixes tokens
        if layers and len(alike) == len(layers) and norm.weight.ndim == 1 and wide and norm.bias is not None:
            found.append(Pair(norm, alike, names))

    def only_readers(some: Sequence[Pair]) -> bool:
        for pair in some:
            pair.move(_powers(pair))
        same = torch.equal(student(lr), output)
        for pair in some:
            pair.move(1 / _powers(pair))
        return same

    return _that_pass(only_readers, found)


def shiftable(student: Student, lr: Tensor, found: Sequence[Pair]) -> list[Pair]:
    """Those of the pairs whose shifts leave the network's function as it is.

    Zeros that are padded between norm and layer, or a reader that only sees how channels differ among tokens, notice a
    shift, but no factor. So each norm is shifted by some of its standard deviations: the inputs of its layers must move
    by the shifts everywhere, and the output of the network by no more than rounding does. The quantizers must be off.
    """
    output, inputs = _outputs(student, lr, found)

    def function_stays(some: Sequence[Pair]) -> bool:
        before = [(v, v.detach().clone()) for pair in some for v in (pair.norm.bias, *(of.bias for of in pair.layers))]
        shifts = {pair: _powers(pair) * pair.norm.weight.detach().square().mean().sqrt() for pair in some}
        for pair in some:
            pair.move(torch.ones_like(shifts[pair]), shifts[pair])
        shifted, moved = _outputs(student, lr, some)
        for v, old in before:
            v.data.copy_(old)  # to the last bit, which another shift would not give
        by_shifts = all(
            _near(now - old, shifts[pair].expand_as(now))
            for pair in some
            for name in pair.names
            for old, now in zip(inputs[name], moved[name], strict=True)
        )
        return by_shifts and _near(shifted, output)

    return _that_pass(function_stays, found)


def _outputs(student: Student, lr: Tensor, some: Sequence[Pair]) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """The output of the network, and the inputs of the pairs' layers by the layer's name, call by call."""
    inputs: dict[str, list[Tensor]] = {name: [] for pair in some for name in pair.names}
    sites = [f"{name}.input" for name in inputs]
    with capture(student, sites, lambda site, x, _: inputs[site.removesuffix(".input")].append(x.clone())):
        return student(lr), inputs


def _near(v: Tensor, right: Tensor) -> bool:
    """Whether two tensors differ by no more than rounding makes of a pass through a network."""
    return float((v - right).abs().max()) <= TOLERANCE * float(right.abs().max())


def _powers(pair: Pair) -> Tensor:
    """1/4, 1/2, 1, 2, 4 for the channels in turn."""
    return torch.exp2(torch.arange(pair.norm.weight.numel(), device=pair.norm.weight.device) % 5 - 2.0)


def _that_pass(test: Callable[[Sequence[Pair]], bool], found: Sequence[Pair]) -> list[Pair]:
    """The pairs that pass a test; all at once first, because a pass for every norm takes a minute."""
    return list(found) if test(found) else [pair for pair in found if test([pair])]


def _in_order(student: Student, lr: Tensor) -> list[tuple[nn.LayerNorm, list[str]]]:
    """The norms in the order of their run, each with the names of the layers of LayerNorm outputs that follow it."""
    order: list[tuple[nn.LayerNorm, list[str]]] = []

    def norm_runs(module: nn.Module, _inputs: object) -> None:
        assert isinstance(module, nn.LayerNorm)
        order.append((module, []))

    def layer_runs(name: str) -> Callable[[nn.Module, object], None]:
        return lambda _module, _inputs: order[-1][1].append(name) if order else None

    handles = [
        module.register_forward_pre_hook(norm_runs)
        for module in student.network.modules()
        if isinstance(module, nn.LayerNorm) and module.elementwise_affine
    ]
    for name, quantizer in layer_inputs(student):
        if quantizer.site.input_kind == "layernorm":
            handles.append(quantizer.register_forward_pre_hook(layer_runs(name)))
    try:
        student(lr)
    finally:
        for handle in handles:
            handle.remove()
    return order


def layer_inputs(student: Student) -> Iterator[tuple[str, Quantizer]]:
    """The quantized layers by name, with the quantizer of their input."""
    for site, quantizer in student.quantizers.items():
        name = site.removesuffix(".input")
        if name != site:
            yield name, quantizer


def watch(student: Student, batches: Batches, names: Iterable[str], see: Callable[[str, Tensor], None]) -> None:
    """Call `see(layer name, its input)` for every calibration batch."""
    sites = [f"{name}.input" for name in names]
    if not sites:
        return
    with torch.no_grad(), capture(student, sites, lambda site, x, _: see(site.removesuffix(".input"), x)):
        for batch in batches.fixed():
            student(batch.to(student.device))
