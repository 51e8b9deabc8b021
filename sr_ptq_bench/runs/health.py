"""What of this installation and this machine may make srq fail or go slowly, each with its remedy."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..errors import SrqError
from ..storage.home import HOME, default_home
from .environment import library_versions

if TYPE_CHECKING:
    from pathlib import Path

Status = Literal["ok", "note", "bad"]

OLDEST, NEWEST_TRIED = (3, 11), (3, 14)
LEAST_FREE = 2 * 2**30
"""Bytes that caches of a sweep and a download need about."""
BUSY = 0.5
"""The share of the processors that others use, from which on timings say little."""
LIBRARIES = ("click", "lmdb", "pandas", "pluggy", "pydantic", "rich", "safetensors", "skimage", "spandrel", "tabulate")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `bad` keeps srq from working, `note` is worth knowing."""

    what: str
    status: Status
    found: str
    remedy: str = ""

    def as_table(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Every finding, one after the other."""
    for look in (_python, _versions, _basicsr, _libraries, _device, _threads, _load, _home, _disk, _plugins):
        yield from look()


def _python() -> Iterator[Finding]:
    version = sys.version_info[:2]
    known = OLDEST <= version < NEWEST_TRIED
    remedy = (
        ""
        if known
        else f"srq is tried with Python {_dotted(OLDEST)} to before {_dotted(NEWEST_TRIED)}; use one of these"
    )
    yield Finding("Python", "ok" if known else "note", _dotted(sys.version_info[:3]), remedy)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _versions() -> Iterator[Finding]:
    for name, version in library_versions(["torchvision", "spandrel"]).items():
        missing = version == "not installed"
        yield Finding(name, "bad" if missing else "ok", version, f"pip install {name}" if missing else "")


def _basicsr() -> Iterator[Finding]:
    """BasicSR imports a module that torchvision 0.17 removed; srq puts it in its place."""
    yield _tried(
        "BasicSR with this torchvision", "sr_ptq_bench.basicsr_compat", "reinstall: pip install --force-reinstall ."
    )


def _libraries() -> Iterator[Finding]:
    for name in LIBRARIES:
        finding = _tried(name, name, f"pip install --force-reinstall {name}")
        if finding.status != "ok":
            yield finding


def _tried(what: str, module: str, remedy: str) -> Finding:
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken installation raises anything
        return Finding(what, "bad", f"{type(error).__name__}: {error}".splitlines()[0], remedy)
    return Finding(what, "ok", "loads")


def _device() -> Iterator[Finding]:
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            found = f"{torch.cuda.get_device_name(index)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
            yield Finding(f"GPU {index}", "ok", found)
        return
    built = torch.version.cuda
    if built is None and shutil.which("nvidia-smi"):
        remedy = "this machine has a driver, but torch is built for CPUs: install a build of torch with CUDA"
        yield Finding("GPU", "note", f"none for torch {torch.__version__}", remedy)
    else:
        yield Finding("GPU", "note", "none", "runs take minutes on a CPU; suite paper needs a GPU")


def _threads() -> Iterator[Finding]:
    cores, threads = _cores(), torch.get_num_threads()
    few = threads < cores
    remedy = f"{cores} processors are usable: unset OMP_NUM_THREADS, or give --threads {cores}" if few else ""
    yield Finding("threads", "note" if few else "ok", f"{threads} of {cores} processors", remedy)


def _cores() -> int:
    """The processors that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _load() -> Iterator[Finding]:
    if not hasattr(os, "getloadavg"):  # Windows
        return
    try:
        load = os.getloadavg()[0]
    except OSError:
        return
    busy = load > BUSY * _cores()
    remedy = "other programs use the processors: times of runs will be too long; scores do not change" if busy else ""
    yield Finding("load", "note" if busy else "ok", f"{load:.1f} on {_cores()} processors", remedy)


def _home() -> Iterator[Finding]:
    home = default_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        remedy = f"let {HOME} name a folder that you can write to; results are not reused without one"
        yield Finding("cache", "bad", f"{home}: {error.strerror or error}", remedy)
        return
    yield Finding("cache", "ok", str(home))


def _disk() -> Iterator[Finding]:
    place = _existing(default_home())
    free = shutil.disk_usage(place).free
    full = free < LEAST_FREE
    remedy = f"`srq cache prune` removes what can be computed again, or let {HOME} name another disk" if full else ""
    yield Finding("disk", "note" if full else "ok", f"{free / 2**30:.1f} GiB free in {place}", remedy)


def _existing(path: Path) -> Path:
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _plugins() -> Iterator[Finding]:
    from ..hooks.plugins import Plugins

    try:
        names = Plugins().method_names()
    except SrqError as error:
        yield Finding("plugins", "bad", str(error), "update or remove that plugin, or block it with SRQ_DISABLE=NAME")
        return
    missing = {"minmax", "2dquant"} - set(names)
    remedy = "the built-in methods are not installed: pip install ." if missing else ""
    yield Finding("methods", "bad" if missing else "ok", ", ".join(names), remedy)
