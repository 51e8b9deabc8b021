"""What a run has done so far, kept on disk until its record is written: a killed run continues from here."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..errors import SrqError
from ..quantization.state.save_load import state_sha256
from ..records.record import Learned
from ..storage.files import read_sealed, set_aside, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..progress import Say
    from ..quantization.training import CalibrationLog

INTERVAL_S = 2.0
"""Seconds between two checkpoints."""
MAX_OVERHEAD = 0.005
"""The share of the time of a calibration that its checkpoints may take."""
_SECONDS = "|seconds"
_COUNT = "|count "


@dataclass(frozen=True)
class Calibrated:
    """A calibrated student: its state, the calibrator's log, the seconds that it took, and what the method did."""

    state: bytes
    log: CalibrationLog
    seconds: float
    learned: Learned | None = None


class ResumeState:
    """The folder of one run on one machine with one software: checkpoints, the calibrated state, scores of images.

    `say` tells the user of files that are damaged or cannot be written; such files cost only time.
    """

    def __init__(self, folder: Path, say: Say, interval_s: float = INTERVAL_S) -> None:
        self.folder, self._say = folder, say
        self.checkpoint = PeriodicCheckpoint(folder / "checkpoint.safetensors", say, interval_s)

    def calibrated(self) -> Calibrated | None:
        """What a killed run had calibrated; None if it did not get that far."""
        summary = read_sealed(self.folder / "calibrated.json", self._say)
        state = read_sealed(self.folder / "calibrated.safetensors", self._say)
        if summary is None or state is None:
            return None
        known = json.loads(summary)
        if known["state_sha256"] != state_sha256(state):
            return None  # killed between the two files of a second calibration
        learned = known["learned"] and Learned.model_validate(known["learned"])
        return Calibrated(state, known["log"], known["seconds"], learned)

    def keep(self, calibrated: Calibrated) -> None:
        """Keep a calibrated student."""
        learned = calibrated.learned and calibrated.learned.model_dump(mode="json")
        known = {
            "state_sha256": state_sha256(calibrated.state), "log": calibrated.log, "seconds": calibrated.seconds,
            "learned": learned,
        }  # fmt: skip
        try:
            write_sealed(self.folder / "calibrated.safetensors", calibrated.state)
            write_sealed(self.folder / "calibrated.json", json.dumps(known).encode())
        except SrqError as error:
            self._say(f"{error}; going on without a checkpoint")

    def finish(self) -> None:
        """Remove the files that only a killed run needs; the calibrated student stays, for other test sets."""
        with suppress(OSError):  # the folder cannot be read or written
            for path in self.folder.glob("*"):
                if path.stem != "calibrated":
                    with suppress(OSError):  # another process removes them too
                        path.unlink()

    def scores(self, state: bytes, key: Mapping[str, Any]) -> ScoreLog:
        """The scores that the student of this state has so far, by image; `key` is all else that they depend on."""
        whole = hashlib.sha256(json.dumps([state_sha256(state), dict(key)], sort_keys=True).encode()).hexdigest()
        return ScoreLog(self.folder / f"scores-{whole[:16]}.txt")


class PeriodicCheckpoint:
    """The `Checkpoint` of a calibrator: a file of tensors, written so rarely that it costs almost no time."""

    def __init__(
        self, path: Path, say: Say, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._path, self._say, self._interval_s, self._clock = path, say, interval_s, clock
        self.seconds_before = 0.0
        """Seconds of calibration that killed runs spent up to the checkpoint that is continued."""
        self.counts: Counter[str] = Counter()
        """Counts of what was done, which continue where they were at the checkpoint."""
        self._start = self._next = clock()

    def load(self) -> dict[str, Tensor] | None:
        """The tensors that a killed calibration saved last, on the CPU; None if there are none."""
        self._start = self._clock()
        self._next = self._start + self._interval_s
        kept = self._read()
        if kept is not None:
            self.seconds_before = float(kept.pop(_SECONDS))
            self.counts.clear()
            for name in [name for name in kept if name.startswith(_COUNT)]:
                self.counts[name.removeprefix(_COUNT)] = int(kept.pop(name))
        return kept

    def save(self, make: Callable[[], Mapping[str, Tensor]]) -> None:
        """Keep what `make` returns, if enough time has passed; raises SrqError unless it is a table of tensors."""
        begin = self._clock()
        if begin < self._next:
            return
        tensors = dict(make())
        if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
            raise SrqError("the checkpoint of a calibrator must be tensors by name; found something else")
        seconds = torch.tensor(self.seconds_before + begin - self._start, dtype=torch.float64)
        counts = {f"{_COUNT}{name}": torch.tensor(count) for name, count in self.counts.items()}
        written = self._write(tensors | counts | {_SECONDS: seconds})
        end = self._clock()
        self._next = end + max(self._interval_s, (end - begin) / MAX_OVERHEAD) if written else math.inf

    def _read(self) -> dict[str, Tensor] | None:
        data = read_sealed(self._path, self._say)
        if data is None:
            return None
        try:
            return load(data)
        except (SafetensorError, ValueError, KeyError):
            self._say(f"{self._path} holds no tensors; {set_aside(self._path)}")
            return None

    def _write(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether the tensors could be written; tensors that share memory are written separately."""
        try:
            apart = {name: v.detach().cpu().clone().contiguous() for name, v in tensors.items()}
            write_sealed(self._path, save(apart))
        except SrqError as error:
            self._say(f"{error}; going on without a checkpoint")
            return False
        return True


class ScoreLog(dict[tuple[str, str], dict[str, float]]):
    """The scores of images by test set and name, in a file with one line each; an incomplete line does not count."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        with suppress(OSError):
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                digits, _, text = line.partition(" ")
                if digits == _digits(text):
                    dataset, image, scores = json.loads(text)
                    self[dataset, image] = scores

    def append(self, dataset: str, image: str, scores: dict[str, float]) -> None:
        """Keep the scores of one image, in the file too."""
        self[dataset, image] = scores
        text = json.dumps([dataset, image, scores])
        with suppress(OSError):  # without it a killed run only takes more time
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"\n{_digits(text)} {text}\n")  # ends an incomplete line before it


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
