"""What many runs share and none should compute twice, kept on disk under the hash of all that decides it."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..errors import SrqError
from ..quantization.distribution import Distribution
from ..records.files import NewerRecordError, RunResult, read_result
from ..records.scores import Scores
from ..storage.files import read_sealed, set_aside, write_sealed
from ..storage.locks import locked
from .distribution_file import pack_distributions, unpack_distributions
from .resume import INTERVAL_S, ResumeState, ScoreLog
from .teacher import CachedTeacher, TeacherOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..progress import Say
    from ..quantization.network import SRModel

_SCORES: TypeAdapter[Scores] = TypeAdapter(Scores)
T = TypeVar("T")


class Cache:
    """Entries under `home/cache`, each computed by one process at a time.

    An entry that is missing is computed; one that is damaged is set aside and computed anew. A cache that cannot be
    written costs time in the next run, not this run's result. `say` tells the user of all this, and of waiting for
    another process. `interval_s` is the time in seconds between two checkpoints of a calibration.
    """

    def __init__(self, home: Path, say: Say, interval_s: float = INTERVAL_S) -> None:
        self.folder = home / "cache"
        self.records = self.folder / "records"
        self._locks = home / "locks"
        self._say, self._interval_s = say, interval_s
        self._failed = False

    def scores(self, key: Mapping[str, Any], compute: Callable[[ScoreLog], Scores]) -> Scores:
        """The scores of a network or an interpolation on test sets; `compute` gets those known from a killed run."""
        path = self._path("scores", key, "json")
        part = path.with_suffix(".part")

        def unpack(data: bytes) -> Scores:
            return _SCORES.validate_json(data, strict=True)

        scores = self._entry(path, lambda: compute(ScoreLog(part)), _SCORES.dump_json, unpack)
        with suppress(OSError):
            part.unlink()
        return scores

    def distributions(
        self, key: Mapping[str, Any], compute: Callable[[], dict[str, Distribution]]
    ) -> dict[str, Distribution]:
        """The distributions of all sites of a network on calibration patches."""
        path = self._path("distributions", key, "safetensors")
        return self._entry(
            path, compute, lambda made: save(pack_distributions(made)), lambda data: unpack_distributions(load(data))
        )

    def teacher(self, key: Mapping[str, Any], model: SRModel) -> CachedTeacher:
        """The FP network as a calibrator gets it: what it makes of patches is computed once."""
        folder = self.folder / "teacher" / _digest(key)[:32]

        def lock(name: str) -> AbstractContextManager[None]:
            return self.locked(f"teacher-{name}", "runs the FP network on the same patches")

        return CachedTeacher(model, TeacherOutputs(folder, lock, self._say))

    def _entry(
        self, path: Path, compute: Callable[[], T], pack: Callable[[T], bytes], unpack: Callable[[bytes], T]
    ) -> T:
        with self.locked(path.stem, "computes the same"):
            found = self._read(path, unpack)
            if found is None:
                found = compute()
                self._try(lambda: write_sealed(path, pack(found)))
            return found

    def _read(self, path: Path, unpack: Callable[[bytes], T]) -> T | None:
        data = read_sealed(path, self._say)
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
        if not path.exists():
            return None
        try:
            return read_result(path)
        except NewerRecordError as error:
            self._say(f"{error}; the run is made again, and that result stays")
            return None
        except SrqError as error:
            self._say(f"{error}; {path.name}: {set_aside(path)}")
            return None

    def keep(self, result: RunResult) -> None:
        """Remember the result of a run on this machine, and remove its checkpoints.

        Results that came with a repository are not kept here. That of a later srq stays, and this one is not kept.
        """

        def write() -> None:
            try:
                path = result.write(self.records, self._say)
            except NewerRecordError:
                return
            for folder in (self.folder / "unfinished").glob(f"{path.stem}-*"):
                shutil.rmtree(folder, ignore_errors=True)

        self._try(write)

    def resume_state(self, name: str, key: Mapping[str, Any]) -> ResumeState:
        """What a killed run has left, by the file name of its record and by what else decides the result."""
        folder = self.folder / "unfinished" / f"{Path(name).stem}-{_digest(key)[:16]}"
        return ResumeState(folder, self._say, self._interval_s)

    @contextmanager
    def locked(self, name: str, what: str) -> Iterator[None]:
        """Let one process at a time do what `name` says; others say that another srq `what`, and wait."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._locks / f"{name}.lock", what, self._say))
            except OSError as error:
                self._fail(f"cannot lock in {self._locks}: {error.strerror or error}")
            yield

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except SrqError as error:
            self._fail(str(error))

    def _fail(self, what: str) -> None:
        """Say the first failure only: of a full disk or a folder that is read-only every entry would tell."""
        if not self._failed:
            self._say(f"{what}; going on without keeping results for other runs")
        self._failed = True

    def _path(self, kind: str, key: Mapping[str, Any], suffix: str) -> Path:
        return self.folder / f"{kind}-{_digest(key)[:32]}.{suffix}"


def _digest(key: Mapping[str, Any]) -> str:
    text = json.dumps({**key, "torch": torch.__version__, "code": _own_code()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache
def _own_code() -> str:
    """The SHA-256 of this package's modules: whoever edits one must not be shown what the old one computed."""
    modules = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
