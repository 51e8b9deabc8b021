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

from .distribution import Distribution
from .errors import SrqError
from .files import read_sealed, read_whole, say_nothing, set_aside, write_sealed
from .locks import locked
from .records import LARGEST_BOUNDS, Measured, bounds_path, read_record
from .schema import Scores
from .teacher import SharedTeacher, TeacherOutputs
from .unfinished import EVERY, KeptScores, Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from .files import Say
    from .model import SRModel

_SCORES: TypeAdapter[Scores] = TypeAdapter(Scores)
T = TypeVar("T")


class Cache:
    """Entries under `home/cache`, each computed by one process at a time.

    An entry that is missing is computed; one that is damaged is set aside and computed anew. A cache that cannot be
    written costs time in the next run, not this run's result. `say` tells the user of all this, and of waiting for
    another process. `every` is the time in seconds between two checkpoints of a calibration.
    """

    def __init__(self, home: Path, say: Say = say_nothing, every: float = EVERY) -> None:
        self.folder = home / "cache"
        self.records = self.folder / "records"
        self._locks = home / "locks"
        self._say, self._every = say, every
        self._failed = False

    def scores(self, key: Mapping[str, Any], compute: Callable[[KeptScores], Scores]) -> Scores:
        """The scores of a network or an interpolation on test sets; `compute` gets those known from a killed run."""
        path = self._path("scores", key, "json")
        part = path.with_suffix(".part")

        def unpack(data: bytes) -> Scores:
            return _SCORES.validate_json(data, strict=True)

        scores = self._entry(path, lambda: compute(KeptScores(part)), _SCORES.dump_json, unpack)
        with suppress(OSError):
            part.unlink()
        return scores

    def distributions(
        self, key: Mapping[str, Any], compute: Callable[[], dict[str, Distribution]]
    ) -> dict[str, Distribution]:
        """The distributions of all sites of a network on calibration patches."""
        path = self._path("distributions", key, "safetensors")
        return self._entry(path, compute, lambda made: save(_packed(made)), lambda data: _unpacked(load(data)))

    def teacher(self, key: Mapping[str, Any], model: SRModel) -> SharedTeacher:
        """The FP network as a calibrator gets it: what it makes of patches is computed once."""
        folder = self.folder / "teacher" / _digest(key)[:32]

        def lock(name: str) -> AbstractContextManager[None]:
            return self.locked(f"teacher-{name}", "runs the FP network on the same patches")

        return SharedTeacher.of(model, TeacherOutputs(folder, lock, self._say))

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

    def measured(self, name: str) -> Measured | None:
        """What this machine has measured, by the file name of the record; it is set aside where it is damaged."""
        path = self.records / name
        if not path.exists():
            return None
        try:
            measured = Measured(read_record(path), read_whole(bounds_path(path), LARGEST_BOUNDS))
            if len(load(measured.bounds)) == measured.record.scope.sites:
                return measured
            what = f"{bounds_path(path)} lacks sites"
        except (SrqError, OSError, SafetensorError) as error:
            what = str(error)
        self._say(f"{what}; {path.name}: {set_aside(path)}")
        return None

    def keep(self, measured: Measured) -> None:
        """Remember that this machine has made a run, whose checkpoints are then superfluous.

        Records that came with a repository do not count as made.
        """

        def write() -> None:
            path = measured.write(self.records, self._say)
            for folder in (self.folder / "unfinished").glob(f"{path.stem}-*"):
                shutil.rmtree(folder, ignore_errors=True)

        self._try(write)

    def unfinished(self, name: str, key: Mapping[str, Any]) -> Unfinished:
        """What has been done of the run with this file name of the record, by what else decides its result."""
        folder = self.folder / "unfinished" / f"{Path(name).stem}-{_digest(key)[:16]}"
        return Unfinished(folder, self._say, self._every)

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
    modules = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()


_FIELDS = ("tally", "elements", "channel_minimum", "channel_maximum")


def _packed(distributions: Mapping[str, Distribution]) -> dict[str, Tensor]:
    """Sites that share one distribution share its entry; ranges and the order of the sites are tensors too."""
    tensors: dict[str, Tensor] = {}
    kept: dict[int, int] = {}
    for index, (site, d) in enumerate(distributions.items()):
        source = kept.setdefault(id(d), index)
        tensors[f"{site}|site"] = torch.tensor([index, source])
        if source == index:
            tensors[f"{index}|range"] = torch.tensor([d.minimum, d.maximum], dtype=torch.float64)
            for name in _FIELDS:
                value = getattr(d, name)
                if value is not None:
                    tensors[f"{index}|{name}"] = value.contiguous()
    return tensors


def _unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Distribution]:
    made: dict[int, Distribution] = {}
    order: list[tuple[int, int, str]] = []
    for name, tensor in tensors.items():
        if name.endswith("|site"):
            index, source = tensor.tolist()
            order.append((index, source, name.removesuffix("|site")))
    for _, source, _ in order:
        if source not in made:
            low, high = tensors[f"{source}|range"].tolist()
            tally, *optional = (tensors.get(f"{source}|{name}") for name in _FIELDS)
            if tally is None:
                raise KeyError(source)
            made[source] = Distribution(low, high, tally, *optional)
    return {site: made[source] for _, source, site in sorted(order)}
