"""`srq sweep` and `srq run` on the tiny suite, into one folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import FILE, TinySuite

from sr_ptq_bench.sweep.local import LocalEngine


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def sweep(srq, tiny_suite: TinySuite, out):
    """`srq sweep` on the tiny suite at x2."""

    def call(*more, methods="minmax", bits="4,2"):
        fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--scales", 2, "--out", out)
        return srq("sweep", *fixed, "--methods", methods, "--bits", bits, *more)

    return call


@pytest.fixture
def run(srq, tiny_suite: TinySuite, out):
    """The cell at four bits, measured alone in this process, which a sweep would start a worker for; its record."""

    def call():
        words = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--out", out)
        outcome = srq("run", *words, "--method", "minmax", "--bits", 4)
        assert outcome.status == 0, outcome.err
        (path,) = out.rglob("*.json")
        return path

    return call


@pytest.fixture
def no_engine(monkeypatch):
    """Nothing may be measured."""

    def run(_self, tasks):
        assert not tasks
        yield from ()

    monkeypatch.setattr(LocalEngine, "run", run)
