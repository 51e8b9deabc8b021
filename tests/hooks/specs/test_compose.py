"""`srq_compose`, and what holds for every hook."""

from __future__ import annotations

import inspect

import pytest
from spied import spy
from tiny import plugin, plugins, prepare, run

from sr_ptq_bench import Bounds
from sr_ptq_bench.hooks import specs as hookspecs
from sr_ptq_bench.hooks.resolve import resolve_method

HOOKS = sorted(name for name in dir(hookspecs) if name.startswith("srq_"))


def test_srq_compose_names_the_components_in_order():
    both = plugin("both", compose=lambda: ("minmax", "dqc"))
    assert resolve_method(plugins(both), "both", {}).components == ("minmax", "dqc")


def test_srq_compose_may_name_a_composed_plugin():
    nested = plugins(plugin("outer", compose=lambda: ["2dquant", "extra"]), plugin("extra", transform_model=refuse_all))
    assert resolve_method(nested, "outer", {}).components == ("dobi", "dqc", "extra")


def refuse_all():
    raise AssertionError


def test_an_implementation_names_only_the_arguments_that_it_uses(tiny_suite):
    bare = plugin(
        "bare", init_bounds=lambda: Bounds(-1, 1), calibrate=lambda student: {"sites": len(student.quantizers)}
    )
    assert run(tiny_suite, bare, method="bare").figures == {"sites": 6}


def test_only_the_plugins_of_the_method_are_asked(tiny_suite):
    other = []
    run(tiny_suite, spy(other, "other"))
    assert {name for name, _ in other} - {"options"} == {"load_model", "evaluate"}


def test_the_spy_implements_every_hook_of_a_run():
    assert {*spy([]).hooks()} == {*HOOKS} - {"srq_compose"}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_typed_and_documented(hook):
    signature = inspect.signature(getattr(hookspecs, hook))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(argument.annotation is not inspect.Parameter.empty for argument in signature.parameters.values())
    assert len((getattr(hookspecs, hook).__doc__ or "").splitlines()) > 2


def test_prepare_calls_no_hook_of_the_run_itself(tiny_suite):
    calls_made = []
    prepare(tiny_suite.spec("spy"), plugins(spy(calls_made)))
    assert {name for name, _ in calls_made} == {"options", "load_model"}
