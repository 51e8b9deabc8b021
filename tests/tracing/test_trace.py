"""What one pass shows of a network is what the network does."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from oracle import images
from torch import nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.tracing.open_network import open_network
from sr_ptq_bench.tracing.trace import trace


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv(F.relu(x))


class Network(nn.Module):
    """Layers after every kind of producer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.ModuleList([Block(), Block(), Block()])
        self.norm, self.qkv = nn.LayerNorm(4), nn.Linear(4, 12)
        self.proj, self.fc1, self.fc2, self.gate = (nn.Linear(4, 4) for _ in range(4))
        self.idle = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 12, 1)

    def forward(self, x):
        x = self.first((x - 0.5) * 2)
        for block in self.body:
            x = block(x)
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).chunk(3, -1)
        tokens = tokens + self.proj(F.softmax(q @ k.transpose(1, 2), -1) @ v)
        tokens = self.fc2(F.gelu(self.fc1(tokens))) + tokens
        tokens = tokens * torch.sigmoid(self.gate(tokens))
        x = tokens.transpose(1, 2).reshape(x.shape)
        return F.pixel_shuffle(self.last(F.leaky_relu(x)), 2)


@pytest.fixture
def seen():
    torch.manual_seed(0)
    return trace(Network(), images(1, 8))


def test_what_makes_the_input_of_each_layer_in_the_order_of_the_calls(seen):
    assert list(seen.input_kinds.items()) == [
        ("first", "image"),
        ("body.0.conv", "relu"),
        ("body.1.conv", "relu"),
        ("body.2.conv", "relu"),
        ("qkv", "layernorm"),
        ("proj", "value"),
        ("fc1", "conv"),
        ("fc2", "gelu"),
        ("gate", "linear"),
        ("last", "leakyrelu"),
    ]


def test_the_blocks_in_a_row_are_the_features(seen):
    assert seen.features == ("body.0", "body.1", "body.2")


def test_products_of_two_tensors_are_named_with_what_makes_their_operands(seen):
    assert {name: (product.a.input_kind, product.b.input_kind) for name, product in seen.products.items()} == {
        "matmul0": ("query", "key"),
        "matmul1": ("softmax", "value"),
    }


def test_layers_that_are_left_out_are_counted(seen):
    assert seen.unquantized_ops == "1 layers that a pass on noise does not call"


def test_tracing_leaves_the_network_as_it_was():
    network = Network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = trace(network, images(1, 8))
    assert torch.equal(first.output, network(images(1, 8)).detach())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


