"""Products in a network's own code are seen, named, told apart and quantized, however they are written."""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from checkpoints import SIDE, WITH_ATTENTION, loaded
from oracle import images, quantized
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.network import SRModel
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.products.functions import FusedAttention
from sr_ptq_bench.quantization.products.product import Product, ProductOperand
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Bounds
from sr_ptq_bench.quantization.state.save_load import load_state, save_state
from sr_ptq_bench.quantization.student import Student, cached_quantized_weights, quantizers_off, site_elements
from sr_ptq_bench.runs.count import count
from sr_ptq_bench.tracing.open_network import open_network

W4A4 = Bits(weight=4, activation=4)
LOWER, UPPER = torch.tensor(-0.3), torch.tensor(0.4)


class Around(nn.Module):
    """An upscaler around a function of the tokens (N, HW, 4) that a convolution makes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.inner, self.tail = nn.Conv2d(3, 4, 1), inner, nn.Conv2d(4, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x)
        tokens = self.inner(y.flatten(2).transpose(1, 2))
        return F.pixel_shuffle(self.tail(tokens.transpose(1, 2).reshape(y.shape)), 2)


class Of(nn.Module):
    """A module of one function, with a matrix as its parameter."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 16).view(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def model_of(function, scope="all") -> SRModel:
    return open_network(Around(Of(function)), "any", 2, scope=scope)


def with_bounds(student: Student) -> Student:
    for quantizer in student.quantizers.values():
        quantizer.set_bounds(Bounds(LOWER, UPPER))
    return student


def q(v: Tensor) -> Tensor:
    return quantized(v, LOWER, UPPER, 4)


def mixing(x: Tensor) -> Tensor:
    """(N, L, 4) -> (N, 4, 4)."""
    return x.transpose(1, 2) @ x / x.shape[1]


