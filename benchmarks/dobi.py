"""DOBI on one activation: prefix sums of a histogram against K passes over the tensor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from benchmarks.compare import Row, seconds
from benchmarks.naive import search
from sr_ptq_bench import Distribution, Site
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method

if TYPE_CHECKING:
    from sr_ptq_bench.quantization.quantizer import InputKind

BITS = (2, 3, 4)
ELEMENTS = 50_000_000
EVERY = 10  # the K passes are timed on every tenth candidate; all of them would take an hour


def rows() -> list[Row]:
    """The speed on 50 million elements, and the winners on four kinds of data."""
    return [_speed(), _same_winners()]


def _speed() -> Row:
    v = torch.randn(ELEMENTS, generator=torch.Generator().manual_seed(0))
    site, method = Site("v", "activation", "linear"), resolve_method(Plugins(), "dobi", {})

    def ours() -> None:
        distribution = Distribution.of_tensor(v)
        for bits in BITS:
            method.init_bounds(site, distribution, bits)

    ours()
    fast = min(seconds(ours) for _ in range(5))
    slow = sum(seconds(partial(search, v, bits, False, every=EVERY)) for bits in BITS) / 11 * 101
    return Row(
        "DOBI, one activation of 50 million elements, 2, 3 and 4 bits",
        "K passes (11 of 101 timed, scaled up) / histogram of 65,536 bins",
        f"{slow:.0f} s",
        f"{fast:.3f} s",
        f"{slow / fast:.0f}x faster",
        ">= 80x",
    )


def _same_winners() -> Row:
    method = resolve_method(Plugins(), "dobi", {})
    trials = equal = 0
    gap = 0.0
    for seed in range(3):
        for input_kind, v in _kinds(seed).items():
            distribution = Distribution.of_tensor(v)
            span = distribution.maximum - distribution.minimum
            for bits in BITS:
                best, errors = search(v.double(), bits, input_kind in ("softmax", "gelu"))
                bounds = method.init_bounds(Site("v", "activation", input_kind), distribution, bits)
                ours = round((distribution.maximum - float(bounds.upper)) / span * 200)
                trials, equal = trials + 1, equal + (ours == best)
                gap = max(gap, float(errors[ours] / errors[best]) - 1)
    return Row(
        "the same winner on normal, Laplace, GELU and softmax data",
        "K passes in float64 / histogram",
        "",
        "",
        f"{equal} of {trials}",
        "all",
        f"error of a differing winner at most {gap:.1e} larger",
    )


def _kinds(seed: int) -> dict[InputKind, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(300_000, generator=generator)
    laplace = torch.rand(300_000, generator=generator).log() * normal.sign()
    return {
        "linear": normal,
        "layernorm": laplace,
        "gelu": torch.nn.functional.gelu(normal),
        "softmax": (3 * normal).view(-1, 60).softmax(-1).flatten(),
    }
