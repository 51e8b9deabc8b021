"""Fake quantization: what is quantized (Site), between which values (Bounds), and the module that does it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import SrqError, plugin_errors
from .fake_quantize import fake_quantize

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .distribution import Distribution

Role = Literal["weight", "activation"]
Layer = Literal["linear", "conv"]
InputKind = Literal[
    "parameter", "image", "linear", "conv", "layernorm", "gelu", "relu", "leakyrelu", "softmax", "query", "key",
    "value", "other",
]  # fmt: skip


class Maker(NamedTuple):
    """The plugin that a quantizer comes from, and the version of its distribution."""

    plugin: str
    version: str


@dataclass(frozen=True)
class Site:
    """One tensor of the network that is quantized.

    `input_kind` says what made the tensor, so that a method can tell one-sided distributions from bell-shaped ones
    without knowing the network; `other` if that is not known. `channel_axis` is the axis of per-channel bounds;
    None if the tensor has no such axis. `edge` marks the sites of the network's first and last layers,
    which some methods keep at 8 bits. `layer` is the kind of the layer that the tensor is weight or input of; None for
    an operand of a matrix product.
    """

    name: str
    role: Role
    input_kind: InputKind
    channel_axis: int | None = None
    edge: bool = False
    layer: Layer | None = None


@dataclass(frozen=True)
class Bounds:
    """The clipping range [l, u] of a site: two numbers, or one pair per channel (tensors of shape (C,))."""

    lower: float | Tensor
    upper: float | Tensor

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Both ends as float32 tensors of one shape, () or (C,); raises SrqError unless finite and ordered."""
        try:
            ends = [torch.as_tensor(end).detach() for end in (self.lower, self.upper)]
            if any(end.is_complex() for end in ends):
                raise TypeError("they are complex")
            lower, upper = (end.to("cpu", torch.float32) for end in ends)
        except (TypeError, ValueError, RuntimeError) as error:
            raise SrqError(f"bounds are no numbers: {error}") from error
        if lower.shape != upper.shape or lower.ndim > 1:
            raise SrqError(
                f"bounds of shapes {tuple(lower.shape)} and {tuple(upper.shape)}; expected () or (C,), both the same"
            )
        if not (torch.isfinite(lower).all() and torch.isfinite(upper).all()):
            raise SrqError("bounds are not finite")
        if (lower > upper).any():
            raise SrqError("a lower bound is above its upper bound")
        if not torch.isfinite(upper - lower).all():
            raise SrqError("bounds are so far apart that float32 cannot hold their distance")
        return lower, upper


class Quantizer(nn.Module):
    """Fake-quantizes one site between learnable bounds: uniform, asymmetric, per tensor or per channel.

    A method's own quantizer derives from this class and overrides `quantize`. The bounds are parameters that do not
    require gradients until a calibrator asks for them. With `inplace` the result may overwrite a tensor that
    nothing else reads, if no gradient is needed: memory traffic limits the scoring of a large image.
    """

    levels_bounded = True
    """False announces more than 2^bits levels: they are not refused then, and tables mark the row."""

    levels_per_channel = False
    """True announces other numbers per channel than the bounds: each channel then has 2^bits levels of its own."""

    def __init__(self, site: Site, bits: int) -> None:
        super().__init__()
        self.site = site
        self.bits = bits
        self.enabled = True
        self.inplace = False
        self._held: tuple[Tensor, Tensor] | None = None
        self.maker: Maker | None = None
        """Set by the host for a class of quantizers that only a plugin has."""
        self.lower = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.upper = nn.Parameter(torch.zeros(()), requires_grad=False)

    def set_bounds(self, bounds: Bounds) -> None:
        """Replace the bounds; raises SrqError if they do not fit the site."""
        lower, upper = bounds.tensors()
        check_channels(self.site, lower)
        device = self.lower.device
        self.lower = nn.Parameter(lower.clone().to(device), requires_grad=False)
        self.upper = nn.Parameter(upper.clone().to(device), requires_grad=False)

    @property
    def bounds(self) -> Bounds:
        """The present bounds, detached."""
        return Bounds(self.lower.detach().clone(), self.upper.detach().clone())

    def fit(self, distribution: Distribution) -> None:
        """Set what else the quantizer has from the full-precision distribution of its site; here there is nothing.

        The host calls it once, after the bounds are set and before the calibration; a restored student keeps its
        tensors. It may change the bounds too, with `set_bounds`.
        """

    def quantize(self, v: Tensor) -> Tensor:
        """Fake-quantize `v` between the bounds."""
        lower, upper = self.against(v, self.lower, self.upper)
        return fake_quantize(v, lower, upper, self.bits, self.inplace)

    def against(self, v: Tensor, *numbers: Tensor) -> list[Tensor]:
        """Numbers of the tensor, of shape (), or of its channels, (C,), in shapes that broadcast against `v`."""
        return [each.view(channel_shape(v, self.site, each.numel())) if each.ndim else each for each in numbers]

    def levels_of(self, v_q: Tensor) -> Tensor:
        """The tensor whose distinct values are the levels of a result `v_q`: itself, or its transform.

        A quantizer that rounds in another space, such as that of a Hadamard transform, returns `v_q` in that space.
        """
        return v_q

    def hold(self, v: Tensor) -> None:
        """Quantize `v` now, and return this result for the same tensor until `release`."""
        self._held = (v, self(v)) if self.enabled else None

    def release(self) -> None:
        """Forget the held result."""
        self._held = None

    def forward(self, v: Tensor) -> Tensor:
        """Fake-quantize `v`, or return it unchanged while the quantizer is off."""
        if self._held is not None and self._held[0] is v and self.enabled:
            return self._held[1]
        if not self.enabled:
            return v
        with self.blamed("quantize"):
            return self.quantize(v)

    def blamed(self, what: str) -> AbstractContextManager[None]:
        """Errors within name the plugin that the quantizer comes from, and the site; none of srq's own is changed."""
        if self.maker is None:
            return nullcontext()
        return plugin_errors(f"plugin '{self.maker.plugin}' fails in {what}, site {self.site.name}")


def check_channels(site: Site, bounds: Tensor) -> None:
    """Raise SrqError if these are bounds per channel and the site has no channels."""
    if bounds.ndim and site.channel_axis is None:
        raise SrqError(f"site {site.name} has no channels; its bounds must be two numbers")


def channel_shape(v: Tensor, site: Site, channels: int) -> list[int]:
    """The shape that broadcasts one number per channel against `v`; raises SrqError for other numbers of channels."""
    axis = 0 if site.channel_axis is None else site.channel_axis
    if v.shape[axis] != channels:
        raise SrqError(f"site {site.name} has {v.shape[axis]} channels, its bounds have {channels}")
    shape = [1] * v.ndim
    shape[axis] = channels
    return shape
