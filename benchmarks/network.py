"""The networks that the benchmarks share: SwinIR-light with this project's weights, x2, unless another is asked for."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.naive import NaiveQuantizer
from sr_ptq_bench import Bits, SRModel, Student
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.runs.environment import keep_freed_memory


def teacher(scale: int = 2, backbone: str = "swinir-light") -> SRModel:
    """The full-precision network."""
    keep_freed_memory()
    spec = find_spec("sr_ptq_bench")
    assert spec is not None and spec.origin is not None
    weights = Path(spec.origin).parent / f"weights/{backbone.replace('-', '_')}_x{scale}.safetensors"
    return Plugins().load_model(backbone, scale, weights)[0]


def patches(count: int, size: int = 64) -> torch.Tensor:
    """Noise with an image's smoothness: (N, 3, S, S) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, size // 8 + 1, size // 8 + 1, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


def student(model: SRModel, naive: bool = False, bits: str = "2") -> Student:
    """The student with DOBI's bounds from four patches."""
    made = quantize(model, Bits.parse(bits), NaiveQuantizer if naive else None)
    distributions = observe(made, partial(patches(4).split, 4))
    method = resolve_method(Plugins(), "dobi", {})
    for name, quantizer in made.quantizers.items():
        quantizer.set_bounds(method.init_bounds(quantizer.site, distributions[name], quantizer.bits))
    return made
