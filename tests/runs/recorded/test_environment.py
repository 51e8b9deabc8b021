"""The software and the machine, as a record states them."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from tiny import FILE, plugin, plugins

from sr_ptq_bench import SrqError, basicsr_compat
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.runs import environment
from sr_ptq_bench.runs.environment import choose_device, describe, keep_freed_memory, peak_memory


def test_versions_are_of_all_that_took_part():
    method = resolve_method(plugins(plugin("mine", calibrate=lambda: None)), "minmax+mine", {})
    found = describe(method, "cpu").versions
    assert (found["torch"], found["opencv"]) == (version("torch"), version("opencv-python"))
    fork = basicsr_compat.distribution()
    assert found["basicsr"] == (version(fork) if fork == "basicsr" else f"{fork} {version(fork)}")
    assert {"sr_ptq_bench", "numpy"} < found.keys()
    assert found["python"] == platform.python_version()
    assert found["plugin mine"] == "a-test 1.0"
    assert found["plugin minmax"].startswith("sr_ptq_bench ")


def test_a_plugin_of_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "mine.py"
    known = []
    for body in ("pass", "return None"):
        path.write_text(f"from sr_ptq_bench import hookimpl\n@hookimpl\ndef srq_init_bounds(): {body}\n")
        known.append(describe(resolve_method(Plugins([path]), "mine", {}), "cpu").versions["plugin mine"])
    assert all(re.fullmatch("mine.py sha256 [0-9a-f]{12}", name) for name in known)
    assert known[0] != known[1]


def test_a_plugin_of_a_file_that_does_not_take_part_is_not_named():
    assert "plugin tiny" not in describe(resolve_method(Plugins([FILE]), "minmax", {}), "cpu").versions


def test_the_machine_is_described():
    found = describe(resolve_method(plugins(), "minmax", {}), "cpu")
    assert found.device == "cpu"
    assert found.threads == torch.get_num_threads()
    assert found.platform.startswith(platform.system())
    assert found.cpu


def test_a_cpu_without_proc_has_a_name_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "Path", lambda _: tmp_path / "missing")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert describe(resolve_method(plugins(), "minmax", {}), "cpu").cpu == "unknown"


def test_devices():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "", "cuda:99", "meta", "cpu cpu", "gpu"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(SrqError, match=rf"^device '{name}' .*; expected auto, cpu or cuda$"):
        choose_device(name)


def test_peak_memory_is_in_bytes():
    assert 2**24 < peak_memory() < 2**40


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch, libc):
    calls = []
    library = type("Library", (), {"mallopt": lambda _, *arguments: calls.append(arguments)})
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2"))
    monkeypatch.setattr(environment.ctypes, "CDLL", lambda _: library())
    keep_freed_memory()
    assert len(calls) == (2 if libc == "glibc" else 0)


def test_windows_has_no_module_resource(monkeypatch):
    memory = SimpleNamespace(peak_wset=3 * 2**30)
    process = SimpleNamespace(memory_info=lambda: memory)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(Process=lambda: process))
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(environment, "sys", SimpleNamespace(platform="win32"))
    assert peak_memory() == 3 * 2**30


def test_commands_are_imported_without_what_only_posix_has():
    """`resource`, `fcntl` and `pthread_sigmask` are not on Windows."""
    script = (
        "import signal, sys\n"
        "sys.modules |= {'resource': None, 'fcntl': None, 'pwd': None, 'grp': None}\n"
        "del signal.pthread_sigmask\n"
        "import sr_ptq_bench, sr_ptq_bench.cli.commands.run, sr_ptq_bench.runs.run, sr_ptq_bench.sweep.local\n"
        "from sr_ptq_bench.sweep.local import _interrupts_held_back\n"
        "with _interrupts_held_back(): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
