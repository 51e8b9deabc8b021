"""Train the weights of suite `sample`: photos in, one safetensors file per scale out.

L1 loss, Adam, a warm-up and a cosine, gradients clipped, and an exponential average of the weights, which is what is
kept. x2 starts from nothing; x3 and x4 start from x2 except for the upsampler. Every checkpoint also writes the average
of that step. A run that is stopped goes on from its last checkpoint in OUT when it is started again with the same
arguments.
"""

from __future__ import annotations

import io
import math
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sr_ptq_bench import SRModel, SrqError, fill
from sr_ptq_bench.backbones import edsr, swinir
from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.folder import list_images
from sr_ptq_bench.data.images.pixels import read_image
from sr_ptq_bench.data.patches import to_tensor
from sr_ptq_bench.data.resize import crop_to_multiple, downscale
from sr_ptq_bench.evaluation.metrics import srq_evaluate
from sr_ptq_bench.evaluation.score import network_upscaler
from sr_ptq_bench.protocol.suite import DataSource
from sr_ptq_bench.runs.environment import choose_device
from sr_ptq_bench.storage.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sr_ptq_bench.data.images.pixels import Image

MULTIPLE = 12  # of HR height and width, so that one crop serves x2, x3 and x4
WINDOWS = {"swinir-light": swinir.WINDOW, "edsr-baseline": 1}
STORED = {"swinir-light": torch.float32, "edsr-baseline": torch.float16}
"""float16 keeps the wheel under 30 MB; EDSR-baseline's PSNR moves by less than 0.001 dB."""
EMA = 0.999
CHECKPOINT_EVERY = 500
POSITIVE = click.FloatRange(0, min_open=True)
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


