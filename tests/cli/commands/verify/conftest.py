"""Fixtures for calls of `srq verify`."""

from __future__ import annotations

import pytest
import torch
from tiny import FILE

from sr_ptq_bench.runs import environment


@pytest.fixture(autouse=True)
def one_thread():
    """A record of more threads than this machine has processors counts as one of another machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def processor(monkeypatch):
    """Virtual machines do not name the kind of theirs."""
    monkeypatch.setattr(environment, "_cpu_name", lambda: "Abacus 9")


@pytest.fixture
def measured(srq, tiny_suite, tmp_path):
    """Measure on the tiny suite; the record's path."""

    def call(*more, method="minmax", bits=4):
        fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--out", tmp_path / "out")
        before = set((tmp_path / "out").rglob("*.json"))
        outcome = srq("run", *fixed, "--method", method, "--bits", bits, *more)
        assert outcome.status == 0, outcome.err
        (path,) = set((tmp_path / "out").rglob("*.json")) - before
        return path

    return call


@pytest.fixture
def verify(srq, tiny_suite):
    return lambda *paths: srq("verify", *paths, "--suite", tiny_suite.path, "--plugin", FILE)
