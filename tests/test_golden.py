"""Reference bounds and scores of the released code, on images that are not part of the project."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from srq_2dquant.dobi import Options, srq_init_bounds

from sr_ptq_bench.backbones.swinir import srq_load_model
from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.pixels import read_image
from sr_ptq_bench.data.patches import to_image, to_tensor
from sr_ptq_bench.evaluation.score import network_upscaler, score_datasets
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.suite import SUITES, DataSource
from sr_ptq_bench.quantization.network import with_padding
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import cached_quantized_weights

if TYPE_CHECKING:
    from sr_ptq_bench.quantization.student import Student

pytestmark = pytest.mark.data

WEIGHTS = SUITES.parents[1] / "weights" / "swinir_light_x2.safetensors"
OPERANDS = {"query": "q", "key": "k", "value": "v", "attention": "a"}
OFFICIAL = "SRQ_OFFICIAL_X2"


@pytest.fixture
def golden(benchmark_data: Path) -> Path:
    """The folder of reference files beside the images."""
    folder = benchmark_data.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no reference files in {folder}")
    return folder


@pytest.fixture
def reference(golden: Path) -> dict:
    """Bounds and scores of the two-sided search, W4A4."""
    return json.loads((golden / "dobi_official_x2_w4a4.json").read_text())


def released_name(site: str) -> str:
    """The name that the released code gives to one of our sites."""
    site = re.sub(r"\.weight$", ".weight_quantizer", re.sub(r"\.input$", ".act_quantizer", site))
    return re.sub(r"attn\.(query|key|value|attention)$", lambda m: f"attn.mymodule_{OPERANDS[m[1]]}", site)


@cache
def initialised(golden: Path) -> tuple[Student, dict[str, float]]:
    """The student with DOBI's bounds, and the width of one search step per site."""
    teacher = srq_load_model(name="swinir-light", scale=2, weights=WEIGHTS)
    student = quantize(teacher, Bits(weight=4, activation=4))
    patches = load_file(golden / "dobi_calibration_x2.safetensors")["patches"][:4]
    distributions = observe(student, lambda: patches.split(2))
    options = Options.parse({"preset": "official"})
    for name, quantizer in student.quantizers.items():
        where = {"site": quantizer.site, "distribution": distributions[name], "bits": 4}
        found = srq_init_bounds(**where, output_cost=None, options=options)
        quantizer.set_bounds(found)
    return student, {name: (d.maximum - d.minimum) / 200 for name, d in distributions.items()}


def differences(student: Student, reference: dict, role: str) -> dict[str, float]:
    bounds = {name: q.bounds.tensors() for name, q in student.quantizers.items() if q.site.role == role}
    return {
        name: max(abs(float(end) - x) for end, x in zip(ends, reference["bounds"][released_name(name)], strict=True))
        for name, ends in bounds.items()
    }


def test_the_sites_are_those_of_the_released_code(golden, reference):
    assert {released_name(name) for name in initialised(golden)[0].quantizers} == set(reference["bounds"])


def test_weight_bounds_are_those_of_the_released_code(golden, reference):
    found = differences(initialised(golden)[0], reference, "weight")
    print(f"weights: {len(found)} sites, largest difference {max(found.values()):.3g}")
    assert len(found) == 144
    assert max(found.values()) <= 1e-5


def test_activation_bounds_are_within_one_step_of_the_search(golden, reference):
    student, step = initialised(golden)
    found = differences(student, reference, "activation")
    steps = {name: difference / step[name] for name, difference in found.items()}
    print(f"activations: {len(found)} sites, largest difference {max(steps.values()):.3g} steps,")
    print(f"{sum(s < 0.01 for s in steps.values())} within a hundredth of a step")
    assert len(steps) == 240
    assert max(steps.values()) <= 1.01


def psnr_and_ssim(folder: Path, name: str, student: Student) -> tuple[float, float]:
    source = DataSource(hr=folder / name / "HR", lr=str(folder / name / "LR_bicubic" / "X{scale}"))
    with cached_quantized_weights(student):
        scores = score_datasets(
            network_upscaler(student.model, None, 0),
            {name: load_dataset(name, source, 2)},
            2,
            Plugins(),
            lambda *_args, **_more: None,
        )
    return scores[name].mean["psnr"], scores[name].mean["ssim"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_scores_are_those_of_the_released_code(name, benchmark_data, golden, reference):
    psnr, ssim = psnr_and_ssim(benchmark_data, name, initialised(golden)[0])
    expected = reference["scores_psnr_ssim"][name]
    print(f"{name}: {psnr:.4f}/{ssim:.4f}, expected {expected[0]}/{expected[1]}")
    assert psnr == pytest.approx(expected[0], abs=0.02)
    assert ssim == pytest.approx(expected[1], abs=5e-4)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_official_checkpoint_gives_the_official_images(size, golden):
    """The SwinIR release pads a whole window more; its images are reproduced to one grey level."""
    if not os.environ.get(OFFICIAL):
        pytest.skip(f"{OFFICIAL} names no official x2 checkpoint")
    teacher = srq_load_model(name="swinir-light", scale=2, weights=Path(os.environ[OFFICIAL]))
    lr, expected = (
        read_image(golden / "official_swinir_light_x2" / f"{end}_{size}x{size}.png") for end in ("in", "out")
    )
    with torch.inference_mode():
        sr = to_image(with_padding(teacher, "window")(to_tensor(lr[None])))
    assert sr.shape == expected.shape
    assert int(np.abs(sr.astype(int) - expected.astype(int)).max()) <= 1
