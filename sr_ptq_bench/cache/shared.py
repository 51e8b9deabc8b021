"""What many runs share and should be computed once, kept on disk under the hash of everything that decides it."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..errors import SrqError
from ..quantization.distribution import Distribution
from ..records.files import ForeignRecordError, RunResult, read_result
from ..records.scores import Scores
from ..storage.files import read_sealed, set_aside, write_sealed
from ..storage.locks import locked
from .distribution_file import pack_distributions, unpack_distributions
from .resume import INTERVAL_S, ResumeState, ScoreLog
from .teacher import CachedTeacher, TeacherOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..progress import Say
    from ..quantization.costs import OutputCosts
    from ..quantization.network import SRModel

_SCORES: TypeAdapter[Scores] = TypeAdapter(Scores)
T = TypeVar("T")


class Cache:
    """Entries under `home/cache`, each computed by one process at a time.

    A missing entry is computed; a damaged entry is set aside and computed again; with `fresh` every entry is
    computed again. A cache that cannot be written costs time in the next run, not the result of this run. `say`
    tells the user of all this, and of waiting for another process. `interval_s` is the time in seconds between two
    checkpoints of a calibration.
    """

    def __init__(self, home: Path, say: Say, interval_s: float = INTERVAL_S) -> None:
        self.folder = home / "cache"
        self.records = self.folder / "records"
        self._locks = home / "locks"
        self._say, self._interval_s = say, interval_s
        self._failed = False

    def scores(self, key: Mapping[str, Any], compute: Callable[[ScoreLog], Scores], fresh: bool = False) -> Scores:
        """The scores of a network or an interpolation on test sets; `compute` gets those known from a killed run."""
        path = self._path("scores", key, "json")
        part = path.with_suffix(".part")
        if fresh:
            with suppress(OSError):
                part.unlink()

        def unpack(data: bytes) -> Scores:
            return _SCORES.validate_json(data, strict=True)

        scores = self._entry(path, lambda: compute(ScoreLog(part)), _SCORES.dump_json, unpack, fresh)
        with suppress(OSError):
            part.unlink()
        return scores

    def distributions(
        self, key: Mapping[str, Any], compute: Callable[[], dict[str, Distribution]], fresh: bool = False
    ) -> dict[str, Distribution]:
        """The distributions of all sites of a network on calibration patches."""
        path = self._path("distributions", key, "safetensors")

        def unpack(data: bytes) -> dict[str, Distribution]:
            return unpack_distributions(load(data))

        return self._entry(path, compute, lambda made: save(pack_distributions(made)), unpack, fresh)

    def output_costs(
        self, key: Mapping[str, Any], compute: Callable[[], OutputCosts], fresh: bool = False
    ) -> OutputCosts:
        """What errors at the sites of a network cost at its output."""
        return self._entry(self._path("costs", key, "safetensors"), compute, save, load, fresh)

    def teacher(self, key: Mapping[str, Any], model: SRModel, fresh: bool = False) -> CachedTeacher:
        """The FP network for a calibrator: its outputs on patches are computed once."""
        folder = self.folder / "teacher" / _digest(key)[:32]
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)

        def lock(name: str) -> AbstractContextManager[None]:
            return self.locked(f"teacher-{name}", "runs the FP network on the same patches")

        return CachedTeacher(model, TeacherOutputs(folder, lock, self._say_unless_failed))

    def _entry(
        self,
        path: Path,
        compute: Callable[[], T],
        pack: Callable[[T], bytes],
        unpack: Callable[[bytes], T],
        fresh: bool = False,
    ) -> T:
        with self.locked(path.stem, "computes the same"):
            found = None if fresh else self._read(path, unpack)
            if found is None:
                found = compute()
                self._try(lambda: write_sealed(path, pack(found)))
            return found

    def _read(self, path: Path, unpack: Callable[[bytes], T]) -> T | None:
        data = read_sealed(path, self._say_unless_failed)
        if data is None:
            return None
        try:
            return unpack(data)
        except (SafetensorError, KeyError, ValueError):
            self._say(f"{path} does not hold what it should; {set_aside(path)}")
            return None

    def result(self, name: str) -> RunResult | None:
        """The result that this machine has, by the file name of its record; a damaged one is set aside."""
        path = self.records / name
        try:
            return read_result(path) if path.exists() else None
        except OSError as error:
            self._fail(f"cannot read {path}: {error.strerror or error}")
            return None
        except ForeignRecordError as error:
            self._say(f"{error}; the run is made again, and that result stays")
            return None
        except SrqError as error:
            self._say(f"{error}; {path.name}: {set_aside(path)}")
            return None

    def keep(self, result: RunResult) -> None:
        """Remember the result of a run on this machine.

        Results that came with a repository are not kept here. A result of a later srq or of another user stays, and
        this one is not kept.
        """

        def write() -> None:
            with suppress(ForeignRecordError):
                result.write(self.records, self._say)

        self._try(write)

    @contextmanager
    def resume_state(self, key: Mapping[str, Any], fresh: bool = False) -> Iterator[ResumeState]:
        """What an earlier run has calibrated, or a killed run has left; empty with `fresh`.

        Runs that differ only in their test sets share it. Inside the context no other process calibrates it.
        """
        name = _digest(key)[:32]
        folder = self.folder / "states" / name
        with self.locked(f"state-{name}", "calibrates the same student"):
            if fresh:
                shutil.rmtree(folder, ignore_errors=True)
            yield ResumeState(folder, self._say_unless_failed, self._interval_s)

    @contextmanager
    def locked(self, name: str, what: str) -> Iterator[None]:
        """Let one process at a time do what `name` says; others say that another srq `what`, and wait."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._locks / f"{name}.lock", what, self._say))
            except OSError as error:
                self._fail(f"cannot lock in {self._locks}: {error.strerror or error}")
            yield

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except SrqError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"cannot write in {self.folder}: {error.strerror or error}")

    def _fail(self, what: str) -> None:
        """Report only the first failure: on a full disk or in a read-only folder every entry would fail."""
        if not self._failed:
            self._say(f"{what}; going on without keeping results for other runs")
        self._failed = True

    def _say_unless_failed(self, line: str) -> None:
        """For teachers and checkpoints: if the cache cannot be written, they would repeat the same message."""
        if not self._failed:
            self._say(line)

    def _path(self, kind: str, key: Mapping[str, Any], suffix: str) -> Path:
        return self.folder / f"{kind}-{_digest(key)[:32]}.{suffix}"


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
