"""Hooks that would not be called, or not with all that they ask for."""

from __future__ import annotations

import pytest
from mistaken import minmax
from refusals import error_of
from tiny import plugin, plugins

from sr_ptq_bench.hooks.plugins import Plugins


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (lambda student, options=None: None, "argument 'options' has a default, and would never get another value"),
        (lambda **everything: None, "**everything gets nothing; name the arguments that it uses"),
        (lambda *everything: None, "*everything gets nothing; name the arguments that it uses"),
        (lambda *, student: None, "argument 'student' comes after a *; leave the * out"),
    ],
)
def test_arguments_that_would_get_nothing(hook, expected):
    assert f"plugin 'mine' of a-test: srq_calibrate: {expected}" in error_of(plugins, plugin("mine", calibrate=hook))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Mine:\n    @hookimpl\n    def srq_calibrate(self): pass\n", "srq_calibrate is in the class Mine; "),
        ("@hookimpl(optionalhook=True)\ndef srq_calibrat(): pass\n", "no hook 'srq_calibrat'; did you mean"),
        ("@hookimpl(specname='srq_calibrate')\ndef train(): pass\n", "no hook 'train'; "),
        ("@hookimpl(wrapper=True)\ndef srq_calibrate(): return (yield)\n", "srq_calibrate is a wrapper of hooks"),
        ("@hookimpl(hookwrapper=True)\ndef srq_calibrate(): yield\n", "srq_calibrate is a wrapper of hooks"),
        ("def init_bounds(): pass\n", "it has no hook; decorate a function such as srq_init_bounds with @hookimpl"),
    ],
)
def test_hooks_that_would_not_be_called(tmp_path, text, expected):
    path = tmp_path / "mine.py"
    path.write_text(f"from sr_ptq_bench import hookimpl\n\n{text}")
    assert f"plugin 'mine' of mine.py: {expected}" in error_of(Plugins, [path])


@pytest.mark.parametrize("name", ["a+b", "my.v2", "my plug", "sr_ptq_bench"])
def test_names_that_no_method_can_have(name):
    assert f"plugin '{name}' of a-test: the name " in error_of(plugins, plugin(name, init_bounds=minmax))
