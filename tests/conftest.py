"""Fixtures for every test."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tiny import TinySuite
    from webserver import Web

# Tensors are tiny here, and threads would only wait for each other; torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless it is asked for."""
    if not os.environ.get("SRQ_TEST_COMPLETE"):
        for item in items:
            if item.get_closest_marker("complete"):
                item.add_marker(pytest.mark.skip(reason="SRQ_TEST_COMPLETE is not set"))


@pytest.fixture
def benchmark_data() -> Path:
    """The folder with Set5/HR, Set5/LR_bicubic/X2 and so on; the test is skipped where none is named."""
    folder = os.environ.get("SRQ_TEST_DATA")
    if not folder:
        pytest.skip("SRQ_TEST_DATA names no folder of benchmark images")
    return Path(folder)


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache for this test alone, whatever the environment says."""
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SRQ_DISABLE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def tiny_suite(tmp_path: Path) -> TinySuite:
    """The tiny suite of tiny.py in a folder of its own."""
    from tiny import TinySuite

    return TinySuite.write(tmp_path / "tiny")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A web server on this machine, reached without any proxy."""
    from webserver import running

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as server:
        yield server


@dataclass(frozen=True)
class Outcome:
    """What a call of `srq` left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def srq(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call the command line in this process."""
    from sr_ptq_bench.cli import main

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["srq", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
