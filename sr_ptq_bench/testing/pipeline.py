"""A calibration as a run does it, without files; and checkpoints that end it."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..data.patches import Batches
from ..hooks.check_bits import check_mean_bits
from ..protocol.bits import Bits
from ..quantization.costs import LazyCosts, output_costs
from ..quantization.observe import observe
from ..quantization.quantize import quantize
from ..quantization.randomness import seed_generators
from ..quantization.state.save_load import save_state
from ..quantization.student import quantizers_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from ..hooks.method import Method
    from ..quantization.network import SRModel
    from ..quantization.student import Student
    from ..quantization.training import CalibrationLog


class Killed(KeyboardInterrupt):
    """The end of a process, as far as a test in one process can have it."""


@dataclass
class Memory:
    """A checkpoint that keeps what is saved last; with `kill_at` it ends the calibration at that save."""

    kill_at: int = 0
    saves: int = 0
    kept: dict[str, Tensor] | None = None

    def load(self) -> dict[str, Tensor] | None:
        """The tensors saved last."""
        return self.kept

    def save(self, make: Callable[[], Mapping[str, Tensor]]) -> None:
        """Keep them, and perhaps end."""
        self.kept = {name: tensor.detach().cpu().clone() for name, tensor in make().items()}
        self.saves += 1
        if self.saves == self.kill_at:
            raise Killed


@contextmanager
def frozen() -> Iterator[None]:
    """Meanwhile Python's garbage collector looks at new objects only, which a large process makes much faster."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def tensors_with_numbers() -> list[Tensor]:
    """All tensors of this process that hold numbers, but for those that `frozen` leaves out."""
    gc.collect()
    return [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor) and _place(thing)]


def _place(tensor: Tensor) -> int:
    """The address of a tensor's numbers; 0 for a tensor without plain memory: sparse, or of device `meta`."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided and not tensor.is_meta else 0


@dataclass(frozen=True)
class Weighed(Batches):
    """Patches that note how many bytes of new tensors there are at the end of every pass over the fixed ones."""

    bytes_seen: list[int] = field(default_factory=list)
    before: list[Tensor] = field(default_factory=tensors_with_numbers)
    """What the process had already. It is kept, so that no new tensor takes its place in memory."""

    def fixed(self, batch: int = 4) -> Iterator[Tensor]:
        """As `Batches`, one patch at a time at most, so that the number of patches is the number of batches."""
        yield from super().fixed(min(batch, 1))
        old = {_place(tensor) for tensor in self.before}
        new = {_place(tensor): tensor.untyped_storage().nbytes() for tensor in tensors_with_numbers()}
        self.bytes_seen.append(sum(size for place, size in new.items() if place not in old))


def initialized(method: Method, teacher: SRModel, batches: Batches, bits: int) -> Student:
    """The student before its calibration."""
    seed_generators(0)
    nominal = Bits(weight=bits, activation=bits)
    chosen = method.choose_bits(quantize(teacher, nominal), batches, nominal) if method.chooses_bits else {}
    student = quantize(teacher, nominal, method.make_quantizer, chosen)
    if method.transforms:
        with quantizers_off(student):
            method.transform(student, batches)
    seen = observe(student, batches.fixed)
    costs = LazyCosts(seen, lambda: output_costs(student, batches.fixed, seen))
    for name, distribution in seen.items():
        method.initialize(student.quantizers[name], distribution, partial(costs.of, name))
    return student


def calibrated(
    method: Method, teacher: SRModel, batches: Batches, bits: int, checkpoint: Memory | None = None
) -> tuple[Student, CalibrationLog, bytes]:
    """The student, the calibrator's log, and the state."""
    student = initialized(method, teacher, batches, bits)
    seed_generators(0)
    log = method.calibrate(student, teacher, batches, lambda *_: None, checkpoint or Memory())
    if not method.chooses_bits:  # where they are checked already
        check_mean_bits(student, Bits(weight=bits, activation=bits), {})
    return student, log, save_state(student, teacher)
