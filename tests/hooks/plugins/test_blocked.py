"""SRQ_DISABLE blocks plugins by their names."""

from __future__ import annotations

from refusals import error_of

from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method


def test_a_blocked_plugin_is_not_even_imported(installed, module, monkeypatch):
    module("foreign_broken", "1 / 0")
    installed(mine="foreign_broken")
    monkeypatch.setenv("SRQ_DISABLE", " mine, dobi ")
    found = Plugins().plugins
    assert "mine" not in found
    assert "dobi" not in found
    assert "minmax" in found


def test_a_blocked_part_of_a_method_is_unknown(monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "dqc")
    assert error_of(resolve_method, Plugins(), "2dquant", {}).startswith("no method 'dqc'; ")


def test_a_name_to_block_that_no_plugin_has_is_refused(monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "dqc,metrcs")
    assert error_of(Plugins) == "SRQ_DISABLE: no plugin 'metrcs'; did you mean 'metrics'?"


def test_an_empty_srq_disable_blocks_nothing(monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "")
    assert "minmax" in Plugins().plugins
