"""What calibrators train on in tests: two networks of a few weights, their students, and patches of one small image."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from oracle import bounded, tiny_teacher
from torch import Tensor, nn

from sr_ptq_bench import Batches, SRModel, Student


def supply(seed: int = 0) -> Batches:
    """Crops of a mosaic of 16x16 pixels."""
    rng = np.random.default_rng(7)
    smooth = np.kron(rng.integers(40, 216, (4, 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return Batches(smooth[None, :8, :8], [smooth], seed)


class Exact(Batches):
    """The same patches in float64."""

    def random(self, batch, size, skip=0):
        return (x.double() for x in super().random(batch, size, skip))


def exact_supply() -> Exact:
    """`supply` in float64."""
    return Exact(supply().patches, supply().images)


def quiet(done: int, total: int, note: str = "") -> None:
    """No progress."""


class Forgetful:
    """A checkpoint that keeps nothing."""

    def load(self):
        return None

    def save(self, make):
        pass


class Memory(Forgetful):
    """A checkpoint that keeps what it is given last, and raises `Killed` once it has been given `steps` of them."""

    def __init__(self, steps: int) -> None:
        self.left, self.kept = steps, None

    def load(self):
        return self.kept

    def save(self, make):
        self.kept = {name: tensor.clone() for name, tensor in make().items()}
        self.left -= 1
        if self.left == 0:
            raise Killed


class Killed(BaseException):
    """The end of a process, as far as a test in one process can have it."""


def teacher_and_student(bits: str = "3") -> tuple[SRModel, Student]:
    """A SwinIR of two blocks in two groups, and its student with bounds that clip a little."""
    return with_student(tiny_teacher((1, 1), channels=8), bits)


def with_student(teacher: SRModel, bits: str) -> tuple[SRModel, Student]:
    """A teacher and its student with bounds that clip a little."""
    return teacher, bounded(teacher, bits, torch.cat(list(islice(supply().random(2, 8), 2))))


class Convolutions(nn.Module):
    """A residual block between a first and a last convolution, and pixel shuffle."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 5, 1))
        self.last = nn.Conv2d(5, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.shuffle(self.last(y + self.block(y)))


def convolutional_teacher() -> SRModel:
    """`Convolutions` with every convolution a layer to quantize, the first and the last of them edges."""
    torch.manual_seed(0)
    input_kinds = {"first": "image", "block.0": "conv", "block.2": "relu", "last": "conv"}
    network = Convolutions(2).eval().requires_grad_(False)
    return SRModel("convolutions", 2, network, input_kinds, ("block",), first_last_layers=("first", "last"))
