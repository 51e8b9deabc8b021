"""Sites that read one tensor, and sites that only seem to."""

from __future__ import annotations

import pytest
import torch
from exact import eighths, integers
from oracle import images, tiny_teacher
from torch import Tensor, nn

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.distribution import BINS
from sr_ptq_bench.quantization.network import SRModel
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize


def test_query_key_and_value_layers_share_their_input():
    student = quantize(tiny_teacher(), Bits(weight=4, activation=4))
    seen = observe(student, lambda: [images(1, 16)])
    for name in student.quantizers:
        if name.endswith("qkv.q.input"):
            assert seen[name] is seen[name.replace("qkv.q", "qkv.k")] is seen[name.replace("qkv.q", "qkv.v")]
            assert seen[name] is not seen[name.replace("qkv.q.input", "proj.input")]


class Twice(nn.Module):
    """One layer that is used on the same tensor twice in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = integers(nn.Conv2d(3, 3, 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.layer(x)


def test_a_layer_that_is_used_twice_on_one_tensor():
    student = quantize(SRModel("twice", 1, Twice(), {"layer": "image"}, ()), Bits(weight=4, activation=4))
    seen = observe(student, lambda: [eighths(1)])["layer.input"]
    assert (seen.minimum, seen.maximum) == (0.0, 1.0)
    assert seen.count > 0


class Again(nn.Module):
    """Three layers read one tensor; one of them runs again on another."""

    def __init__(self, again: str) -> None:
        super().__init__()
        self.first, self.second, self.third = (integers(nn.Conv2d(3, 3, 1), seed) for seed in (1, 2, 3))
        self.again = again

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x) + self.second(x) + self.third(x)
        return self.get_submodule(self.again)(y)


class Overwrites(nn.Module):
    """Between two layers that read one tensor it is overwritten."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = (integers(nn.Conv2d(3, 3, 1), seed) for seed in (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        y = self.first(x)
        if self.how == "in place":
            x.mul_(3).sub_(1)
        elif self.how == "through a view":
            x[:, :, 0].fill_(9)
        else:
            x.data.mul_(3)
        return y + self.second(x)


class InferenceMode(Again):
    """As the network of its base, in inference mode, where tensors have no versions."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return super().forward(x)


def inputs_of(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """All that every layer reads, joined: what the sites are, found without quantizers."""
    read: dict[str, list[Tensor]] = {}
    for name, layer in network.named_children():
        layer.register_forward_pre_hook(lambda _m, args, name=name: read.setdefault(name, []).append(args[0].clone()))
    with torch.no_grad():
        network(x)
    return {name: torch.cat([v.flatten() for v in tensors]) for name, tensors in read.items()}


@pytest.mark.parametrize(
    "make",
    [
        *(lambda again=again: Again(again) for again in ("first", "second", "third")),
        *(lambda how=how: Overwrites(how) for how in ("in place", "through a view", "past its version")),
        lambda: InferenceMode("second"),
    ],
)
@pytest.mark.parametrize("images_at_once", [1, 3])
def test_every_site_has_the_distribution_of_what_it_reads(make, images_at_once):
    network, x = make(), eighths(3)
    layers = dict.fromkeys((name for name, _ in network.named_children()), "image")
    student = quantize(SRModel("any", 1, network, layers, ()), Bits(weight=2, activation=2))
    seen = observe(student, lambda: x.split(images_at_once))
    for name, v in inputs_of(make(), x).items():
        found = seen[f"{name}.input"]
        assert (found.minimum, found.maximum, found.count) == (v.min(), v.max(), v.numel())
        values = found.values.repeat_interleave(found.bin_counts.long())
        torch.testing.assert_close(values, v.double().sort().values, rtol=0, atol=float(v.max() - v.min()) / BINS)
