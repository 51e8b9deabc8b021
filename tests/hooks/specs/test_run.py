"""The hooks of a run in their order, and the options that reach them."""

from __future__ import annotations

from itertools import groupby

import pytest
from mistaken import minmax
from spied import calls, spy
from tiny import plugin, run

from sr_ptq_bench import PluginOptions, SrqError


def test_the_hooks_are_called_in_the_order_of_the_design(log):
    assert [name for name, _ in groupby(log, lambda call: call[0])] == [
        "options", "load_model", "evaluate", "choose_bits",
        "make_quantizer", "transform_model", "init_bounds", "calibrate", "evaluate",
    ]  # fmt: skip


def test_the_options_get_the_values_and_reach_every_hook(log):
    assert calls(log, "options") == [{}, {}, {"strength": "7"}]
    for hook in ("choose_bits", "make_quantizer", "transform_model", "init_bounds"):
        assert {arguments[-1].strength for arguments in calls(log, hook)} == {"7"}
    assert calls(log, "calibrate")[0][3].strength == "7"


def test_options_refuse_before_anything_is_loaded(tiny_suite):
    class Strict(PluginOptions):
        a: int = 1

        @classmethod
        def parse(cls, values):
            if values:
                raise SrqError("never")
            return super().parse(values)

    calls_made = []
    strict = plugin("strict", Strict, init_bounds=lambda: None)
    with pytest.raises(SrqError, match=r"^never$"):
        run(tiny_suite, spy(calls_made), strict, method="strict", a="2")
    assert calls(calls_made, "load_model") == []


def test_options_of_a_component_reach_that_component_only(tiny_suite):
    class One(PluginOptions):
        a: str = "default"

    class Two(PluginOptions):
        b: str = "default"

    seen = {}

    def keep(name, options):
        def make_quantizer(site, options):
            seen[name] = options.model_dump()

        return {"options": options, "make_quantizer": make_quantizer}

    one = plugin("one", init_bounds=minmax, **keep("a", One))
    two = plugin("two", calibrate=lambda: None, **keep("b", Two))
    run(tiny_suite, one, two, method="one+two", **{"one.a": "1"})
    assert seen == {"a": {"a": "1"}, "b": {"b": "default"}}
