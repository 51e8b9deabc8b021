"""A training of a student: its usual loss, and its steps, which continue bit for bit after a kill."""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ..errors import SrqError
from .randomness import generator_states, restore_generators
from .state.network_tensors import same_bits
from .state.plain import from_plain_bytes, plain_bytes

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from ..progress import Progress
    from .network import Teacher
    from .randomness import Generator
    from .student import Student


CalibrationLog = dict[str, float | int | str | list[float]]
"""What a calibrator returns for the record: losses, which checkpoint was kept."""


class Checkpoint(Protocol):
    """Keeps the state of a calibration, so that a run that was killed continues where it was."""

    def load(self) -> dict[str, Tensor] | None:
        """The tensors that this calibration saved last, on the CPU; None if it begins at the start."""

    def save(self, make: Callable[[], Mapping[str, Tensor]]) -> None:
        """Keep the tensors that `make` returns. Call it after every step: it calls `make` every few seconds."""


def distillation_loss(
    student: Student, teacher: Teacher, lr: Tensor, feature_weight: float, root_mean_square: bool = False
) -> Tensor:
    """How far the student S is from the teacher T on LR patches (N, 3, H, W): a scalar with a gradient.

        L   = L_O + lambda L_F,   L_O = mean |S(x) - T(x)|                           (2DQuant, eq. 13, 11)
        L_F = sum over features of (1/CHW) || F_s/||F_s|| - F_t/||F_t|| ||_2         (eq. 12)

    With `root_mean_square` L_O is the mean over the images of sqrt(mean (S(x) - T(x))^2) instead: PSNR counts squares.
    lambda is `feature_weight`. The features are those that the network names (`SRModel.features`), CHW the numbers of
    one feature of one image. Norms are per image, L_F is the mean over the images. Without features L = L_O. The
    teacher gets no gradient.
    """
    with torch.no_grad():
        target, targets = teacher.with_features(lr)
    output, features = student.with_features(lr)
    error = output - target
    loss = _root_mean_square(error) if root_mean_square else error.abs().mean()
    if not features:
        return loss
    pairs = ((_unit(f), _unit(t)) for f, t in zip(features, targets, strict=True))
    return loss + feature_weight * torch.stack([(f - t).norm(dim=1).mean() / f.shape[1] for f, t in pairs]).sum()


def _root_mean_square(error: Tensor) -> Tensor:
    """The mean over the images; torch gives `norm` the gradient 0 where the error is 0, but not `sqrt`."""
    norms: Tensor = error.flatten(1).norm(dim=1)
    return norms.mean() / math.sqrt(error[0].numel())


def _unit(feature: Tensor) -> Tensor:
    """(N, ...) -> (N, CHW), every image of norm 1."""
    return F.normalize(feature.flatten(1), dim=1)


STEPS = "steps"


