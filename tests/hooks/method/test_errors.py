"""Errors of a plugin name it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from refusals import error_of
from tiny import plugin, plugins, run

from sr_ptq_bench import PluginOptions
from sr_ptq_bench.errors import PluginError
from sr_ptq_bench.hooks.checks import blame_plugin
from sr_ptq_bench.hooks.resolve import resolve_method


def test_the_host_s_own_errors_are_not_lost():
    with pytest.raises(KeyError), blame_plugin("mine", "query"):
        raise KeyError("x")


@pytest.mark.parametrize("hook", ["choose_bits", "make_quantizer", "transform_model", "init_bounds", "calibrate"])
def test_an_error_of_a_plugin_names_it_and_the_hook_and_keeps_its_traceback(tiny_suite, hook):
    def fails():
        raise ZeroDivisionError("in the\nplugin")

    mine = plugin("mine", **{"calibrate": lambda: None, hook: fails})
    with pytest.raises(PluginError) as caught:
        run(tiny_suite, mine, method="mine" if hook == "init_bounds" else "minmax+mine")
    told = f"plugin 'mine' fails in srq_{hook}: ZeroDivisionError: in the plugin; SRQ_DEBUG=1 shows the traceback"
    assert str(caught.value) == told
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_interruption_is_no_error_of_a_plugin(tiny_suite):
    def calibrate():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")


def test_an_error_of_options_names_the_plugin_and_keeps_its_traceback():
    class Failing(PluginOptions):
        def model_post_init(self, _context):
            raise ZeroDivisionError("in the\nplugin")

    with pytest.raises(PluginError) as caught:
        resolve_method(plugins(plugin("mine", Failing, init_bounds=lambda: None)), "mine", {})
    assert str(caught.value) == (
        "plugin 'mine' fails in Options: ZeroDivisionError: in the plugin; SRQ_DEBUG=1 shows the traceback"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("options", [7, "text", {"lr": 1}, (1, 2), dict, SimpleNamespace, PluginOptions()])
def test_options_are_a_class_of_options(options):
    mine = plugin("mine", options, init_bounds=lambda: None)
    assert error_of(plugins, mine) == (
        f"plugin 'mine': Options is {options!r}; expected a class derived from PluginOptions"
    )


@pytest.mark.parametrize("returned", ["dobi", 3, (1, 2), {"dobi": 1}])
def test_a_composition_is_names(returned):
    message = error_of(resolve_method, plugins(plugin("mine", compose=lambda: returned)), "mine", {})
    assert message.startswith(f"plugin 'mine': srq_compose returns {returned!r}; expected names, such as")