WRITTEN = {
    "matmul": lambda _m, x: torch.matmul(x, mixing(x)),
    "at": lambda _m, x: x @ mixing(x),
    "method": lambda _m, x: x.matmul(mixing(x)),
    "linalg": lambda _m, x: torch.linalg.matmul(x, mixing(x)),
    "keyword": lambda _m, x: torch.matmul(input=x, other=mixing(x)),
    "rmatmul": lambda _m, x: mixing(x).__rmatmul__(x),
    "bmm": lambda _m, x: torch.bmm(x, mixing(x)),
    "bmm keyword": lambda _m, x: x.bmm(mat2=mixing(x)),
    "baddbmm": lambda _m, x: torch.baddbmm(torch.zeros(1), x, mixing(x)),
    "baddbmm keyword": lambda _m, x: torch.zeros(1).baddbmm(batch1=x, batch2=mixing(x)),
    "in place": lambda _m, x: torch.zeros_like(x).baddbmm_(x, mixing(x)),
    "einsum": lambda _m, x: torch.einsum("nij,njk->nik", x, mixing(x)),
    "einsum of a list": lambda _m, x: torch.einsum("nij,njk->nik", [x, mixing(x)]),
    "linear": lambda _m, x: torch.stack([F.linear(a, b.T) for a, b in zip(x, mixing(x), strict=True)]),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_product_is_quantized_however_it_is_written(how: str) -> None:
    """The second product of a module; its student is computed by hand."""
    model, x = model_of(WRITTEN[how]), images(1, 8)
    student = with_bounds(quantize(model, W4A4))
    names = [name for name in student.quantizers if "matmul" in name]
    assert names == [f"inner.matmul{number}.{side}" for number in (0, 1) for side in "ab"]
    network = model.network
    with torch.no_grad():
        tokens = F.conv2d(q(x), q(network.head.weight), network.head.bias).flatten(2).transpose(1, 2)
        mixed = q(tokens) @ q(q(tokens.transpose(1, 2)) @ q(tokens) / tokens.shape[1])
        y = F.conv2d(q(mixed.transpose(1, 2).reshape(1, 4, 8, 8)), q(network.tail.weight), network.tail.bias)
        torch.testing.assert_close(student(x), F.pixel_shuffle(y, 2), atol=1e-5, rtol=0)
        with quantizers_off(student):
            assert torch.equal(student(x), model(x))


def attend(_module: nn.Module, x: Tensor, **options) -> Tensor:
    heads = x.view(*x.shape[:2], 2, 2).transpose(1, 2)
    y = F.scaled_dot_product_attention(heads * 3, heads + 1, heads, **options)
    return y.transpose(1, 2).reshape(x.shape)


def test_fused_attention_is_two_products_with_a_softmax_between() -> None:
    model, x = model_of(attend), images(1, 8)
    assert {name: (p.a.input_kind, p.b.input_kind) for name, p in model.products.items()} == {
        "inner.matmul0": ("query", "key"),
        "inner.matmul1": ("softmax", "value"),
    }
    student = quantize(model, W4A4)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(x), model(x))
    seen = observe(student, lambda: [x])["inner.matmul1.a"]
    assert 0 <= seen.minimum < seen.maximum <= 1
    assert seen.count == 2 * 64 * 64
    with_bounds(student)
    for name, quantizer in student.quantizers.items():
        quantizer.enabled = "matmul" in name
    with torch.no_grad():
        heads = model.network.head(x).flatten(2).transpose(1, 2).view(1, 64, 2, 2).transpose(1, 2)
        scores = q(heads * 3 / math.sqrt(2)) @ q((heads + 1).transpose(-2, -1))
        y = (q(torch.softmax(scores, -1)) @ q(heads)).transpose(1, 2).reshape(1, 64, 4)
        y = model.network.tail(y.transpose(1, 2).reshape(1, 4, 8, 8))
        torch.testing.assert_close(student(x), F.pixel_shuffle(y, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": torch.linspace(-2, 2, 35).view(5, 7)},
        {"attn_mask": torch.ones(5, 7).tril(3).bool()},
        {"attn_mask": torch.arange(5)[:, None].expand(5, 7) > 0},
    ],
)
def test_fused_attention_taken_apart_computes_the_same(options) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 7, 6), torch.randn(2, 4, 7, 3)
    fused = FusedAttention(query, key, value, **options).compute(lambda pair: pair, lambda pair: pair)
    torch.testing.assert_close(fused, F.scaled_dot_product_attention(query, key, value, **options))


def test_fused_attention_with_fewer_heads_of_keys() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 6), torch.randn(2, 2, 7, 6), torch.randn(2, 2, 7, 6)
    fused = FusedAttention(query, key, value, enable_gqa=True).compute(lambda pair: pair, lambda pair: pair)
    torch.testing.assert_close(fused, F.scaled_dot_product_attention(query, key, value, enable_gqa=True))


# Parameters


@pytest.mark.parametrize(
    ("function", "name", "of_layer"),
    [
        (lambda m, x: x @ m.matrix, "inner.matmul0.b", False),
        (lambda m, x: (m.matrix @ x.transpose(1, 2)).transpose(1, 2), "inner.matmul0.a", False),
        (lambda m, x: x @ m.matrix.t(), "inner.matmul0.b", False),
        (lambda m, x: x @ m.matrix.T, "inner.matmul0.b", False),
        (lambda m, x: F.linear(x, m.matrix), "inner.matmul0.b", True),
        (lambda m, x: F.linear(input=x, weight=m.matrix), "inner.matmul0.b", True),
    ],
)
def test_a_parameter_in_a_product_is_a_weight(function, name: str, of_layer: bool) -> None:
    model, x = model_of(function), images(1, 8)
    student = quantize(model, Bits.parse("w3a5"))
    site = student.quantizers[name].site
    assert (site.role, site.input_kind, site.layer) == ("weight", "parameter", "linear" if of_layer else None)
    assert student.weights[name] is student.network.inner.matrix
    assert count(student).parameters == {32: 4 + 12, 3: 16 + 12 + 48}
    with_bounds(student)
    with torch.no_grad():
        expected = student(x)
        with cached_quantized_weights(student):
            assert torch.equal(student(x), expected)


