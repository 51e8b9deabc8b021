"""Slow but clear reference code: formulas written out, searches that quantize, networks of a few weights."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sr_ptq_bench.backbones.swinir import open_sites
from sr_ptq_bench.basicsr_compat import EDSR, MSRResNet, SwinIR
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import Operand, SRModel
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Bounds, Site
from sr_ptq_bench.quantization.student import Student

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FLOAT64 = torch.float64


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = FLOAT64) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64).to(dtype)


def scalar(value: float, dtype: torch.dtype = FLOAT64) -> Tensor:
    """A number as a tensor."""
    return torch.tensor(value, dtype=dtype)


def differentiated(
    function: Callable[..., Tensor], v: Tensor, lower: Tensor, upper: Tensor, bits: int, grad: Tensor
) -> list[Tensor]:
    """The gradients of v, lower and upper by autograd."""
    leaves = [t.detach().clone().requires_grad_() for t in (v, lower, upper)]
    return list(torch.autograd.grad(function(*leaves, bits), leaves, grad))


def channel_bounds(channels: int, axis: int, ndim: int) -> tuple[Tensor, Tensor]:
    """Bounds per channel, in shapes that broadcast."""
    shape = [1] * ndim
    shape[axis] = channels
    lower = -0.3 - normal(channels, seed=1).abs()
    return lower.view(shape), (lower + 0.2 + normal(channels, seed=2).abs()).view(shape)


def quantized(v: Tensor, lower: Tensor, upper: Tensor, bits: int) -> Tensor:
    """Eq. 1: clip, scale to levels, round, scale back."""
    n = 2**bits - 1
    v_c = v.clamp(lower, upper)
    v_r = torch.round((v_c - lower) * (n / (upper - lower)))
    return (upper - lower) / n * v_r + lower


def straight_through(v: Tensor, lower: Tensor, upper: Tensor, bits: int) -> Tensor:
    """Eq. 1 for plain autograd: only `round` is told that its gradient is 1."""
    n = 2**bits - 1
    levels = (torch.clamp(v, lower, upper) - lower) * n / (upper - lower)
    v_r = levels + (torch.round(levels) - levels).detach()
    return v_r * (upper - lower) / n + lower


def gradients(v: Tensor, lower: Tensor, upper: Tensor, bits: int, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 18 per element, before any sum over a bound's elements: of v, l and u."""
    n, s = 2**bits - 1, upper - lower
    v_c = v.clamp(lower, upper)
    v_r = torch.round((v_c - lower) * (n / s))
    inside = ((v >= lower) & (v <= upper)).to(v.dtype)
    to_upper = (v > upper).to(v.dtype) + v_r / n - (v_c - lower) / s
    to_lower = (v < lower).to(v.dtype) - v_r / n + (v_c - lower) / s
    return grad * inside, grad * to_lower, grad * to_upper


def squared_errors(v: Tensor, lowers: Iterable[float], uppers: Iterable[float], bits: int) -> Tensor:
    """||v - v_q||^2 of every pair of bounds, by quantizing the tensor once for each: (K,) float64."""
    v = v.to(FLOAT64)
    errors = []
    for low, high in zip(lowers, uppers, strict=True):
        ends = torch.tensor(float(low), dtype=FLOAT64), torch.tensor(float(high), dtype=FLOAT64)
        v_q = quantized(v, *ends, bits) if low < high else ends[0].expand(v.shape)
        errors.append((v - v_q).square().sum())
    return torch.stack(errors)


def swinir(depths: tuple[int, ...] = (2,), channels: int = 12, heads: int = 2, scale: int = 2) -> nn.Module:
    """BasicSR's SwinIR with random weights, tiny unless told otherwise, its biases and norms not at their defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on BasicSR's use of meshgrid
        network = SwinIR(
            upscale=scale, img_size=16, window_size=8, img_range=1.0, depths=list(depths), embed_dim=channels,
            num_heads=[heads] * len(depths), mlp_ratio=2, upsampler="pixelshuffledirect", resi_connection="1conv",
        )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def edsr(features: int = 4, blocks: int = 2, scale: int = 2, res_scale: float = 1.0) -> nn.Module:
    """BasicSR's EDSR with random weights, tiny unless told otherwise."""
    torch.manual_seed(0)
    return EDSR(3, 3, features, blocks, scale, res_scale).eval()


def msrresnet(features: int = 4, blocks: int = 2, scale: int = 2) -> nn.Module:
    """BasicSR's MSRResNet with random weights, tiny unless told otherwise, larger than at the start of a training."""
    torch.manual_seed(0)
    network = MSRResNet(3, 3, features, blocks, scale).eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return network


def tiny_teacher(depths: tuple[int, ...] = (2,), channels: int = 12, scale: int = 2) -> SRModel:
    """A SwinIR of one shifted and one unshifted block with its sites laid open."""
    torch.manual_seed(0)
    return open_sites(swinir(depths, channels, scale=scale), "tiny", scale)


def bounded(teacher: SRModel, bits: str = "4", lr: Tensor | None = None) -> Student:
    """A student whose bounds are the minimum and maximum of each site, somewhat narrowed so that both ends clip."""
    student = quantize(teacher, Bits.parse(bits))
    seen: dict[str, tuple[float, float]] = {}
    handles = [
        quantizer.register_forward_pre_hook(_keeper(seen, name)) for name, quantizer in student.quantizers.items()
    ]
    for quantizer in student.quantizers.values():
        quantizer.enabled = False
    with torch.no_grad():
        student(images(1, 16) if lr is None else lr)
    for handle in handles:
        handle.remove()
    for name, quantizer in student.quantizers.items():
        low, high = seen[name]
        margin = 0.05 * (high - low)
        quantizer.set_bounds(Bounds(low + margin, high - margin))
        quantizer.enabled = True
    return student


def _keeper(seen: dict[str, tuple[float, float]], name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
    return lambda _module, inputs: seen.update({name: (float(inputs[0].min()), float(inputs[0].max()))})


def images(count: int, height: int, width: int | None = None, seed: int = 0) -> Tensor:
    """Random images (count, 3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width or height, generator=generator)


def sites_of(student: Student) -> list[Site]:
    """All sites in the network's own order."""
    return [quantizer.site for quantizer in student.quantizers.values()]


class Mixed(nn.Module):
    """A strided grouped convolution with reflecting borders, a Linear layer and an operand."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(4, 6, 3, padding=1, groups=2, padding_mode="reflect")
        self.fc = nn.Linear(6, 3, bias=False)
        self.mark = Operand("key")
        self.plain = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(torch.cat([x, x[:, :1]], 1)).relu()
        return self.plain(self.mark(self.fc(y.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)


def mixed() -> SRModel:
    """`Mixed` with all but its last layer to quantize."""
    return SRModel("mixed", 1, Mixed().requires_grad_(False), {"conv": "image", "fc": "relu"}, ("fc", "conv"))


class Normed(nn.Module):
    """Two convolutions between norms with parameters and running buffers; one norm has two names, one weight too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.again = self.norm
        self.group = nn.GroupNorm(2, 4)
        self.last, self.other = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 3, 1)
        self.other.weight = self.last.weight
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        y = self.group(self.again(self.norm(self.first(x)).relu()))
        return self.last(y) + self.other(y)


def normed() -> SRModel:
    """`Normed` with its convolutions to quantize."""
    kinds = dict.fromkeys(("first", "last", "other"), "conv")
    return SRModel("normed", 1, Normed().eval().requires_grad_(False), kinds, ())
