"""Plugins with misspelt, earlier or equal names are refused, and the right ones told."""

from __future__ import annotations

import pytest
from method_text import METHOD
from refusals import error_of

from sr_ptq_bench.hooks.plugins import Plugins


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