def test_a_parameter_that_something_else_reads_is_no_weight() -> None:
    model = model_of(lambda m, x: x @ m.matrix + m.matrix.sum())
    assert model.products == {"inner.matmul0": Product(ProductOperand("conv"), ProductOperand("other"))}
    assert set(quantize(model, W4A4).weights) == {"head.weight", "tail.weight"}


def test_layers_of_derived_classes_and_of_two_names_are_products() -> None:
    class Derived(nn.Linear):
        pass

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.derived, self.one = Derived(4, 4), nn.Linear(4, 4)
            self.other = self.one

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.derived(x))

    model = open_network(Around(Two()), "any", 2)
    assert set(model.products) == {"inner.derived.matmul0", "inner.one.matmul0"}
    assert model.unquantized_ops == ""
    student = quantize(model, W4A4)
    assert count(student).macs.keys() == {4}
    assert {"inner.derived.matmul0.b", "inner.one.matmul0.b"} < set(student.weights)


# Names, numbers, kinds


def test_kinds_of_operands_that_lead_to_no_softmax() -> None:
    model = model_of(lambda _m, x: F.relu(x) @ (F.gelu(x.transpose(1, 2)) @ F.layer_norm(x, (4,))))
    assert [(p.a.input_kind, p.b.input_kind) for p in model.products.values()] == [
        ("gelu", "layernorm"),
        ("relu", "other"),
    ]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda _m, x: torch.softmax((x @ x.transpose(1, 2)) * 2 + 1, -1) @ x, [(False, False), (True, False)]),
        (lambda _m, x: torch.softmax((x * 2) @ (x + 1).transpose(1, 2), -1) @ (x * 3), [(True, True), (True, True)]),
        (lambda _m, x: _read_again(torch.softmax((x * 2) @ x.transpose(1, 2), -1), x), [(True, False), (False, False)]),
        (lambda _m, x: _both(x * 2), [(False, False)]),
    ],
)
def test_only_what_nothing_else_reads_may_be_overwritten(function, expected) -> None:
    model, x = model_of(function), images(1, 8)
    assert [(p.a.inplace, p.b.inplace) for p in model.products.values()] == expected
    student = with_bounds(quantize(model, W4A4))
    with torch.no_grad():
        found = student(x)
        for quantizer in student.quantizers.values():
            quantizer.inplace = False
        assert torch.equal(student(x), found)


