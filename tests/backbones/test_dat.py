"""DAT-light is the official network: its published scores come back, and every layer and product of it is a site."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch
from oracle import images

import sr_ptq_bench
from sr_ptq_bench.backbones.spandrel import DAT_LIGHT, srq_load_model
from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.evaluation.score import network_upscaler, score_datasets
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.progress import no_progress
from sr_ptq_bench.protocol.suite import DataSource, Suite
from sr_ptq_bench.quantization.network import SRModel
from sr_ptq_bench.tables.published_scores import read_published

WEIGHTS = Path(sr_ptq_bench.__file__).parent / "weights"
COMMITTED = Path(__file__).parents[2] / "leaderboards/published.csv"
SCALES = (2, 3, 4)


@cache
def dat_light(scale: int) -> SRModel:
    model = srq_load_model(name=DAT_LIGHT, scale=scale, weights=WEIGHTS / f"dat_light_x{scale}.safetensors")
    assert model is not None
    return model


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "scale"),
    [
        pytest.param(name, scale, marks=() if (name, scale) == ("Set5", 4) else pytest.mark.complete)
        for name in ("Set5", "Set14")
        for scale in SCALES
    ],
)
def test_the_published_score_comes_back_to_the_printed_digit(name: str, scale: int, benchmark_data: Path) -> None:
    (published,) = (
        score.psnr
        for score in read_published(COMMITTED)
        if (score.model, score.scale, score.dataset) == (DAT_LIGHT, scale, name)
    )
    source = DataSource(hr=benchmark_data / name / "HR", lr=str(benchmark_data / name / f"LR_bicubic/X{scale}"))
    tests = {name: load_dataset(name, source, scale, {})}
    scores = score_datasets(network_upscaler(dat_light(scale), None, 0), tests, scale, Plugins([]), no_progress)
    assert round(scores[name].mean["psnr"], 2) == published


@pytest.mark.parametrize("suite", ["sample", "set5-set14"])
@pytest.mark.parametrize("scale", SCALES)
def test_the_suites_have_it_at_every_scale(suite: str, scale: int) -> None:
    path = Suite.load(suite).with_model(DAT_LIGHT).weights[scale]
    assert isinstance(path, Path)
    assert path.resolve() == (WEIGHTS / f"dat_light_x{scale}.safetensors").resolve()


@pytest.mark.parametrize("scale", SCALES)
def test_the_model_card_names_the_file(scale: int) -> None:
    name = f"dat_light_x{scale}.safetensors"
    digest = hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest()
    parameters = sum(p.numel() for p in dat_light(scale).network.parameters())
    assert f"| `{name}` | {parameters:,} | `{digest}` |" in (WEIGHTS / "README.md").read_text(encoding="utf-8")


def test_the_features_are_the_outputs_of_the_blocks() -> None:
    model = dat_light(2)
    assert model.features == tuple(f"layers.0.blocks.{block}" for block in range(18))
    with torch.no_grad():
        output, features = model.with_features(images(1, 16, 24))
    assert output.shape == (1, 3, 32, 48)
    assert [feature.shape for feature in features] == [(1, 16 * 24, 60)] * 18


def test_what_each_scope_quantizes() -> None:
    model = dat_light(2)
    assert model.scope == "linear"
    kinds = Counter(type(model.network.get_submodule(name)).__name__ for name in model.input_kinds)
    depthwise = [
        name for name in model.input_kinds
        if getattr(model.network.get_submodule(name), "groups", 1) > 1
    ]  # fmt: skip
    assert len(depthwise) == 36  # one in the gate and one in the attention of each block
    blocks = {re.sub(r"\d+", "*", name) for name in model.input_kinds if ".blocks." in name}
    assert kinds["Linear"] > 18 * 4
    assert "layers.*.blocks.*.ffn.sg.conv" in blocks
