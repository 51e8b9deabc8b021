"""Plugins that another distribution installed."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

from sr_ptq_bench.hooks import plugin as plugin_home


class Foreign:
    """A distribution."""

    name, version, files = "foreign", "2.0", None


@pytest.fixture
def installed(monkeypatch):
    """Make the environment have entry points of one distribution `foreign 2.0` beside the real ones."""

    def install(**values):
        found = list(entry_points(group="srq"))
        for name, value in values.items():
            entry = EntryPoint(name, value, "srq")
            vars(entry).update(dist=Foreign)
            found.append(entry)
        monkeypatch.setattr(plugin_home, "entry_points", lambda group: found)

    return install


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write an importable module."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write
