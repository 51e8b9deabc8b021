"""`sr_ptq_bench.measure`: one run from Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

from pydantic import Field, ValidationError, validate_call

from ..errors import SrqError, first_complaint, printable
from ..hooks.guard import fresh_settings
from ..progress import SILENT, no_progress
from ..protocol.request import requested
from ..protocol.run_spec import RunSpec
from ..protocol.types import OptionValue, ScopeName, Seed
from ..records.compare import write_or_reproduce
from ..records.files import make_room
from ..runs.measure import measure_or_reuse, tell
from ..runs.prepare import prepare
from ..runs.session import Session
from ..storage.home import expanded
from ..storage.writable import check_writable
from .measurement import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..progress import Progress

    _Files = str | Path | Iterable[str | Path]
else:
    _Files = str | Path | tuple[str | Path, ...]  # of any iterable; `Iterable` would be checked too late

P = ParamSpec("P")
T = TypeVar("T")


class _Lines:
    """A reporter for a notebook: every stage and every message is a line on stderr."""

    def say(self, line: str) -> None:
        """Print a line."""
        print(printable(line), file=sys.stderr)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Name the stage."""
        self.say(f"{name} ...")
        yield no_progress


def _checked(function: Callable[P, T]) -> Callable[P, T]:
    """The function with arguments checked by their types; raises SrqError for the first that is wrong."""
    call = validate_call(function)

    @wraps(function)
    def checked(*args: P.args, **words: P.kwargs) -> T:
        try:
            return call(*args, **words)
        except ValidationError as error:
            if error.title != function.__name__:
                raise
            raise SrqError(first_complaint(error, RunSpec)) from error

    return checked


@_checked
@fresh_settings()
def measure(
    *,
    method: str,
    bits: int | str,
    scale: int,
    mixed: bool = False,
    scope: ScopeName | None = None,
    suite: str | Path = "sample",
    model: str | None = None,
    test: Mapping[str, str | Path] | None = None,
    tile: Annotated[int, Field(ge=8, le=2**16)] | None = None,
    tile_overlap: Annotated[int, Field(ge=0, le=2**16)] | None = None,
    options: Mapping[str, OptionValue] | None = None,
    seed: Seed = 0,
    plugin: _Files = (),
    out: str | Path | None = None,
    device: str = "auto",
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None,
    force: bool = False,
    replace: bool = False,
    quiet: bool = False,
) -> Measurement:
    """Measure one method, as `srq run` does with the same words; raises SrqError for what a user can correct.

    `bits` is 4, or "w4a8"; `test` are folders of photos by name; `options` such as {"dqc.lr": 1e-3}; `plugin` is a
    file, or several. With `out` the record goes to OUT/results/SUITE; without it only this machine's memory under
    SRQ_HOME has the result. A result of this machine is reused, as by `srq run`. Threads take turns.
    """
    spec = requested(
        method=method,
        bits=str(bits),
        mixed=mixed,
        scale=scale,
        scope=scope,
        suite=str(suite),
        model=model,
        tests=tuple(f"{name}={folder}" for name, folder in (test or {}).items()),
        tile=tile,
        tile_overlap=tile_overlap,
        options=options or {},
        seed=seed,
    )
    reporter = SILENT if quiet else _Lines()
    files = [plugin] if isinstance(plugin, str | Path) else plugin
    session = Session.open(reporter, map(Path, files), device, threads)
    run = prepare(spec, session)
    tell(run, reporter.say)
    folder = expanded(out) / "results" / spec.suite.name if out is not None else None
    if folder:
        check_writable(folder)
        make_room(folder / run.record_name, reporter.say)
    result = measure_or_reuse(run, session, force)
    path = write_or_reproduce(result, folder, reporter.say, replace) if folder else None
    return Measurement(result.record, path, run, result)
