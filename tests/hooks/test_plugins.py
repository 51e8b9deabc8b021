"""Plugins are found and asked, or refused by name."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import plugin, plugins

from sr_ptq_bench import Bounds, PluginOptions
from sr_ptq_bench.hooks import plugin as plugin_home
from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugin import Plugin
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.hooks.specs import hookimpl

METHOD = """
from sr_ptq_bench import Bounds, hookimpl

@hookimpl
def srq_init_bounds(distribution):
    return Bounds(distribution.minimum, distribution.maximum)
"""


def init_bounds(distribution):
    return Bounds(distribution.minimum, distribution.maximum)


def calibrate():
    return None


class Options(PluginOptions):
    pass


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


# Discovery


def test_what_this_distribution_registers_is_found():
    found = Plugins().plugins
    assert {"swinir", "metrics", "minmax", "percentile", "dbdc", "pac", "dobi", "dqc", "2dquant"} <= found.keys()
    assert found["minmax"].distribution == "sr_ptq_bench"
    assert found["minmax"].version[0].isdigit()


def test_a_foreign_entry_point_is_found(installed, module):
    module("foreign_method", METHOD)
    installed(mine="foreign_method")
    found = Plugins()
    assert (found.plugins["mine"].distribution, found.plugins["mine"].version) == ("foreign", "2.0")
    assert resolve_method(found, "mine", {}).components == ("mine",)


def test_a_plugin_of_a_file_is_named_after_it(tmp_path):
    (tmp_path / "mine.py").write_text(METHOD)
    found = Plugins([tmp_path / "mine.py"])
    assert "mine" in found.method_names()
    assert found.plugins["mine"].distribution == "mine.py"


def test_a_file_may_use_dataclasses_and_options_with_annotations_as_text(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar, Literal\n"
        "from sr_ptq_bench import PluginOptions, hookimpl\n"
        "@dataclass\n"
        "class Pair:\n    x: ClassVar[int] = 1\n    y: int = 2\n"
        "class Options(PluginOptions):\n    kind: Literal['a', 'b'] = 'a'\n"
        "@hookimpl\ndef srq_init_bounds(): pass\n"
    )
    found = Plugins([tmp_path / "mine.py"])
    assert option_values(resolve_method(found, "mine", {"kind": "b"}).options["mine"]) == {"kind": "b"}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.py", None, "no plugin file {path}"),
        ("text.txt", "hello", "plugin file {path} is no Python file"),
        ("broken.py", "def", "plugin file {path} fails to import: SyntaxError: "),
        ("absent.py", "import no_such_module", "plugin file {path} fails to import: ModuleNotFoundError: No module"),
    ],
)
def test_a_file_that_is_no_plugin_is_named(tmp_path, name, content, expected):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    assert error_of(Plugins, [path]).startswith(expected.format(path=path))


def test_a_folder_is_no_plugin_file(tmp_path):
    assert error_of(Plugins, [tmp_path]) == f"no plugin file {tmp_path}"


def test_a_file_that_fails_to_import_leaves_no_module_behind(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    error_of(Plugins, [tmp_path / "broken.py"])
    assert "srq_plugin_broken" not in sys.modules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_fails_to_import_is_named_with_its_distribution(installed, module, text, reason):
    module("foreign_broken", text)
    installed(mine="foreign_broken")
    assert error_of(Plugins) == (
        f"plugin 'mine' of foreign 2.0 fails to import: {reason}; repair it, or block it with SRQ_DISABLE=mine"
    )


def test_an_entry_point_to_nothing_is_named(installed):
    installed(mine="no_such_module")
    assert error_of(Plugins).startswith("plugin 'mine' of foreign 2.0 fails to import: ModuleNotFoundError")


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


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [("srq_init_bound", "srq_init_bounds"), ("srq_calibrat", "srq_calibrate"), ("srq_choose_bit", "srq_choose_bits")],
)
def test_a_misspelt_hook_is_an_error_that_names_the_nearest(tmp_path, misspelt, nearest):
    (tmp_path / "mine.py").write_text(METHOD + f"\n@hookimpl\ndef {misspelt}(): pass\n")
    assert error_of(Plugins, [tmp_path / "mine.py"]) == (
        f"plugin 'mine' of mine.py: no hook '{misspelt}'; did you mean '{nearest}'?"
    )


def test_the_removed_hook_for_options_leads_to_the_class(tmp_path):
    (tmp_path / "mine.py").write_text(METHOD + "\n@hookimpl\ndef srq_options(): pass\n")
    assert error_of(Plugins, [tmp_path / "mine.py"]) == (
        "plugin 'mine' of mine.py: the hook srq_options is gone; "
        "write `class Options(PluginOptions)` in the plugin's module"
    )


@pytest.mark.parametrize(("old", "new"), [("Options", "PluginOptions"), ("Figures", "CalibrationLog")])
def test_an_earlier_name_leads_to_that_of_today(tmp_path, old, new):
    (tmp_path / "mine.py").write_text(f"from sr_ptq_bench import {old}, hookimpl\n")
    assert error_of(Plugins, [tmp_path / "mine.py"]).endswith(f"; {old} is called {new} now")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def srq_init_bounds(site):\n    pass\n", "lacks @hookimpl"),
        ("@hookimpl\nclass srq_init_bounds:\n    pass\n", "is no function"),
    ],
)
def test_what_bears_a_hook_s_name_and_would_not_be_called_is_an_error(tmp_path, text, what):
    path = tmp_path / "mine.py"
    path.write_text(f"from sr_ptq_bench import hookimpl\n\n{text}")
    assert error_of(Plugins, [path]) == f"plugin 'mine' of mine.py: srq_init_bounds {what}"


def test_a_misspelt_argument_is_an_error_that_names_the_plugin(tmp_path):
    (tmp_path / "mine.py").write_text(METHOD.replace("distribution", "distributoin"))
    assert error_of(Plugins, [tmp_path / "mine.py"]) == (
        "plugin 'mine' of mine.py: srq_init_bounds: no argument 'distributoin'; did you mean 'distribution'?"
    )


def test_two_plugins_of_one_name_are_an_error_that_names_both(tmp_path):
    (tmp_path / "minmax.py").write_text(METHOD)
    assert error_of(Plugins, [tmp_path / "minmax.py"]) == (
        "two plugins are called 'minmax': sr_ptq_bench and minmax.py; "
        "rename one, or block the installed one with SRQ_DISABLE=minmax"
    )


def test_two_files_of_one_name_cannot_be_blocked(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(METHOD)
    message = error_of(Plugins, [tmp_path / "one/mine.py", tmp_path / "other/mine.py"])
    assert message == "two plugins are called 'mine': mine.py and mine.py; rename one"


def test_one_module_under_two_names_is_an_error(installed):
    installed(mine="srq_baselines.minmax")
    assert error_of(Plugins) == "plugins 'mine' and 'minmax' are the same module; keep one"


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


# Models and metrics

IMAGE = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "is nan; expected a number up to 1e+200, or inf"),
        (float("-inf"), "is -inf; expected a number up to 1e+200, or inf"),
        (1e301, "is 1e+301; expected a number up to 1e+200, or inf"),
        ("high", "is 'high'; expected a number"),
        (None, "is None; expected a number"),
        ([1.0, 2.0], "is [1.0, 2.0]; expected a number"),
    ],
)
def test_a_score_is_a_number(value, expected):
    found = plugins(plugin("mine", evaluate=lambda: {"score": value}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    assert error_of(found.evaluate, IMAGE, IMAGE, 2) == f"plugin 'mine': metric 'score' {expected}"


@pytest.mark.parametrize("name", ["", "/abs", "~x", "C:\\x", "a\nb", 3])
def test_a_metric_has_a_name_that_a_record_can_hold(name):
    found = plugins(plugin("mine", evaluate=lambda: {name: 1.0}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    said = f"plugin 'mine': a metric is called {name!r}; expected a printable name and no path"
    assert error_of(found.evaluate, IMAGE, IMAGE, 2) == said


@pytest.mark.parametrize("value", [1, 1.5, float("inf"), np.float32(1.5), torch.tensor(1.5), True])
def test_a_score_is_any_kind_of_number(value):
    found = plugins(plugin("mine", evaluate=lambda: {"score": value}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    assert found.evaluate(IMAGE, IMAGE, 2) == {"score": float(value)}


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
