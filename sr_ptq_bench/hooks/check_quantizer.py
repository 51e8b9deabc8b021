"""The host's checks of a plugin's own quantizer: when it is made, and at every result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SrqError
from ..quantization.quantizer import Quantizer
from ..quantization.state.network_tensors import same_bits

if TYPE_CHECKING:
    from torch import Tensor

    from ..quantization.quantizer import Site


def check_quantizer(quantizer: object, site: Site) -> None:
    """Raise SrqError unless `srq_make_quantizer` returned a Quantizer of this site, with bits that can be counted.

    After that every result of the quantizer is checked.
    """
    if not isinstance(quantizer, Quantizer):
        raise SrqError(f"srq_make_quantizer returns a {type(quantizer).__name__}; expected a Quantizer")
    if not hasattr(quantizer, "maker"):
        raise SrqError("the quantizer has no bounds; its __init__ must call super().__init__(site, bits)")
    if type(quantizer).forward is not Quantizer.forward or "forward" in vars(quantizer):
        raise SrqError("the quantizer has a forward of its own, which cannot be switched off; override quantize")
    if quantizer.site != site:
        raise SrqError(f"srq_make_quantizer returns the quantizer of site {quantizer.site.name}; make one for each")
    if type(quantizer.bits) is not int or not 1 <= quantizer.bits <= 32:
        raise SrqError(f"the quantizer has {quantizer.bits!r} bits; expected 1 to 32")
    check_enabled(quantizer)


def check_enabled(quantizer: Quantizer) -> None:
    """Raise SrqError if the quantizer is off: a student is scored with all quantizers on."""
    if not quantizer.enabled:
        raise SrqError("the quantizer is off, and would be scored as if it were on; give it more bits instead")


def check_outputs(quantizer: Quantizer, plugin: str) -> None:
    """Raise SrqError from a pass in which the quantizer changes its input or its bits, or returns no tensor like it."""
    quantizer.register_forward_pre_hook(_note_input)
    quantizer.register_forward_hook(partial(_check_like, plugin))


def _note_input(quantizer: Any, inputs: tuple[Tensor, ...]) -> None:
    v = inputs[0]  # scoring is in inference mode, in which no versions are counted
    quantizer.input_before = v.clone() if v.is_inference() else v._version, quantizer.bits


def _check_like(plugin: str, quantizer: Any, inputs: tuple[Tensor, ...], output: object) -> None:
    v, (before, bits), quantizer.input_before = inputs[0], quantizer.input_before, None
    where = f"plugin '{plugin}', site {quantizer.site.name}"
    kept = v._version == before if isinstance(before, int) else same_bits(v, before)
    if not kept and not quantizer.inplace:
        raise SrqError(f"{where}: quantize changes its input, which other layers read; work on a new tensor")
    if quantizer.bits != bits:
        raise SrqError(f"{where}: quantize changes bits from {bits} to {quantizer.bits}; set them when it is made")
    if not isinstance(output, torch.Tensor):
        raise SrqError(f"{where}: quantize returns a {type(output).__name__}")
    found, expected = (f"{tuple(t.shape)} {t.dtype} on {t.device}" for t in (output, v))
    if found != expected:
        raise SrqError(f"{where}: quantize returns {found}; expected {expected}, as its input")
