"""What calibrators train on in tests: two networks of a few weights, their students, and patches of one small image."""

from __future__ import annotations

import random
from itertools import chain, islice

import numpy as np
import torch
from oracle import bounded, tiny_teacher
from torch import Tensor, nn

from sr_ptq_bench import Batches, Bounds, SRModel, Student, Training


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


class Killed(KeyboardInterrupt):
    """The end of a process, as far as a test in one process can have it."""


def teacher_and_student(bits: str = "3") -> tuple[SRModel, Student]:
    """A SwinIR of two blocks in two groups, and its student with bounds that clip a little."""
    return with_student(tiny_teacher((1, 1), channels=8), bits)


def with_student(teacher: SRModel, bits: str) -> tuple[SRModel, Student]:
    """A teacher and its student with bounds that clip a little."""
    return teacher, bounded(teacher, bits, torch.cat(list(islice(supply().random(2, 8), 2))))


def network(kind: str, bits: str = "3") -> tuple[SRModel, Student]:
    """Teacher and student: tokens and Linear layers, or maps and convolutions with per-channel weights."""
    if kind == "tokens":
        return teacher_and_student(bits)
    teacher, student = with_student(convolutional_teacher(), bits)
    for name, weight in student.weights.items():
        student.quantizers[name].set_bounds(Bounds(*(0.9 * end for end in weight.flatten(1).aminmax(dim=1))))
    return teacher, student


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


def adam(groups: list[dict]) -> torch.optim.Optimizer:
    """Adam, with the rates of the groups."""
    return torch.optim.Adam(groups)


def momentum(groups: list[dict]) -> torch.optim.Optimizer:
    """SGD with momentum, with the rates of the groups."""
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


STEPS = 3
"""Of each of the phases of `train_everything`."""


def train_everything(student: Student, teacher, batches: Batches, checkpoint, optimizers=(adam, momentum)) -> dict:
    """A calibrator that uses all that a calibration may use; its log shows where every random generator ends.

    In a phase for each optimizer it trains weights, biases and bounds, and a shift of its own, at three rates. It draws
    from the global generators and from its own.
    """
    own = [torch.Generator().manual_seed(1), np.random.default_rng(2), random.Random(3)]
    shift = torch.zeros(3, 1, 1, requires_grad=True)
    training = Training(student, checkpoint, {"shift": shift}, own)
    trained = _trained(student)
    for parameter in chain.from_iterable(trained.values()):
        parameter.requires_grad_()
    patches = batches.random(2, 8, skip=len(training.losses))
    for phase, optimizer_of in enumerate(optimizers):
        optimizer = optimizer_of(
            [
                {"params": trained["weights"], "lr": 1e-3},
                {"params": trained["biases"], "lr": 1e-2},
                {"params": [*trained["bounds"], shift], "lr": 3e-3 / (1 + phase)},
            ]
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for _ in training.steps(optimizer, schedule, STEPS):
            lr = next(patches)
            loss = (student(lr + _noise(own)) + shift - teacher(lr)).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            student.fix_crossed_bounds()
            training.losses.append(loss.detach())
    student.network.requires_grad_(False)
    return {
        "losses": torch.stack(training.losses).tolist(),
        "shift": shift.detach().flatten().tolist(),
        "noise": [_noise(own) for _ in range(2)],
    }


def _trained(student: Student) -> dict[str, list[Tensor]]:
    """Weights, biases (those of norms too) and bounds; a tensor with several names once."""
    named = student.network.named_parameters()
    return {
        "weights": list(dict.fromkeys(student.weights.values())),
        "biases": [parameter for name, parameter in named if name.endswith("bias")],
        "bounds": student.bound_parameters(),
    }


def _noise(own: list) -> float:
    """A small number that every generator has a part in."""
    drawn = [
        torch.randn(()).item(), np.random.standard_normal(), random.gauss(0, 1),
        torch.rand((), generator=own[0]).item(), own[1].random(), own[2].random(),
    ]  # fmt: skip
    return sum(drawn) / 1000