@dataclass(frozen=True)
class Recipe:
    """What decides the weights of one scale, apart from the photos and the weights that it starts from."""

    network: str
    scale: int
    steps: int
    batch: int
    patch: int
    lr: float
    seed: int

    @property
    def stem(self) -> str:
        """How the files of this training are called."""
        return f"{self.network.replace('-', '_')}_x{self.scale}"

    @cached_property
    def warm_up(self) -> int:
        """Steps of rising learning rate: 200, or a twentieth of a short training."""
        return max(1, min(200, self.steps // 20))

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step: a line from 0 to 1, then a cosine back to 0."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - self.warm_up) / max(1, self.steps - self.warm_up)))


@dataclass(frozen=True)
class Photos:
    """HR images and the LR images made from them, (H, W, 3) uint8 each."""

    hr: Sequence[Image]
    lr: Sequence[Image]
    scale: int

    @classmethod
    def of(cls, hr: Sequence[Image], scale: int, patch: int) -> Photos:
        """Make the LR images; raises SrqError where one is smaller than a patch."""
        lr = [downscale(image, scale) for image in hr]
        small = min(min(image.shape[:2]) for image in lr)
        if small < patch:
            raise SrqError(f"a photo is {small} pixels wide at 1/{scale}, too small for patches of {patch}")
        return cls(hr, lr, scale)

    def batch(self, recipe: Recipe, step: int) -> tuple[Tensor, Tensor]:
        """LR and HR patches (B, 3, S, S) in [0, 1], a function of seed, scale and step alone."""
        generator = np.random.default_rng([recipe.seed, recipe.scale, step])
        pairs = [self._crop(generator, recipe.patch) for _ in range(recipe.batch)]
        lr, hr = (to_tensor(np.stack(side)) for side in zip(*pairs, strict=True))
        return lr, hr

    def _crop(self, generator: np.random.Generator, size: int) -> tuple[Image, Image]:
        index = int(generator.integers(len(self.lr)))
        lr, s = self.lr[index], self.scale
        top, left = (int(generator.integers(length - size + 1)) for length in lr.shape[:2])
        turns, flip = int(generator.integers(4)), bool(generator.integers(2))
        small = lr[top : top + size, left : left + size]
        large = self.hr[index][s * top : s * (top + size), s * left : s * (left + size)]
        small, large = np.rot90(small, turns), np.rot90(large, turns)
        return (small[:, ::-1], large[:, ::-1]) if flip else (small, large)


def read_photos(folders: Sequence[Path]) -> list[Image]:
    """All photos of the folders, cropped to a multiple of 12 so that x2, x3 and x4 share them."""
    paths = [path for folder in folders for path in list_images(folder)]
    return [np.ascontiguousarray(crop_to_multiple(read_image(path), MULTIPLE)) for path in paths]


def new_network(recipe: Recipe) -> nn.Module:
    """The network with fresh weights; SwinIR's attention masks are built for the training patch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.network == "swinir-light":
            return swinir.new_network(recipe.scale, recipe.patch)
        return edsr.new_network(recipe.network, recipe.scale)


def start_from(network: nn.Module, recipe: Recipe, weights: Path) -> None:
    """Take over all weights of the same network at x2 except the upsampler's."""
    twin = new_network(replace(recipe, scale=2))
    fill(twin, weights, rebuilt=swinir.REBUILT)
    kept = {name: p for name, p in twin.named_parameters() if not name.startswith("upsample.")}
    network.load_state_dict(kept, strict=False)


def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
    """Average exponentially, with a decay that rises to EMA over the steps: the first ones are soon forgotten."""
    decay = min(EMA, (1 + int(count)) / (10 + int(count)))
    get_ema_multi_avg_fn(decay)(averaged, current, count)


class Training:
    """One network in training: everything that a checkpoint must hold."""

    def __init__(self, network: nn.Module, recipe: Recipe, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.network = network.to(device, memory_format=torch.channels_last).train()
        self.average = AveragedModel(self.network, multi_avg_fn=average)
        self.adam = torch.optim.Adam(self.network.parameters(), recipe.lr, (0.9, 0.99))
        self.step = 0

    def advance(self, lr: Tensor, hr: Tensor) -> Tensor:
        """One step of Adam; the loss."""
        for group in self.adam.param_groups:
            group["lr"] = self.recipe.lr * self.recipe.rate(self.step)
        lr, hr = lr.to(self.device, non_blocking=True), hr.to(self.device, non_blocking=True)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            sr = self.network(lr)
        loss = F.l1_loss(sr.float(), hr)
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.adam.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return loss.detach()

    def save(self, out: Path) -> None:
        """Write the averaged weights and, until the last step, a checkpoint; each whole or not at all."""
        write_atomically(self.weights(out), save(self.parameters()))
        if self.step == self.recipe.steps:
            self.checkpoint(out).unlink(missing_ok=True)
            return
        content = io.BytesIO()
        state = {"recipe": asdict(self.recipe), "step": self.step}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        torch.save(state | parts, content)
        write_atomically(self.checkpoint(out), content.getvalue())

    def resume(self, out: Path) -> None:
        """Go on from a checkpoint; raises SrqError if it was made with other arguments."""
        path = self.checkpoint(out)
        if not path.exists():
            return
        state = torch.load(path, self.device, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise SrqError(f"{path} was made with other arguments, {state['recipe']}; remove it to start again")
        self.step = state["step"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "adam": self.adam}

    def weights(self, out: Path) -> Path:
        """The file that is kept."""
        return out / f"{self.recipe.stem}.safetensors"

    def checkpoint(self, out: Path) -> Path:
        """The file that a stopped training goes on from."""
        return out / f"{self.recipe.stem}.checkpoint"

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights."""
        network: nn.Module = self.average.module
        return network

    def parameters(self) -> dict[str, Tensor]:
        """The averaged weights under BasicSR's names, as they are stored, on the CPU."""
        stored = STORED[self.recipe.network]
        return {name: p.detach().to("cpu", stored).contiguous() for name, p in self.averaged.named_parameters()}


@dataclass(frozen=True)
class Pace:
    """When a training stops, and how often it is scored: `end` on the monotonic clock, `every` in steps."""

    end: float
    every: int
    validate: Path | None


def train(training: Training, photos: Photos, out: Path, pace: Pace) -> None:
    """Run the remaining steps, with a bar on stderr, a checkpoint now and then, and a score every so often."""
    recipe = training.recipe
    score = validation(training, pace.validate) if pace.validate else None
    with Progress(*COLUMNS, console=Console(stderr=True)) as bar:
        task = bar.add_task(recipe.stem, total=recipe.steps, completed=training.step)
        while training.step < recipe.steps and time.monotonic() < pace.end:
            training.advance(*photos.batch(recipe, training.step))
            bar.update(task, completed=training.step)
            if training.step % CHECKPOINT_EVERY == 0:
                training.save(out)
            if score and (training.step % pace.every == 0 or training.step == recipe.steps):
                bar.console.print(f"{recipe.stem} step {training.step}: {score()}")
    training.save(out)


def validation(training: Training, folder: Path) -> Callable[[], str]:
    """A function that scores the averaged network on a folder of HR images."""
    name, scale = training.recipe.network, training.recipe.scale
    pairs = load_dataset("validation", DataSource(hr=folder), scale)

    def score() -> str:
        network = training.averaged.eval()
        model = SRModel(name, scale, network, {}, (), size_multiple=WINDOWS[name])
        upscaler = network_upscaler(model, None, training.recipe.seed)
        scores = [srq_evaluate(upscaler(pair.lr), pair.hr, scale) for pair in pairs]
        psnr, ssim = (sum(of[key] for of in scores) / len(scores) for key in ("psnr", "ssim"))
        return f"{psnr:.3f} dB, {ssim:.4f}"

    return score


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--network", default="swinir-light", show_default=True, type=click.Choice([*WINDOWS]), help="What to train."
)
@click.option("--scales", default="2,3,4", show_default=True, help="Scales to train, separated by commas.")
@click.option("--steps", default=7550, show_default=True, type=click.IntRange(1), help="Steps of x2.")
@click.option("--fine-steps", default=1950, show_default=True, type=click.IntRange(1), help="Steps of x3 and of x4.")
@click.option("--lr", default=6e-4, show_default=True, type=POSITIVE, help="Learning rate of x2.")
@click.option("--fine-lr", default=4e-4, show_default=True, type=POSITIVE, help="Learning rate of x3 and of x4.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1), help="LR patches a step.")
@click.option("--patch", default=32, show_default=True, type=click.IntRange(16), help="Side of an LR patch in pixels.")
@click.option("--minutes", default=math.inf, type=POSITIVE, help="Stop after so long; start again to go on.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of all randomness.")
@click.option("--validate", type=click.Path(path_type=Path), metavar="HR_DIR", help="Score on these HR images.")
@click.option("--every", default=500, show_default=True, type=click.IntRange(1), help="Steps between two scores.")
def main(
    photos: tuple[Path, ...],
    out: Path,
    network: str,
    scales: str,
    steps: int,
    fine_steps: int,
    lr: float,
    fine_lr: float,
    batch: int,
    patch: int,
    minutes: float,
    device: str,
    seed: int,
    validate: Path | None,
    every: int,
) -> None:
    """Train a network on the photos in the folders PHOTOS; write OUT/swinir_light_x2.safetensors and so on.

    \b
    python tools/train_sample_weights.py photos weights
    python tools/train_sample_weights.py photos weights --network edsr-baseline --steps 20000
    """
    try:
        if patch % WINDOWS[network]:
            raise SrqError(f"patch {patch} is no multiple of the window, {WINDOWS[network]}")
        where, pace = choose_device(device), Pace(time.monotonic() + 60 * minutes, every, validate)
        recipes = [
            Recipe(
                network, scale, steps if scale == 2 else fine_steps, batch, patch, lr if scale == 2 else fine_lr, seed
            )
            for scale in parse_scales(scales)
        ]
        hr = read_photos(photos)
        for recipe in recipes:
            make(recipe, hr, out, where, pace)
    except SrqError as error:
        raise click.ClickException(str(error)) from error


def parse_scales(text: str) -> list[int]:
    """Read `2,3,4`, in ascending order because x2 comes first; raises SrqError."""
    if not all(part.strip() in ("2", "3", "4") for part in text.split(",")):
        raise SrqError(f"scales '{text}'; expected 2, 3 or 4, separated by commas")
    return sorted({int(part) for part in text.split(",")})


def make(recipe: Recipe, hr: Sequence[Image], out: Path, device: str, pace: Pace) -> None:
    """Train one scale, or as much of it as there is time for."""
    if time.monotonic() > pace.end:
        return
    network = new_network(recipe)
    if recipe.scale != 2:
        start_from(network, recipe, out / f"{replace(recipe, scale=2).stem}.safetensors")
    training = Training(network, recipe, device)
    training.resume(out)
    train(training, Photos.of(hr, recipe.scale, recipe.patch), out, pace)
    click.echo(f"wrote {training.weights(out)} of step {training.step}")


if __name__ == "__main__":
    main()
