"""The recipe of the sample weights: photos in, files out that the backbones' plugins load."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from sr_ptq_bench.backbones import edsr, swinir
from sr_ptq_bench.data.images.pixels import write_image

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")  # inside BasicSR's SwinIR
TOOL = Path(__file__).parents[2] / "tools" / "train_sample_weights.py"
FEW = ["--batch", "1", "--patch", "16", "--steps", "2", "--fine-steps", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("train_sample_weights", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only wait for each other on patches as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        write_image(tmp_path / "photos" / f"{name}.png", generator.integers(0, 256, (73, 89, 3), dtype=np.uint8))
    return tmp_path / "photos"


def run(tool: Any, *arguments: object) -> str:
    result = CliRunner().invoke(tool.main, [*map(str, arguments), *FEW], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def make_recipe(tool: Any, **values: Any) -> Any:
    few = {"network": "swinir-light", "steps": 2, "batch": 1, "patch": 16, "lr": 6e-4, "seed": 0}
    return tool.Recipe(**few | values)


def test_the_files_load_as_swinir_light(tool: Any, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    output = run(tool, photos, out, "--scales", "3,2", "--validate", photos, "--every", "2")
    assert "x2 step 2" in output and "dB" in output
    assert sorted(path.name for path in out.iterdir()) == ["swinir_light_x2.safetensors", "swinir_light_x3.safetensors"]
    for scale, size in ((2, 910_152), (3, 918_267)):
        path = out / f"swinir_light_x{scale}.safetensors"
        tensors = load_file(path)
        assert sum(tensor.numel() for tensor in tensors.values()) == size
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
        model = swinir.srq_load_model("swinir-light", scale, path)
        assert model is not None
        assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8 * scale, 8 * scale)


def test_the_files_load_as_edsr(tool: Any, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    output = run(tool, photos, out, "--network", "edsr-baseline", "--scales", "2,4", "--validate", photos)
    assert "edsr_baseline_x4 step 1" in output
    for scale, size in ((2, 1_369_859), (4, 1_517_571)):
        path = out / f"edsr_baseline_x{scale}.safetensors"
        tensors = load_file(path)
        assert sum(tensor.numel() for tensor in tensors.values()) == size
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
        assert edsr.srq_load_model("edsr-baseline", scale, path) is not None


def test_all_but_the_upsampler_starts_from_x2(tool: Any, photos: Path, tmp_path: Path) -> None:
    """A learning rate near 0 leaves the weights where they started."""
    run(tool, photos, tmp_path, "--network", "edsr-baseline", "--scales", "2")
    run(tool, photos, tmp_path, "--network", "edsr-baseline", "--scales", "3", "--fine-lr", "1e-30")
    one, other = (load_file(tmp_path / f"edsr_baseline_x{scale}.safetensors") for scale in (2, 3))
    changed = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    assert changed == ["upsample.0.bias", "upsample.0.weight"]


def test_x3_starts_from_x2(tool: Any, photos: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(tool.main, [str(photos), str(tmp_path / "out"), "--scales", "3", *FEW])
    assert result.exit_code == 1
    assert "no weights file" in result.output and "swinir_light_x2" in result.output


def test_a_stopped_training_goes_on_to_the_same_weights(
    tool: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "CHECKPOINT_EVERY", 1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    few = ("--network", "edsr-baseline", "--scales", "2")
    run(tool, photos, whole, *few)
    advance = tool.Training.advance

    def interrupted(training: Any, lr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        if training.step == 1:
            raise KeyboardInterrupt
        loss: torch.Tensor = advance(training, lr, hr)
        return loss

    monkeypatch.setattr(tool.Training, "advance", interrupted)
    result = CliRunner().invoke(tool.main, [str(photos), str(stopped), *few, *FEW])
    assert result.exit_code != 0
    assert {path.name for path in stopped.iterdir()} == {"edsr_baseline_x2.checkpoint", "edsr_baseline_x2.safetensors"}
    monkeypatch.setattr(tool.Training, "advance", advance)
    run(tool, photos, stopped, *few)
    name = "edsr_baseline_x2.safetensors"
    assert (whole / name).read_bytes() == (stopped / name).read_bytes()
    assert [path.name for path in stopped.iterdir()] == [name]


def test_a_training_whose_time_is_over_goes_on_to_the_same_weights(
    tool: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    few = ("--network", "edsr-baseline", "--scales", "2")
    run(tool, photos, whole, *few)
    monkeypatch.setattr(tool.time, "monotonic", iter(range(9)).__next__)
    output = run(tool, photos, stopped, *few, "--minutes", "0.045")  # 2.7 ticks of this clock: one step
    assert "of step 1" in output
    first = load_file(stopped / "edsr_baseline_x2.safetensors")
    monkeypatch.undo()
    run(tool, photos, stopped, *few)
    one, other = (load_file(folder / "edsr_baseline_x2.safetensors") for folder in (whole, stopped))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_a_checkpoint_of_other_arguments_is_refused(tool: Any, photos: Path, tmp_path: Path) -> None:
    recipe = make_recipe(tool, scale=2, seed=1)
    tool.Training(torch.nn.Linear(1, 1), recipe, "cpu").save(tmp_path)
    result = CliRunner().invoke(tool.main, [str(photos), str(tmp_path), "--scales", "2", *FEW])
    assert result.exit_code == 1
    assert "other arguments" in result.output


def test_the_same_place_is_cut_from_lr_and_hr(tool: Any) -> None:
    """Enlarged by repetition, an LR image has its HR crop exactly at the scale's multiple."""
    lr = np.random.default_rng(1).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    hr = lr.repeat(3, 0).repeat(3, 1)
    recipe = make_recipe(tool, scale=3, batch=16, patch=8)
    small, large = tool.Photos([hr], [lr], 3).batch(recipe, 4)
    assert torch.equal(small.repeat_interleave(3, 2).repeat_interleave(3, 3), large)
    assert torch.equal(tool.Photos([hr], [lr], 3).batch(recipe, 4)[0], small)
    assert not torch.equal(tool.Photos([hr], [lr], 3).batch(recipe, 5)[0], small)


def test_the_average_forgets_the_start_and_then_slows_down(tool: Any) -> None:
    averaged = [torch.tensor([1.0])]
    for count in range(1, 101):
        tool.average(averaged, [torch.tensor([0.0])], torch.tensor(count))
    assert 0 < float(averaged[0]) < 1e-6
    averaged = [torch.tensor([1.0])]
    tool.average(averaged, [torch.tensor([0.0])], torch.tensor(10**6))
    assert float(averaged[0]) == pytest.approx(0.999)


def test_the_learning_rate_rises_and_falls_to_zero(tool: Any) -> None:
    recipe = make_recipe(tool, scale=2, steps=7550)
    assert recipe.rate(0) == pytest.approx(1 / 200)
    assert recipe.rate(199) == recipe.rate(200) == 1
    assert recipe.rate(7549) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scales", "2,5"], "expected 2, 3 or 4"),
        (["--patch", "20"], "no multiple of the window"),
        (["--lr", "0"], "not in the range x>0"),
        (["--patch", "64"], "too small for patches of 64"),
    ],
)
def test_impossible_arguments_are_one_line(
    tool: Any, photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = CliRunner().invoke(tool.main, [str(photos), str(tmp_path / "out"), *FEW, *arguments])
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert not (tmp_path / "out").exists()
