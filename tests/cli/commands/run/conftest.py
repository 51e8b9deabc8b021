"""Fixtures for calls of `srq run`."""

from __future__ import annotations

import pytest
from tiny import FILE, TinySuite


@pytest.fixture
def run(srq, tiny_suite: TinySuite, tmp_path):
    """`srq run` on the tiny suite at x2, records in `tmp_path/out`."""

    def call(*more, method="minmax", bits="4", out=tmp_path / "out", suite=tiny_suite.path):
        fixed = ("run", "--suite", suite, "--plugin", FILE, "--scale", 2, "--out", out)
        return srq(*fixed, "--method", method, "--bits", bits, *more)

    return call


@pytest.fixture
def records(tmp_path):
    """The records written so far, by suite and name."""

    def find(out=tmp_path / "out"):
        return sorted(out.rglob("*.json"))

    return find