class Windows(nn.Module):
    """Attention over windows of 8 x 8: for an image of one window, the rearranged tensor is the image itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.q, self.v, self.tail = nn.Conv2d(3, 4, 1), nn.Linear(4, 4), nn.Linear(4, 4), nn.Conv2d(4, 12, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(image).movedim(1, -1).contiguous()
        n, h, w, c = x.shape
        rows = x.view(n, h // 8, 8, w // 8, 8, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 64, c)
        normal = F.normalize(rows, dim=-1)
        mixed = (rows @ self.q(normal).transpose(1, 2)).softmax(-1) @ self.v(normal)
        mixed = mixed.view(n, h // 8, w // 8, 8, 8, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return F.pixel_shuffle(self.tail((x + mixed).movedim(-1, 1)), 2)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 16), (16, 16)])
def test_what_is_read_again_only_in_a_small_image_is_not_overwritten(size: tuple[int, int]) -> None:
    student = with_bounds(quantize(open_network(Windows(), "any", 2, size_multiple=8), W4A4))
    lr = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = student(lr)
    assert torch.equal(student(lr).detach(), found)  # with gradients nothing is overwritten


def _both(x: Tensor) -> Tensor:
    return x @ x[:, :4]


def _read_again(attention: Tensor, x: Tensor) -> Tensor:
    return attention @ x + attention.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("function", "product"),
    [
        (lambda _m, x: torch.cat([part @ mixing(x) for part in x.split(64, 1)], 1), "inner.matmul8"),
        (lambda _m, x: x @ mixing(x) if x.shape[1] > 256 else x, "inner.matmul0"),
    ],
)
def test_a_product_whose_number_depends_on_the_size_is_refused_by_name(function, product: str) -> None:
    with pytest.raises(SrqError, match=rf"makes the product {product} \d+ times for an image of 16x16 pixels and \d+ "):
        model_of(function)


def test_a_product_that_only_a_larger_image_has_is_refused_when_it_comes() -> None:
    def function(_module: nn.Module, x: Tensor) -> Tensor:
        y = x @ mixing(x)
        return y @ mixing(y) if x.shape[1] > 1000 else y

    model = model_of(function)
    student = with_bounds(quantize(model, W4A4))
    student(images(1, 16))
    with pytest.raises(SrqError, match=r"product inner\.matmul2 depends on the image"):
        student(images(1, 40))
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(images(1, 16)), model(images(1, 16)))  # the error left no mode behind


def test_a_product_that_a_larger_image_lacks_is_refused() -> None:
    model = model_of(lambda _m, x: x @ mixing(x) if x.shape[1] <= 1000 else x)
    student = with_bounds(quantize(model, W4A4))
    with pytest.raises(SrqError, match=r"product inner\.matmul0 depends on the image"):
        student(images(1, 40))


def test_no_mode_stays_after_an_error_in_the_network() -> None:
    def fail(_module: nn.Module, x: Tensor) -> Tensor:
        y = x @ mixing(x)
        if x.shape[0] == 3:
            raise ZeroDivisionError
        return y

    student = with_bounds(quantize(model_of(fail), W4A4))
    with pytest.raises(ZeroDivisionError):
        student(images(3, 8))
    assert torch.overrides._get_current_function_mode() is None
    student(images(1, 8))


@pytest.mark.parametrize("interrupted", ["product", "layer"])
def test_an_interrupt_leaves_no_mode_behind(interrupted: str) -> None:
    """Torch calls no hook after a KeyboardInterrupt; a matrix product of the user would be quantized then."""
    at = {"product": "inner.matmul0.a", "layer": "tail.input"}[interrupted]
    student = with_bounds(quantize(model_of(lambda _m, x: x @ mixing(x)), W4A4))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handle = student.quantizers[at].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt), torch.no_grad():
        student(images(1, 8))
    handle.remove()
    assert torch.overrides._get_current_function_mode() is None
    fresh = with_bounds(quantize(model_of(lambda _m, x: x @ mixing(x)), W4A4))
    with torch.no_grad():
        assert torch.equal(student(images(1, 8)), fresh(images(1, 8)))


def test_threads_may_use_one_student_at_once() -> None:
    student = with_bounds(quantize(model_of(lambda _m, x: torch.softmax(x @ mixing(x), -1) @ mixing(x)), W4A4))
    photos = [images(1, 8 + 2 * number) for number in range(6)]

    def upscaled(photo: Tensor) -> Tensor:
        with torch.no_grad():
            return student(photo)

    alone = [upscaled(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert all(map(torch.equal, pool.map(upscaled, photos), alone))


def test_another_mode_does_not_disturb() -> None:
    class Onlooker(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    class Inside(Of):
        def forward(self, x: Tensor) -> Tensor:
            with Onlooker():
                return self.function(self, x)

    plain, inside = (open_network(Around(kind(WRITTEN["at"])), "any", 2) for kind in (Of, Inside))
    one, other = (with_bounds(quantize(model, W4A4)) for model in (plain, inside))
    with torch.no_grad(), Onlooker():
        assert torch.equal(one(images(1, 8)), other(images(1, 8)))


def test_a_part_of_the_student_that_runs_alone_is_quantized() -> None:
    student = with_bounds(quantize(model_of(WRITTEN["at"]), W4A4))
    x = torch.rand(1, 16, 4) - 0.5
    with torch.no_grad():
        expected = q(x) @ q(q(x.transpose(1, 2)) @ q(x) / 16)
        torch.testing.assert_close(student.network.inner(x), expected, atol=1e-6, rtol=0)
    assert torch.overrides._get_current_function_mode() is None


def test_a_copy_of_the_network_has_quantizers_of_its_own() -> None:
    student = with_bounds(quantize(model_of(WRITTEN["at"]), W4A4))
    twin = copy.deepcopy(student.network)
    x = images(1, 8)
    with torch.no_grad():
        before = student.network(x)
        for name, module in twin.named_modules():
            if name.endswith((".a", ".b")):
                module.set_bounds(Bounds(-0.01, 0.01))
        assert not torch.equal(twin(x), before)
        assert torch.equal(student.network(x), before)


def test_gradients_reach_the_bounds_of_operands() -> None:
    student = with_bounds(quantize(model_of(attend), W4A4))
    for bound in student.bound_parameters():
        bound.requires_grad_()
    student(images(1, 8)).square().mean().backward()
    assert all(bound.grad is not None for bound in student.bound_parameters())
    assert student.quantizers["inner.matmul1.a"].upper.grad != 0


def test_the_state_of_a_student_holds_its_operands() -> None:
    model = model_of(lambda m, x: WRITTEN["at"](m, x) @ m.matrix)
    student = with_bounds(quantize(model, W4A4))
    student.quantizers["inner.matmul1.a"].set_bounds(Bounds(-1.5, 2.5))
    restored = load_state(save_state(student, model), model)
    assert list(restored.quantizers) == list(student.quantizers)
    with torch.no_grad():
        assert torch.equal(restored(images(1, 8)), student(images(1, 8)))


# Weights that layers share


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(F.gelu(self.one(x)))


def test_a_weight_that_two_layers_share_is_quantized_and_counted_once() -> None:
    model, x = open_network(Around(Tied()), "any", 2), images(1, 8)
    student = with_bounds(quantize(model, W4A4))
    assert [name for name in student.quantizers if name.startswith("inner")] == [
        "inner.one.weight", "inner.one.input", "inner.other.input",
    ]  # fmt: skip
    student.quantizers["inner.one.weight"].set_bounds(Bounds(-0.21, 0.17))
    with torch.no_grad():
        expected = student(x)
        with cached_quantized_weights(student):
            assert torch.equal(student(x), expected)
    assert sum(weight.numel() for weight in student.weights.values()) == 12 + 16 + 48
    assert count(student).parameters == {32: 4 + 4 + 4 + 12, 4: 12 + 16 + 48}


@pytest.mark.parametrize(
    ("other", "written"),
    [
        (lambda x, w: F.linear(x, w.t()), lambda x, w: x @ w),
        (lambda x, w: x @ w.T, lambda x, w: x @ w.T),
        (lambda x, w: x @ w, lambda x, w: x @ w),
    ],
)
def test_a_weight_that_is_transposed_too_has_no_channels(other, written) -> None:
    """Rows of the one are columns of the other; the numbers of one range are right in both."""
    model, x = model_of(lambda m, x: other(F.gelu(F.linear(x, m.matrix)), m.matrix)), images(1, 8)
    student = quantize(model, W4A4)
    weight = student.quantizers["inner.matmul0.b"]
    with pytest.raises(SrqError, match=r"site inner\.matmul0\.b has no channels"):
        weight.set_bounds(Bounds(torch.full((4,), -0.3), torch.full((4,), 0.4)))
    weight.set_bounds(Bounds(LOWER, UPPER))
    for name, quantizer in student.quantizers.items():
        quantizer.enabled = name == "inner.matmul0.b"
    with torch.no_grad():
        y = model.network.head(x)
        matrix, tokens = q(model.network.inner.matrix), y.flatten(2).transpose(1, 2)
        tokens = written(F.gelu(tokens @ matrix.T), matrix)
        y = model.network.tail(tokens.transpose(1, 2).reshape(y.shape))
        torch.testing.assert_close(student(x), F.pixel_shuffle(y, 2), atol=1e-5, rtol=0)


def test_numbers_of_a_weight_count_once_however_often_its_layer_runs() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(self.layer(x)))

    elements = site_elements(quantize(open_network(Around(Again()), "any", 2), W4A4))
    pixels = elements["head.input"] // 3
    assert elements["inner.layer.weight"] == 16
    assert elements["inner.layer.input"] == 3 * 4 * pixels


@pytest.mark.parametrize("attribute", ["weight", "bias", "in_channels", "stride"])
def test_code_of_the_network_may_ask_a_layer_what_it_is(attribute: str) -> None:
    network = Around(nn.Identity())
    student = quantize(open_network(network, "any", 2), W4A4)
    mine, its = getattr(student.network.tail, attribute), getattr(network.tail, attribute)
    assert torch.equal(mine, its) if isinstance(its, Tensor) else mine == its
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        student.network.tail.colour  # noqa: B018


def test_a_layer_may_be_called_by_keyword() -> None:
    class ByKeyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(input=x)

    model = open_network(Around(ByKeyword()), "any", 2)
    with torch.no_grad(), quantizers_off(student := quantize(model, W4A4)):
        assert torch.equal(student(images(1, 8)), model(images(1, 8)))


# What is no activation


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_product_of_parameters_alone_stays_in_full_precision(bits: int) -> None:
    """The norm of a weight by power iteration is a constant of a deployed network."""
    network = Around(torch.nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)))
    model = open_network(network, "any", 2)
    student = quantize(model, Bits(weight=bits, activation=bits))
    assert not [name for name in student.quantizers if "parametrizations" in name]
    assert all(product.is_constant for name, product in model.products.items() if "parametrizations" in name)


def test_a_tensor_from_code_that_torch_does_not_show_is_no_constant() -> None:
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x: Tensor) -> Tensor:
            return x * 2

    model = model_of(lambda _m, x: Own.apply(x) @ Own.apply(mixing(x)))
    assert not any(product.is_constant for product in model.products.values())


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64])
def test_products_of_other_numbers_than_real_ones_are_reported_and_not_quantized(kind: torch.dtype) -> None:
    def function(_module: nn.Module, x: Tensor) -> Tensor:
        other = (x * 8).to(kind)
        return x + (other @ other.transpose(1, 2)[..., :4]).real.float()

    model = model_of(function)
    assert not model.products
    student = with_bounds(quantize(model, W4A4))
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(images(1, 8)), model(images(1, 8)))


def test_a_layer_in_full_precision_keeps_the_weight_that_it_shares() -> None:
    network, x = Around(Tied()), images(1, 8)
    model = SRModel("any", 2, network.eval(), {"inner.one": "conv"}, ())
    student = with_bounds(quantize(model, W4A4))
    with torch.no_grad():
        expected = student(x)
        with cached_quantized_weights(student):
            assert torch.equal(student(x), expected)


# Whole architectures


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_every_product_of_an_architecture_is_a_site(name: str, tmp_path: Path) -> None:
    """Torch's own counter of operations knows nothing of modules or functions."""
    model = loaded(name, 2, tmp_path)
    assert model.unquantized_ops == ""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.network(torch.zeros(1, 3, 64, 64))
    assert count(quantize(model, W4A4)).macs == {4: counter.get_total_flops() // 2}
    for product in model.products.values():
        kinds = (product.a.input_kind, product.b.input_kind)
        assert kinds in (("query", "key"), ("softmax", "value")) or product.is_linear


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_without_quantizers_an_architecture_computes_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    model, lr = loaded(name, 2, tmp_path), images(2, SIDE + 3, 24)
    student = quantize(model, W4A4)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), model(lr))
        output, features = student.with_features(lr)
        expected, of_teacher = model.with_features(lr)
    assert torch.equal(output, expected)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(features, of_teacher, strict=True))