class Awkward(nn.Module):
    """Layers that a quantized twin cannot replace, and one that it can."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.twice, self.plain = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.alias = self.twice
        self.derived = Derived(3, 3, 1)

    def forward(self, x):
        x = self.read(x) + self.read.weight.sum()
        return self.plain(self.derived(self.alias(x)))


class Derived(nn.Conv2d):
    pass


def test_only_layers_that_can_be_replaced_are_named():
    seen = trace(Awkward(), images(1, 8))
    assert list(seen.input_kinds) == ["plain"]
    assert "3 products with 75.0% of" in seen.unquantized_ops
    assert seen.unquantized_ops.endswith("in Conv2d read, Conv2d twice, Derived derived")


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(F.relu(self.conv(x)))


def test_a_layer_called_on_inputs_of_two_kinds_has_neither():
    assert trace(Shared(), images(1, 8)).input_kinds == {"conv": "other"}


@pytest.mark.parametrize(
    ("function", "input_kind"),
    [
        (lambda x: x.clamp(0, 1), "other"),
        (lambda x: x * x, "other"),
        (lambda x: torch.cat([x, x], 1)[:, :3], "image"),
        (lambda x: torch.stack([x, F.relu(x)]).sum(0), "other"),
        (lambda x: F.relu(x) + x, "other"),
        (lambda x: F.relu(x, inplace=False).mul(2), "relu"),
        (lambda x: nn.ReLU(inplace=True)(x.clone()), "relu"),
        (nn.PReLU(), "leakyrelu"),
        (lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), "image"),
        (lambda x: x - torch.ones(3, 1, 1).type_as(x), "image"),
        (lambda x: F.pad(x, (1, 1, 0, 0), "reflect")[..., 1:-1], "image"),
        (lambda x: torch.ones_like(x).relu(), "relu"),
    ],
)
def test_functions(function, input_kind):
    class Of(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(function(x))

    assert trace(Of(), images(1, 8)).input_kinds == {"conv": input_kind}


def test_a_network_without_blocks_has_no_features():
    assert trace(Shared(), images(1, 8)).features == ()


# What torch's counter does not know, and what cannot be opened


class WithLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lstm = nn.Conv2d(3, 12, 1), nn.LSTM(12, 12, batch_first=True)

    def forward(self, x):
        y = self.conv(x)
        tokens, _ = self.lstm(y.flatten(2).transpose(1, 2))
        return F.pixel_shuffle(tokens.transpose(1, 2).reshape(y.shape), 2)


class WithDistances(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 1)

    def forward(self, x):
        y = self.conv(x)
        tokens = y.flatten(2).transpose(1, 2)
        near = torch.cdist(tokens, tokens).mean(-1)
        return F.pixel_shuffle(y + near.reshape(1, 1, *y.shape[2:]), 2)


@pytest.mark.parametrize(("network", "function"), [(WithLstm(), "lstm"), (WithDistances(), "cdist")])
def test_functions_whose_products_are_not_counted_are_named(network, function):
    assert (
        trace(network, images(1, 8)).unquantized_ops
        == f"1 calls of {function}, whose multiply-accumulates do not count"
    )


def compiled(code):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against it; networks have it
        return torch.jit.script(code)


def mixed(x: torch.Tensor) -> torch.Tensor:
    """A matrix product of (N, L, C) with its transpose."""
    return torch.matmul(torch.matmul(x, x.transpose(1, 2)), x)


class WithCompiledFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mixed = nn.Conv2d(3, 12, 1), compiled(mixed)

    def forward(self, x):
        y = self.conv(x)
        return F.pixel_shuffle(self.mixed(y.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(y.shape), 2)


def test_products_in_compiled_code_are_reported_with_their_share():
    """64 tokens of 12 channels: 2 * 64 * 64 * 12 in the products, 64 * 3 * 12 in the convolution."""
    hidden, seen = 2 * 64 * 64 * 12, 64 * 3 * 12
    expected = f"code that torch does not show, with {hidden / (hidden + seen):.1%} of all multiply-accumulates"
    assert trace(WithCompiledFunction(), images(1, 8)).unquantized_ops == expected


def test_a_compiled_module_is_refused_by_name():
    network = nn.Sequential(nn.Conv2d(3, 12, 1), compiled(nn.PixelShuffle(2)))
    with pytest.raises(SrqError, match="the module 1 is TorchScript"):
        open_network(network, "any", 2)


class Pair(nn.Sequential):
    def forward(self, x):
        return super().forward(x), x


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Pair(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2)), "'any' returns a tuple; expected a tensor"),
        (nn.Sequential(nn.Conv2d(3, 12, 1)), r"'any' makes \(1, 12, 16, 16\) of an image; expected \(1, 3, 32, 32\)"),
    ],
)
def test_an_output_that_is_no_image_is_said(network, message):
    with pytest.raises(SrqError, match=message):
        open_network(network, "any", 2)


class WithOperand(nn.Module):
    """A product of the image with what `make` makes of its tensors."""

    def __init__(self, make) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.eye(3)), nn.Parameter(torch.ones(3, 1))
        self.register_buffer("fixed", torch.eye(3))
        self.make = make

    def forward(self, x):
        return (x.permute(0, 2, 3, 1) @ self.make(self, x)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("make", "is_said"),
    [
        (lambda network, x: network.weight * network.scale, True),
        (lambda network, x: network.weight[None].expand(len(x), -1, -1).squeeze(0) + 0, True),
        (lambda network, x: network.fixed, True),
        (lambda network, x: network.weight, False),
        (lambda network, x: network.weight * x.mean(), False),
    ],
)
def test_an_operand_that_is_computed_from_parameters_is_said(make, is_said):
    what = "the parameters behind 1 operands that do not depend on the image, matmul*.b, which have the bits of"
    assert trace(WithOperand(make), images(1, 8)).unquantized_ops == (f"{what} activations" if is_said else "")
