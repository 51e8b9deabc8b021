"""The software and the machine of a run."""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SrqError
from ..records.record import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..hooks.method import Method

_LIBRARIES = {
    "sr_ptq_bench": "sr_ptq_bench",
    "torch": "torch",
    "basicsr": "basicsr",
    "numpy": "numpy",
    "opencv": "opencv-python",
}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def describe(method: Method, device: str, more: Iterable[str] = ()) -> Environment:
    """The machine, and versions of all that took part, also of `more` distributions."""
    versions = library_versions(more)
    for name in method.components:
        plugin = method.plugins.plugins.get(name)
        versions[f"plugin {name}"] = f"{plugin.distribution} {plugin.version}" if plugin else "not installed"
    return Environment(versions=versions | {"python": platform.python_version()}, **describe_machine(device))


def library_versions(more: Iterable[str] = ()) -> dict[str, str]:
    """The versions of the libraries that a run computes with, and of `more` distributions."""
    libraries = _LIBRARIES | {name: name for name in more}
    return {name: _installed_version(distribution) for name, distribution in libraries.items()}


@cache
def _installed_version(name: str) -> str:
    """The version of a distribution, or the name and version of the fork that replaces it."""
    try:
        return version(name)
    except PackageNotFoundError:
        fork = next(iter(packages_distributions().get(name, ())), None)
        return f"{fork} {version(fork)}" if fork else "not installed"


def describe_machine(device: str) -> dict[str, Any]:
    """What may change the last digits of a result: device, threads, platform and processor."""
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
    }


def choose_device(name: str) -> str:
    """`auto` is the GPU if there is one; raises SrqError for a device that this machine lacks."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.empty(0, device=name).device.type
    except (RuntimeError, AssertionError) as error:
        raise SrqError(f"device '{name}' is not available here; expected auto, cpu or cuda") from error
    if kind not in ("cpu", "cuda"):
        raise SrqError(f"device '{name}' cannot run a benchmark; expected auto, cpu or cuda")
    return name


def peak_memory() -> int:
    """The peak resident memory of this process, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks instead of returning each to the system.

    The activations of a network are allocated and freed in every layer; fresh pages for them took half the time of a
    forward pass on a CPU. Does nothing with another C library.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
