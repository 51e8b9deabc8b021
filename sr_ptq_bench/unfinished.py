"""What a run has done so far, kept on disk until its record is: a killed run continues from here."""

from __future__ import annotations

import hashlib
import json
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .errors import SrqError
from .files import read_sealed, set_aside, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .files import Say
    from .hookspecs import Checkpoint, Figures
    from .model import Student

EVERY = 2.0
"""Seconds between two checkpoints."""
SHARE = 0.005
"""The share of a calibration's time that its checkpoints may take."""
_SECONDS, _FIGURES, _GENERATOR = "|seconds", "|figures", "|generator"


class Unfinished:
    """The folder of one run on one machine with one software: its checkpoints and the scores of single images.

    `say` tells the user of files that are damaged or cannot be written, which cost time and nothing else.
    """

    def __init__(self, folder: Path, say: Say, every: float = EVERY) -> None:
        self.folder, self._say = folder, say
        self.seconds_before = 0.0
        """Seconds of calibration that earlier calls have spent up to what is continued."""
        self._checkpoint = TimedCheckpoint(folder / "calibration.safetensors", say, every)

    def calibrate(self, student: Student, work: Callable[[Checkpoint], Figures]) -> Figures:
        """Let `work` refine the student, or give it what that had made of it before the run was killed.

        The result is kept where the calibrator has asked for its checkpoint: it promises to change nothing but tensors
        of the student's network.
        """
        path = self.folder / "calibrated.safetensors"
        kept = _read(path, self._say)
        if kept and _give(student, kept):
            self.seconds_before = float(kept[_SECONDS])
            return json.loads(bytes(kept[_FIGURES].tolist()))  # type: ignore[no-any-return]
        before = {name: tensor.clone() for name, tensor in _tensors(student).items()}
        figures = work(self._checkpoint)
        self.seconds_before = self._checkpoint.seconds_before
        after = _tensors(student)
        if self._checkpoint.asked and after.keys() == before.keys():
            changed = {name: tensor for name, tensor in after.items() if not torch.equal(tensor, before[name])}
            text = torch.tensor(list(json.dumps(figures).encode()), dtype=torch.uint8)
            own = {_FIGURES: text, _GENERATOR: torch.get_rng_state(), **_seconds(self._checkpoint.seconds())}
            _write(path, changed | own, self._say)
        return figures

    def scores(self, student: Student) -> KeptScores:
        """The scores that this very student has had so far, image by image."""
        digest = hashlib.sha256()
        for name, tensor in _tensors(student).items():
            digest.update(name.encode())
            digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return KeptScores(self.folder / f"scores-{digest.hexdigest()[:16]}.txt")


class TimedCheckpoint:
    """The `Checkpoint` of a calibrator: a file of tensors, written so seldom that it costs next to nothing."""

    def __init__(
        self, path: Path, say: Say, every: float = EVERY, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._path, self._say, self._every, self._clock = path, say, every, clock
        self.asked = False
        """Whether the calibrator has called `load`."""
        self.seconds_before = 0.0
        self._start = self._next = clock()

    def load(self) -> dict[str, Tensor] | None:
        """The tensors that a killed calibration saved last, on the CPU; None where it begins anew."""
        self.asked = True
        self._start = self._clock()
        self._next = self._start + self._every
        kept = _read(self._path, self._say)
        if kept is None:
            return None
        self.seconds_before = float(kept.pop(_SECONDS))
        return kept

    def save(self, make: Callable[[], Mapping[str, Tensor]]) -> None:
        """Keep what `make` returns, if enough time has passed; raises SrqError unless it is a table of tensors."""
        begin = self._clock()
        if begin < self._next:
            return
        tensors = dict(make())
        if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
            raise SrqError("a calibrator's checkpoint holds something other than tensors by their names")
        written = _write(self._path, tensors | _seconds(self.seconds()), self._say)
        end = self._clock()
        self._next = end + max(self._every, (end - begin) / SHARE) if written else math.inf

    def seconds(self) -> float:
        """Seconds of calibration so far, those of earlier calls included."""
        return self.seconds_before + self._clock() - self._start


class KeptScores(dict[tuple[str, str], dict[str, float]]):
    """The scores of images by test set and name, in a file that grows by a line each; a torn line counts as none."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        with suppress(OSError):
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                digits, _, text = line.partition(" ")
                if digits == _digits(text):
                    dataset, image, scores = json.loads(text)
                    super().__setitem__((dataset, image), scores)

    def __setitem__(self, key: tuple[str, str], scores: dict[str, float]) -> None:
        """Keep the scores of one image."""
        super().__setitem__(key, scores)
        text = json.dumps([*key, scores])
        with suppress(OSError):  # costs time when the run is killed, and nothing else
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"\n{_digits(text)} {text}\n")  # a torn line before it ends here


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _tensors(student: Student) -> dict[str, Tensor]:
    """Every parameter and buffer of the network, quantizers included; they share memory with it."""
    state = student.network.state_dict(keep_vars=True)
    return {name: value.detach() for name, value in state.items() if isinstance(value, Tensor)}


def _give(student: Student, kept: Mapping[str, Tensor]) -> bool:
    """Put kept tensors into the network, and torch's generator where it was; False if they belong to another."""
    state = student.network.state_dict(keep_vars=True)
    tensors = {name: tensor for name, tensor in kept.items() if not name.startswith("|")}
    if not {_SECONDS, _FIGURES, _GENERATOR} <= kept.keys() or not tensors.keys() <= state.keys():
        return False
    for name, tensor in tensors.items():
        state[name].data = tensor.to(state[name].device)
    torch.set_rng_state(kept[_GENERATOR])
    return True


def _read(path: Path, say: Say) -> dict[str, Tensor] | None:
    data = read_sealed(path, say)
    if data is None:
        return None
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError):
        say(f"{path} holds no tensors; {set_aside(path)}")
        return None


def _seconds(spent: float) -> dict[str, Tensor]:
    return {_SECONDS: torch.tensor(spent, dtype=torch.float64)}


def _write(path: Path, tensors: Mapping[str, Tensor], say: Say) -> bool:
    """Whether the tensors could be written; those that share memory are written apart."""
    try:
        write_sealed(path, save({name: v.detach().cpu().clone().contiguous() for name, v in tensors.items()}))
    except SrqError as error:
        say(f"{error}; going on without a checkpoint")
        return False
    return True
