"""An Adam training of a student's bounds that may be killed at any step and continues where it was, bit for bit."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.optim import Adam
    from torch.optim.lr_scheduler import LRScheduler

    from .hookspecs import Checkpoint
    from .model import Student


class Training:
    """The bounds, the losses and, of the present phase, Adam and its learning rate.

    Made before the optimizer: it gives the student the bounds of the checkpoint. `losses` holds one number per step
    that is done; the training appends to it. `batches.random(batch, size, skip=len(training.losses))` continues the
    patches.
    """

    def __init__(self, student: Student, checkpoint: Checkpoint) -> None:
        self.losses: list[Tensor] = []
        self._bounds = student.bound_parameters()
        self._checkpoint = checkpoint
        self._before = 0
        self._state = checkpoint.load() or {}
        sizes = [bound.numel() for bound in self._bounds]
        if self._state and self._state["bounds"].numel() == sum(sizes):
            for bound, values in zip(self._bounds, self._state["bounds"].split(sizes), strict=True):
                bound.data.copy_(values.view_as(bound))
            self.losses = list(self._state["losses"].to(self._bounds[0].device))

    def steps(self, adam: Adam, schedule: LRScheduler, count: int) -> Iterator[int]:
        """Number the steps of a phase of `count` that are left, and keep the state after each.

        A phase has an optimizer and a schedule of its own, which are put where they were.
        """
        done = min(max(len(self.losses) - self._before, 0), count)
        self._before += count
        if 0 < done < count:
            self._restore(adam, schedule, done)
        for step in range(done, count):
            yield step
            self._checkpoint.save(partial(self._tensors, adam))

    def _tensors(self, adam: Adam) -> dict[str, Tensor]:
        """A bound that has had no gradient has no moments yet; it is written with zero steps."""
        trained = _trained(adam)
        states = [adam.state.get(bound, {}) for bound in trained]

        def joined(name: str) -> Tensor:
            pairs = zip(states, trained, strict=True)
            return torch.cat([(state[name] if state else torch.zeros_like(bound)).flatten() for state, bound in pairs])

        return {
            "bounds": torch.cat([bound.detach().flatten() for bound in self._bounds]),
            "losses": torch.stack(self.losses),
            "steps": torch.tensor([float(state.get("step", 0)) for state in states]),
            "means": joined("exp_avg"),
            "squares": joined("exp_avg_sq"),
            "rate": torch.tensor([group["lr"] for group in adam.param_groups], dtype=torch.float64),
        }

    def _restore(self, adam: Adam, schedule: LRScheduler, done: int) -> None:
        trained, state = _trained(adam), self._state
        sizes = [bound.numel() for bound in trained]
        moments = zip(state["means"].split(sizes), state["squares"].split(sizes), strict=True)
        for bound, step, (mean, square) in zip(trained, state["steps"], moments, strict=True):
            if step:
                adam.state[bound] = {
                    "step": step.clone(),
                    "exp_avg": mean.view_as(bound).to(bound, copy=True),
                    "exp_avg_sq": square.view_as(bound).to(bound, copy=True),
                }
        rates = state["rate"].tolist()
        for group, rate in zip(adam.param_groups, rates, strict=True):
            group["lr"] = rate
        place = {"last_epoch": done, "_step_count": done + 1, "_last_lr": rates}
        schedule.load_state_dict(schedule.state_dict() | place)


def _trained(adam: Adam) -> list[Tensor]:
    return list(chain.from_iterable(group["params"] for group in adam.param_groups))
