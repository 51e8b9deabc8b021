"""SwinIR (light): BasicSR's network, rewritten so that every tensor that 2DQuant quantizes is a site.

Per Swin block these are the Linear layers q, k, v (the fused qkv split in three), proj, fc1 and fc2, and the four
operands of the two matrix products: 16 sites a block, 384 in the 24 blocks of SwinIR-light. Scope `all` adds the
convolutions: the first one, one in each residual group, one after the groups, and those of the upsampler.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..basicsr_compat import SwinIR, WindowAttention
from ..hooks.specs import hookimpl
from ..quantization.network import Operand, SRModel
from ..storage.weights import fill

if TYPE_CHECKING:
    from pathlib import Path

    from ..quantization.quantizer import InputKind

WINDOW = 8
REBUILT = ("attn_mask", "relative_position_index")  # buffers that the network makes itself
# What makes the input of each Linear layer of a block. The input of proj is the attention's weighted mean of values.
INPUTS: dict[str, InputKind] = {
    "attn.qkv.q": "layernorm",
    "attn.qkv.k": "layernorm",
    "attn.qkv.v": "layernorm",
    "attn.proj": "value",
    "mlp.fc1": "layernorm",
    "mlp.fc2": "gelu",
}


# The same for the convolutions; a residual group ends in the sum of a Linear layer, and the groups in a LayerNorm.
CONVOLUTIONS: dict[str, InputKind] = {"conv_first": "image", "conv_after_body": "layernorm", "upsample.0": "conv"}


@hookimpl
def srq_load_model(name: str, scale: int, weights: Path) -> SRModel | None:
    """Load `swinir-light`."""
    if name != "swinir-light":
        return None
    network = new_network(scale)
    fill(network, weights, rebuilt=REBUILT)
    return open_sites(network, name, scale)


def new_network(scale: int, size: int = 64) -> nn.Module:
    """BasicSR's SwinIR-light with fresh weights, its attention masks built for inputs of size x size pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on BasicSR's use of meshgrid
        return SwinIR(  # type: ignore[no-any-return]
            upscale=scale, img_size=size, window_size=WINDOW, img_range=1.0, depths=[6] * 4, embed_dim=60,
            num_heads=[6] * 4, mlp_ratio=2, upsampler="pixelshuffledirect", resi_connection="1conv",
            drop_path_rate=0.0,
        )  # fmt: skip


def open_sites(network: nn.Module, name: str, scale: int) -> SRModel:
    """Make an SRModel of BasicSR's SwinIR: every attention is rewritten so that each of its sites is a module."""
    input_kinds = dict(CONVOLUTIONS)
    for path, module in list(network.named_modules()):
        if isinstance(module, WindowAttention):
            block = path.removesuffix(".attn")
            network.get_submodule(block).attn = OpenAttention(module)
            input_kinds |= {f"{block}.{layer}": input_kind for layer, input_kind in INPUTS.items()}
    groups = tuple(path for path, _ in network.named_modules() if path.endswith(".residual_group"))
    input_kinds |= {f"{group.removesuffix('residual_group')}conv": "linear" for group in groups}
    network.eval().requires_grad_(False)
    edges = ("conv_first", "upsample.0")
    return SRModel(name, scale, network, input_kinds, groups, edges, size_multiple=WINDOW, scope="linear")


class SplitLinear(nn.Module):
    """A fused qkv layer as three layers; each has its own bounds."""

    def __init__(self, fused: nn.Linear) -> None:
        super().__init__()
        weights, biases = fused.weight.chunk(3), fused.bias.chunk(3)
        self.q, self.k, self.v = (_linear(w, b) for w, b in zip(weights, biases, strict=True))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, C) -> three of (B, N, C)."""
        return self.q(x), self.k(x), self.v(x)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight.detach().clone(), bias.detach().clone()
    return layer


class OpenAttention(nn.Module):
    """BasicSR's WindowAttention with q, k and v split and the operands of both matrix products as sites."""

    relative_position_index: Tensor

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.num_heads: int = attention.num_heads
        self.scale: float = attention.scale
        self.qkv = SplitLinear(attention.qkv)
        self.proj: nn.Module = attention.proj
        self.query, self.key = Operand("query", inplace=True), Operand("key", inplace=True)
        self.attention, self.value = Operand("softmax", inplace=True), Operand("value", inplace=True)
        self.relative_position_bias_table: nn.Parameter = attention.relative_position_bias_table
        self.register_buffer("relative_position_index", attention.relative_position_index)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within windows: x (windows * B, N, C), mask (windows, N, N) or None -> (windows * B, N, C)."""
        windows, n, c = x.shape
        q, k, v = (y.view(windows, n, self.num_heads, -1).transpose(1, 2) for y in self.qkv(x))
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        scores = self.query(q * self.scale) @ self.key(k).transpose(-2, -1) + bias
        if mask is not None:
            groups = scores.view(-1, mask.shape[0], self.num_heads, n, n)
            scores = (groups + mask[:, None]).view(windows, self.num_heads, n, n)
        attention = self.attention(torch.softmax(scores, -1))
        y: Tensor = self.proj((attention @ self.value(v)).transpose(1, 2).reshape(windows, n, c))
        return y
