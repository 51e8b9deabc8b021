"""What a plugin has: hooks, options, code; and which plugins are methods."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from method_text import METHOD
from tiny import plugin, plugins

from sr_ptq_bench import Bounds, PluginOptions
from sr_ptq_bench.hooks.plugin import Plugin
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.specs import hookimpl


def init_bounds(distribution):
    return Bounds(distribution.minimum, distribution.maximum)


def calibrate():
    return None


class Options(PluginOptions):
    pass


def test_managers_share_nothing():
    one, other = plugins(plugin("mine", init_bounds=init_bounds)), Plugins()
    assert "mine" in one.method_names()
    assert "mine" not in other.method_names()


def test_hooks_of_a_plugin():
    mine = plugin("mine", Options, init_bounds=init_bounds, evaluate=lambda: None)
    assert mine.hooks() == ["srq_evaluate", "srq_init_bounds"]
    assert Plugin("none", "x", "1", SimpleNamespace(srq_calibrate=calibrate), "0" * 64).hooks() == []


def test_options_of_a_plugin():
    assert plugin("mine", Options).options_class is Options
    assert plugin("mine").options_class is None
    module = SimpleNamespace(Options=PluginOptions)  # `from sr_ptq_bench import PluginOptions as Options`
    assert Plugin("mine", "x", "1", module, "0" * 64).options_class is None


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ({"init_bounds": init_bounds}, True),
        ({"calibrate": calibrate}, True),
        ({"compose": lambda: ("minmax",)}, True),
        ({"transform_model": lambda student: None}, True),
        ({"make_quantizer": lambda site: None}, True),
        ({"evaluate": lambda sr: {}}, False),
        ({"load_model": lambda name: None}, False),
        ({"choose_bits": lambda student: None}, True),
        ({"options": Options}, False),
    ],
)
def test_what_can_stand_after_method(hooks, expected):
    assert plugin("mine", **hooks).is_method() is expected


def test_method_names_are_those_of_methods_only():
    assert {"minmax", "dobi", "dqc", "2dquant"} <= set(plugins().method_names())
    assert {"tiny", "metrics", "swinir"}.isdisjoint(plugins().method_names())


def test_the_code_of_a_file_changes_with_what_it_does(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(METHOD)
    before = Plugins([path]).code(["mine", "absent"])
    assert list(before) == ["metrics", "mine"]
    path.write_text(METHOD + "# mended\n")
    assert Plugins([path]).code(["mine"]) == before
    path.write_text(METHOD + "MORE = 1\n")
    after = Plugins([path]).code(["mine"])
    assert {name for name in before if after[name] != before[name]} == {"mine"}


def test_hookimpl_marks_a_function_and_leaves_it_callable():
    assert hookimpl(init_bounds)(SimpleNamespace(minimum=0.0, maximum=1.0)) == Bounds(0.0, 1.0)
