"""The host's checks of a network that a plugin loads; every error names the plugin."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from ..errors import SrqError, plugin_errors
from ..protocol.bits import Bits
from ..quantization.network import SRModel
from ..quantization.products.product import module_of
from ..quantization.quantize import quantize
from ..quantization.randomness import generator_states, restore_generators, seed_generators
from ..quantization.state.network_tensors import same_bits
from ..quantization.student import quantizers_off
from .checks import blame_plugin, check_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

COPY_SIDE = 8
"""Pixels of the image on which a student is compared with its network, unless that needs more."""


def check_model(plugin: str, model: object, scale: int) -> None:
    """Raise SrqError unless `srq_load_model` returned an SRModel of this scale with layers that exist."""
    with blame_plugin(plugin):
        if not isinstance(model, SRModel):
            raise SrqError(f"srq_load_model returns a {type(model).__name__}; expected an SRModel")
        if model.scale != scale:
            raise SrqError(f"srq_load_model returns a model of scale {model.scale}; expected {scale}")
        if type(model.size_multiple) is not int or model.size_multiple < 1:
            raise SrqError(
                f"the model's size_multiple is {model.size_multiple!r}; expected a number of pixels, 1 or more"
            )
        modules = dict(model.network.named_modules())
        for what, names in (
            ("input_kinds", model.input_kinds),
            ("features", model.features),
            ("first_last_layers", model.first_last_layers),
            ("products", map(module_of, model.products)),
        ):
            missing = [name for name in names if name not in modules]
            if missing:
                raise SrqError(f"the model's {what} name '{missing[0]}', which the network does not have")
        if next(model.network.parameters(), None) is None:
            raise SrqError("the model's network has no parameters")
        check_finite(model.network)
        for name in model.input_kinds:
            if not all(tensor.numel() for tensor in modules[name].parameters(recurse=False)):
                raise SrqError(
                    f"the model's layer '{name}' has a weight without numbers; give the network more channels"
                )
        if training := [name for name, module in modules.items() if module.training]:
            part = f", in {training[0]}" if training[0] else ""
            raise SrqError(f"the model's network is in training mode{part}; call its eval()")
        with plugin_errors("the network fails on a small image of noise"):
            check_copy(model)
            check_repeats(model)


def check_copy(model: SRModel) -> None:
    """Raise SrqError unless the student of a network, with its quantizers off, computes what the network does.

    The image is none of those on which a network is opened. What no copy has: a hook or a forward of a layer's own,
    and functions that hold modules of the network, which stay those of the original.
    """
    lr = _noise(model)
    student = quantize(model, Bits(weight=8, activation=8))
    before = generator_states()
    try:
        with torch.no_grad(), quantizers_off(student):
            names = [name for name, _ in model.network.named_modules()]
            expected, called = _modules_called(model, lr, names)
            given, called_too = _modules_called(student.model, lr, names)
    finally:
        restore_generators(before)
    if not torch.equal(given, expected):
        odd = [name for name in model.input_kinds if _has_hooks(model.network.get_submodule(name))]
        why = f"; {odd[0]} has hooks or a forward of its own, which its quantized copy lacks" if odd else ""
        raise SrqError(f"a copy of the network with quantizers that are off gives another output{why}")
    missing = [name for name in called if name not in called_too]
    if missing:
        raise SrqError(f"a copy of the network does not call its own {missing[0]}; does a function hold the module?")


def check_repeats(model: SRModel) -> None:
    """Raise SrqError if a pass leaves a trace: scores must not depend on the order of images, nor a state on passes."""
    lr, outputs, before = _noise(model), [], generator_states()
    buffers = {name: (buffer, buffer._version, buffer.clone()) for name, buffer in model.network.named_buffers()}
    try:
        for image in (lr, lr.transpose(2, 3).contiguous(), lr):
            seed_generators(0)
            with torch.no_grad():
                outputs.append(model(image))
    finally:
        restore_generators(before)
    if not torch.equal(outputs[0], outputs[-1]):
        raise SrqError("the network's output for an image depends on earlier images; scores would not be repeatable")
    kept = model.network.state_dict()
    for name, now in model.network.named_buffers():
        buffer, version, numbers = buffers.get(name, (None, None, now))
        if name in kept and (now is not buffer or now._version != version or not same_bits(now, numbers)):
            raise SrqError(f"a pass writes to the network's buffer '{name}'; register it with persistent=False")


def _noise(model: SRModel) -> Tensor:
    side = model.smallest(COPY_SIDE)
    return torch.rand(1, 3, side, 2 * side, generator=torch.Generator().manual_seed(1)).to(model.device)


def _modules_called(model: SRModel, lr: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, None]]:
    """The output, and which of the modules ran; a network that draws random numbers draws the same ones.

    The quantizers of products are in no network and not watched: one that is makes two products of a fused attention.
    """
    called: dict[str, None] = {}
    seed_generators(0)
    modules = dict(model.network.named_modules())
    with ExitStack() as hooks:
        for name in names:
            if name in modules:
                hook = modules[name].register_forward_pre_hook(lambda *_, name=name: called.setdefault(name))
                hooks.callback(hook.remove)
        return model(lr), called


def _has_hooks(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))
