"""A network that is loaded is one whose quantized copy, with its quantizers off, computes the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_ptq_bench import Bits, SRModel
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.hooks.check_model import check_model
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.tracing.open_network import open_network


class Upscaler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.norm, self.tail = nn.Conv2d(3, 4, 3, padding=1), nn.LayerNorm(4), nn.Conv2d(4, 12, 3, padding=1)
        self.seen: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.tail(self.norm(self.head(x).movedim(1, -1)).movedim(-1, 1)), 2)


def doubled(*arguments: Tensor) -> Tensor:
    return 2 * arguments[-1]


def with_hook(network: Upscaler) -> None:
    network.head.register_forward_hook(doubled)


def with_hook_before(network: Upscaler) -> None:
    network.tail.register_forward_pre_hook(lambda _, args: (2 * args[0],))


def with_forward_of_its_own(network: Upscaler) -> None:
    plain = network.head.forward
    network.head.forward = lambda x: 2 * plain(x)  # type: ignore[method-assign]


def checked(change: Callable[[Upscaler], None]) -> None:
    network = Upscaler()
    change(network)
    check_model("mine", open_network(network, "any", 2), 2)


class Viewer(Upscaler):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.view(*x.shape[:2], -1).mean(-1)[..., None, None]


def test_a_network_may_need_contiguous_images():
    check_model("mine", open_network(Viewer(), "any", 2), 2)


@pytest.mark.parametrize(
    ("change", "layer"), [(with_hook, "head"), (with_hook_before, "tail"), (with_forward_of_its_own, "head")]
)
def test_what_a_quantized_layer_would_lose_is_named(change, layer):
    with pytest.raises(SrqError, match=f"plugin 'mine': .* another output; {layer} has hooks or a forward of its own"):
        checked(change)


def test_hooks_that_change_nothing_are_no_fault():
    checked(lambda network: network.head.register_forward_hook(lambda *_: None))
    checked(lambda network: torch.nn.utils.parametrizations.weight_norm(network.tail))


def test_a_function_that_holds_a_module_of_the_original_is_found():
    """The copy would run the norm of the original, and no training of its own norm would change anything."""

    def held(network: Upscaler) -> None:
        norm = network.norm

        def through(x: Tensor) -> Tensor:
            return norm(x)

        network.norm = nn.Identity()  # type: ignore[assignment]
        network.real = norm
        network.norm.forward = through  # type: ignore[method-assign]

    with pytest.raises(SrqError, match="does not call its own real; does a function hold the module"):
        checked(held)


def test_a_network_that_draws_random_numbers_is_no_fault():
    class Noisy(Upscaler):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 0.1 * torch.rand_like(x))

    model = open_network(Noisy(), "any", 2)
    before = torch.get_rng_state()
    check_model("mine", model, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_in_training_mode_is_refused():
    model = open_network(Upscaler(), "any", 2)
    model.network.train()
    with pytest.raises(SrqError, match=r"plugin 'mine': the model's network is in training mode; call its eval\(\)"):
        check_model("mine", model, 2)


def test_a_part_in_training_mode_is_named():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval().requires_grad_(False)
    network[1].train()
    model = SRModel("part", 1, network, {"0": "image"}, ())
    with pytest.raises(SrqError, match="plugin 'mine': the model's network is in training mode, in 1; call its eval"):
        check_model("mine", model, 1)


class Attention(nn.Module):
    """A fused attention of heads over tokens, large enough that torch rounds it otherwise than two products."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.qkv = nn.Linear(3, 48)

    def forward(self, x):
        q, k, v = self.qkv(x.flatten(2).mT).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + mixed.transpose(1, 2).flatten(2)[..., :3].mT.view(x.shape)


def test_a_fused_attention_is_no_fault():
    network = Attention().eval().requires_grad_(False)
    model = open_network(network, "attention", 1)
    assert {"matmul0.a", "matmul1.b"} <= set(quantize(model, Bits.parse("4")).quantizers)
    check_model("mine", model, 1)


def test_a_layer_without_numbers_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on zero-element tensors
        network = nn.Sequential(nn.Conv2d(3, 0, 1), nn.Conv2d(0, 12, 1), nn.PixelShuffle(2))
    with pytest.raises(SrqError, match="plugin 'mine': the model's layer '0' has a weight without numbers"):
        check_model("mine", SRModel("any", 2, network.eval(), {"0": "image", "1": "conv"}, ()), 2)


def test_an_error_of_the_network_is_one_line():
    class Failing(Upscaler):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError("no pixel")

    model = SRModel("any", 2, Failing().eval(), {}, ())
    with pytest.raises(SrqError, match=r"plugin 'mine': the network fails on a small image of noise: ZeroDivision"):
        check_model("mine", model, 2)


class Remembering(Upscaler):
    """Counts its passes in a buffer or beside it; `effect` is what each pass adds to the output."""

    def __init__(self, persistent: bool, effect: float) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()), persistent=persistent)
        self.effect, self.plain = effect, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.plain += 1
        return super().forward(x) + self.effect * self.plain


@pytest.mark.parametrize("persistent", [False, True])
def test_a_network_whose_passes_change_the_next_is_refused(persistent):
    with pytest.raises(SrqError, match="plugin 'mine': the network's output for an image depends on earlier images"):
        check_model("mine", open_network(Remembering(persistent, 0.01), "any", 2), 2)


def test_a_network_whose_passes_change_its_state_is_refused_by_name():
    with pytest.raises(SrqError, match="plugin 'mine': a pass writes to the network's buffer 'passes'; register it"):
        check_model("mine", open_network(Remembering(True, 0), "any", 2), 2)
    check_model("mine", open_network(Remembering(False, 0), "any", 2), 2)


def test_a_buffer_that_noise_no_longer_changes_is_found():
    class Seen(Upscaler):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("bright", torch.zeros((), dtype=torch.bool))

        def forward(self, x: Tensor) -> Tensor:
            self.bright |= (x > 0.5).any()
            return super().forward(x) + self.bright

    with pytest.raises(SrqError, match="plugin 'mine': a pass writes to the network's buffer 'bright'"):
        check_model("mine", open_network(Seen(), "any", 2), 2)