@contextmanager
def counted_steps(counts: Counter[str]) -> Iterator[None]:
    """Count the steps of optimizers of torch; one that another optimizer calls is part of that one's step."""
    inside = 0

    def begin(*_: object) -> None:
        nonlocal inside
        inside += 1

    def end(*_: object) -> None:
        nonlocal inside
        inside -= 1
        counts[STEPS] += not inside

    hooks = register_optimizer_step_pre_hook(begin), register_optimizer_step_post_hook(end)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Training:
    """What a training changes: all tensors of the student, the losses, the optimizer and the random generators.

    `tensors` are further tensors by name that the training changes and that are no part of the student, such as the
    rounding variables of AdaRound. `generators` are the training's own ones; the global ones of torch, NumPy and
    Python are always kept. A training may have several phases, each with its own optimizer. Code before the first step
    runs again after a kill; the checkpoint then replaces its results.

    `losses` holds one number per step that is done; the training appends to it. After a kill it is as long as it was,
    so `batches.random(batch, size, skip=len(training.losses))` continues the patches.
    """

    def __init__(
        self,
        student: Student,
        checkpoint: Checkpoint,
        tensors: Mapping[str, Tensor] | None = None,
        generators: Sequence[Generator] = (),
    ) -> None:
        self.losses: list[Tensor] = []
        self._student, self._extra, self._generators = student, dict(tensors or {}), generators
        self._checkpoint = checkpoint
        self._before = 0
        self._start = {name: tensor.detach().clone() for name, tensor in self._tensors().items()}
        self._kept = checkpoint.load()
        if self._kept is not None:
            self.losses = list(self._kept["losses"].to(student.device))

    def steps(self, optimizer: Optimizer, schedule: LRScheduler, count: int) -> Iterator[int]:
        """Number the steps of a phase of `count` that are left, and keep the state after each.

        Raises SrqError for a tensor of the optimizer that belongs neither to the student nor to `tensors`, and for a
        step without a loss.
        """
        names = self._names(optimizer)
        done = min(max(len(self.losses) - self._before, 0), count)
        self._before += count
        if done and self._kept is not None and len(self.losses) <= self._before:
            self._restore(optimizer, schedule, names)
        for step in range(done, count):
            before = len(self.losses)
            yield step
            if len(self.losses) != before + 1 or not isinstance(self.losses[-1], Tensor):
                raise SrqError("each step of a training appends one loss, a tensor, to training.losses")
            self._checkpoint.save(partial(self._state, optimizer, schedule, names))

    def minimize(
        self,
        loss: Callable[[], Tensor],
        optimizer: Optimizer,
        schedule: LRScheduler,
        count: int,
        progress: Progress,
    ) -> None:
        """A phase of `count` steps of the usual kind on the optimizer's tensors, which need gradients only meanwhile.

        `loss()` is that of the next patches. After each step bounds that it crossed are fixed.
        """
        trained = _trained(optimizer)
        for tensor in trained:
            tensor.requires_grad_()
        for step in self.steps(optimizer, schedule, count):
            now = loss()
            optimizer.zero_grad()
            now.backward()
            optimizer.step()
            schedule.step()
            self._student.fix_crossed_bounds()
            self.losses.append(now.detach())
            progress(step + 1, count)
        for tensor in trained:
            tensor.requires_grad_(False)

    def log(self) -> CalibrationLog:
        """The losses, for a record; the student is that of the last step."""
        losses = torch.stack(self.losses).tolist()
        return {"checkpoint": "last", "loss_first": losses[0], "loss_last": losses[-1], "losses": losses}

    def _tensors(self) -> dict[str, Tensor]:
        network = self._student.network.state_dict(keep_vars=True)
        return {f"student {name}": v for name, v in network.items()} | {f"own {n}": v for n, v in self._extra.items()}

    def _names(self, optimizer: Optimizer) -> list[str]:
        """The names of the optimizer's tensors, in its order."""
        known = {id(tensor): name for name, tensor in self._tensors().items()}
        trained = _trained(optimizer)
        if any(id(tensor) not in known for tensor in trained):
            raise SrqError(
                "a training changes a tensor without a name; give it to Training(..., tensors={name: tensor})"
            )
        return [known[id(tensor)] for tensor in trained]

    def _state(self, optimizer: Optimizer, schedule: LRScheduler, names: Sequence[str]) -> dict[str, Tensor]:
        kept = {"losses": torch.stack([loss.detach() for loss in self.losses])}
        now = {name: tensor.detach() for name, tensor in self._tensors().items()}
        kept |= {name: tensor for name, tensor in now.items() if not same_bits(tensor, self._start[name])}
        kept |= {f"generators {name}": state for name, state in generator_states(self._generators).items()}
        groups = [{key: v for key, v in group.items() if key != "params"} for group in optimizer.param_groups]
        kept["settings"] = plain_bytes({"groups": groups, "schedule": schedule.state_dict()})
        for name, tensor in zip(names, _trained(optimizer), strict=True):
            state = optimizer.state.get(tensor, {})  # none before the first gradient
            try:
                kept |= {f"optimizer|{key}|{name}": torch.as_tensor(value) for key, value in state.items()}
            except (TypeError, ValueError, RuntimeError) as error:
                kind = type(optimizer).__name__
                raise SrqError(f"a training cannot keep the state of {kind}, which is not one tensor a name") from error
        return kept

    def _restore(self, optimizer: Optimizer, schedule: LRScheduler, names: Sequence[str]) -> None:
        kept = self._kept
        assert kept is not None
        moments: dict[str, dict[str, Tensor]] = {}
        for entry, value in kept.items():
            if entry.startswith("optimizer|"):
                _, key, name = entry.split("|", 2)
                moments.setdefault(name, {})[key] = value.clone()
        for name, tensor in self._tensors().items():
            tensor.data.copy_(kept.get(name, self._start[name]))
        for name, tensor in zip(names, _trained(optimizer), strict=True):
            state = moments.get(name)
            if state:  # step numbers stay on the CPU, as the optimizers of torch keep them
                optimizer.state[tensor] = {k: v if k == "step" else v.to(tensor.device) for k, v in state.items()}
        settings = from_plain_bytes(kept["settings"])
        for group, known in zip(optimizer.param_groups, settings["groups"], strict=True):
            group.update(known)
        schedule.load_state_dict(schedule.state_dict() | settings["schedule"])
        prefix = "generators "
        states = {name.removeprefix(prefix): state for name, state in kept.items() if name.startswith(prefix)}
        restore_generators(states, self._generators)


def _trained(optimizer: Optimizer) -> list[Tensor]:
    return list(chain.from_iterable(group["params"] for group in optimizer.param_groups))
