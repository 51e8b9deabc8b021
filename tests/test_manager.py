"""Plugins are found, and what `--method` and its options name is resolved or refused."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import FILE, plugin, plugins

from sr_ptq_bench import Bounds, manager
from sr_ptq_bench.hookspecs import hookimpl
from sr_ptq_bench.manager import Plugin, Plugins, option_values

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


def options(values):
    return None


@pytest.fixture
def installed(monkeypatch):
    """Make the environment have entry points of one distribution `foreign 2.0` beside the real ones."""

    def install(**values):
        found = list(entry_points(group="srq"))
        for name, value in values.items():
            entry = EntryPoint(name, value, "srq")
            vars(entry).update(dist=SimpleNamespace(name="foreign", version="2.0"))
            found.append(entry)
        monkeypatch.setattr(manager, "entry_points", lambda group: found)

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
    assert found.method("mine", {}).parts == ("mine",)


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
        "from sr_ptq_bench import Options, hookimpl\n"
        "@dataclass\n"
        "class Pair:\n    x: ClassVar[int] = 1\n    y: int = 2\n"
        "class MyOptions(Options):\n    kind: Literal['a', 'b'] = 'a'\n"
        "@hookimpl\ndef srq_options(values): return MyOptions.parse(values)\n"
        "@hookimpl\ndef srq_init_bounds(): pass\n"
    )
    found = Plugins([tmp_path / "mine.py"])
    assert option_values(found.method("mine", {"kind": "b"}).options["mine"]) == {"kind": "b"}


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
        f"plugin 'mine' of foreign 2.0 fails to import: {reason}; mend it, or block it with SRQ_DISABLE=mine"
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
    assert error_of(Plugins().method, "2dquant", {}).startswith("no method 'dqc'; ")


def test_an_empty_srq_disable_blocks_nothing(monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "")
    assert "minmax" in Plugins().plugins


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [("srq_init_bound", "srq_init_bounds"), ("srq_calibrat", "srq_calibrate"), ("srq_optoins", "srq_options")],
)
def test_a_misspelt_hook_is_an_error_that_names_the_nearest(tmp_path, misspelt, nearest):
    (tmp_path / "mine.py").write_text(METHOD + f"\n@hookimpl\ndef {misspelt}(): pass\n")
    assert error_of(Plugins, [tmp_path / "mine.py"]) == (
        f"plugin 'mine' of mine.py: no hook '{misspelt}'; did you mean '{nearest}'?"
    )


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
    message = error_of(Plugins, [tmp_path / "mine.py"])
    assert message.startswith("plugin 'mine' of mine.py: ")
    assert "distributoin" in message
    assert "\n" not in message


def test_two_plugins_of_one_name_are_an_error_that_names_both(tmp_path):
    (tmp_path / "minmax.py").write_text(METHOD)
    assert error_of(Plugins, [tmp_path / "minmax.py"]) == (
        "two plugins are called 'minmax': sr_ptq_bench and minmax.py"
    )


def test_one_module_under_two_names_is_an_error(installed):
    installed(mine="srq_baselines.minmax")
    assert error_of(Plugins) == "plugins 'mine' and 'minmax' are the same module; keep one"


def test_managers_share_nothing():
    one, other = plugins(plugin("mine", init_bounds=init_bounds)), Plugins()
    assert "mine" in one.method_names()
    assert "mine" not in other.method_names()


def test_hooks_of_a_plugin():
    assert plugin("mine", init_bounds=init_bounds, options=options).hooks() == ["srq_init_bounds", "srq_options"]
    assert Plugin("none", "x", "1", SimpleNamespace(srq_calibrate=calibrate)).hooks() == []


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
        ({"options": options}, False),
    ],
)
def test_what_can_stand_after_method(hooks, expected):
    assert plugin("mine", **hooks).is_method() is expected


def test_method_names_are_those_of_methods_only():
    assert {"minmax", "dobi", "dqc", "2dquant"} <= set(plugins().method_names())
    assert {"tiny", "metrics", "swinir"}.isdisjoint(plugins().method_names())


# Methods


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("minmax", ("minmax",)),
        ("minmax+dqc", ("minmax", "dqc")),
        ("dobi+dqc", ("dobi", "dqc")),
        ("2dquant", ("dobi", "dqc")),
    ],
)
def test_parts(name, parts):
    method = Plugins().method(name, {})
    assert (method.name, method.parts) == (name, parts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("minmx", "no method 'minmx'; did you mean 'minmax'?"),
        ("2dquan", "no method '2dquan'; did you mean '2dquant'?"),
        ("minmax+dcq", "no method 'dcq'; did you mean 'dqc'?"),
        ("metrics", "no method 'metrics'; "),
        ("", "no method ''; there is: 2dquant, dbdc, dobi, "),
        ("minmax+", "no method ''; there is: "),
        ("minmax++dqc", "no method ''; there is: "),
        ("minmax dqc", "no method 'minmax dqc'; "),
        ("minmax+dobi", "method 'minmax+dobi' has two initializers, minmax and dobi; keep one"),
        ("minmax+2dquant", "method 'minmax+2dquant' has two initializers, minmax and dobi; keep one"),
        ("minmax+minmax", "method 'minmax+minmax' names 'minmax' twice"),
        ("2dquant+dqc", "method '2dquant+dqc' names 'dqc' twice"),
        ("dqc", "method 'dqc' has no initializer; put one before it, such as minmax+dqc"),
    ],
)
def test_a_method_that_cannot_be_is_refused(name, expected):
    assert error_of(Plugins().method, name, {}).startswith(expected)


def test_two_calibrators_are_refused():
    found = plugins(plugin("other", calibrate=calibrate))
    assert error_of(found.method, "minmax+dqc+other", {}) == (
        "method 'minmax+dqc+other' has two calibrators, dqc and other; keep one"
    )


def test_transformers_join_without_limit():
    some = [plugin(name, transform_model=lambda student: None) for name in "ab"]
    assert plugins(*some).method("a+b+minmax+dqc", {}).parts == ("a", "b", "minmax", "dqc")


@pytest.mark.parametrize("compose", [lambda: ("loop",), lambda: ("minmax", "round")])
def test_a_plugin_composed_of_itself_is_refused(compose):
    found = plugins(plugin("loop", compose=compose), plugin("round", compose=lambda: ("loop",)))
    assert error_of(found.method, "loop", {}).startswith("plugin 'loop' is composed of itself; ")


def test_2dquant_is_dobi_and_dqc_with_their_options():
    given = {"dobi.K": "7", "lr": "0.5", "preset": "official", "dqc.batch": "3"}
    defaults = {"dqc.iterations": 10}
    one, other = (Plugins().method(name, given, defaults) for name in ("2dquant", "dobi+dqc"))
    assert one.options == other.options
    assert one.parts == other.parts
    assert one.options["dobi"].K == 7
    assert one.options["dqc"].lr == 0.5


# Options


def options_of(name, given, defaults=None):
    method = Plugins().method(name, given, defaults or {})
    return {part: option_values(method.options[part]) for part in method.parts}


def test_a_qualified_option_reaches_its_part():
    assert options_of("2dquant", {"dqc.lr": "1e-3"})["dqc"]["lr"] == 1e-3


def test_an_unqualified_option_reaches_the_part_that_has_it():
    assert options_of("2dquant", {"K": "7"})["dobi"]["K"] == 7


def test_an_unqualified_option_reaches_every_part_that_has_it():
    options = options_of("2dquant", {"preset": "official"})
    assert options["dobi"]["preset"] == options["dqc"]["preset"] == "official"


def test_a_part_without_options_has_none():
    assert options_of("minmax+dqc", {})["minmax"] == {}


def test_the_suite_s_defaults_are_used():
    assert options_of("2dquant", {}, {"dqc.iterations": 12, "dobi.K": 3})["dqc"]["iterations"] == 12


def test_the_user_s_options_win_over_the_suite_s():
    defaults = {"dqc.iterations": 12, "dqc.batch": 5}
    for key in ("dqc.iterations", "iterations"):
        dqc = options_of("2dquant", {key: "99"}, defaults)["dqc"]
        assert (dqc["iterations"], dqc["batch"]) == (99, 5)


def test_the_suite_s_defaults_for_other_methods_are_left_alone():
    assert options_of("minmax", {}, {"dqc.iterations": 12}) == {"minmax": {}}


def test_the_suite_s_defaults_name_their_plugin():
    assert error_of(Plugins().method, "minmax", {}, {"iterations": 12}) == (
        "the suite's option 'iterations' names no plugin; write PLUGIN.iterations"
    )


def test_the_suite_s_misspelt_default_is_refused():
    assert error_of(Plugins().method, "2dquant", {}, {"dqc.iteration": 1}) == (
        "no option 'iteration'; did you mean 'iterations'?"
    )


@pytest.mark.parametrize(
    ("method", "option", "expected"),
    [
        ("2dquant", "lrr", "no option 'lrr'; did you mean 'lr'?"),
        ("2dquant", "dqc.lrr", "no option 'dqc.lrr'; did you mean 'dqc.lr'?"),
        ("2dquant", "dcq.lr", "no option 'dcq.lr'; did you mean 'dqc.lr'?"),
        ("2dquant", "dqc.K", "no option 'dqc.K'; did you mean 'd"),
        ("2dquant", "2dquant.lr", "no option '2dquant.lr'; did you mean 'dqc.lr'?"),
        ("dobi", "dqc.lr", "no option 'dqc.lr'; "),
        ("dobi", "lr", "no option 'lr'; "),
        ("minmax", "p", "no option 'p'; there is: none"),
        ("minmax", "minmax.p", "no option 'minmax.p'; there is: none"),
        ("percentile", "percentle.p", "no option 'percentle.p'; did you mean 'percentile.p'?"),
        ("2dquant", ".lr", "no option '.lr'; "),
        ("2dquant", "dqc.", "no option 'dqc.'; "),
    ],
)
def test_an_unknown_option_names_the_nearest(method, option, expected):
    assert error_of(Plugins().method, method, {option: "1"}).startswith(expected)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("dqc.lr", "fast", "option lr: Input should be a valid number"),
        ("dqc.iterations", "0", "option iterations: Input should be greater than or equal to 1, got '0'"),
        ("preset", "offical", "no preset 'offical'; did you mean 'official'?"),
        ("one_sided", "maybe", "option one_sided: Input should be a valid boolean"),
    ],
)
def test_an_impossible_value_says_what_was_expected(option, value, expected):
    assert error_of(Plugins().method, "2dquant", {option: value}).startswith(expected)


def test_option_values_of_any_kind_of_object():
    @dataclass(frozen=True)
    class Plain:
        lr: float = 0.5

    @dataclass(frozen=True, slots=True)
    class Slots:
        lr: float = 0.5

    for options in (Plain(), Slots(), SimpleNamespace(lr=0.5)):
        assert option_values(options) == {"lr": 0.5}
    assert option_values(None) == {}


# Models and metrics

IMAGE = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "is nan; expected a number or inf"),
        (float("-inf"), "is -inf; expected a number or inf"),
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


@pytest.mark.parametrize("value", [1, 1.5, float("inf"), np.float32(1.5), torch.tensor(1.5), True])
def test_a_score_is_any_kind_of_number(value):
    found = plugins(plugin("mine", evaluate=lambda: {"score": value}))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    assert found.evaluate(IMAGE, IMAGE, 2) == {"score": float(value)}


def test_identities_change_with_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(METHOD)
    before = Plugins([path]).identities("srq_init_bounds")
    path.write_text(METHOD + "# mended\n")
    after = Plugins([path]).identities("srq_init_bounds")
    assert len(set(before) ^ set(after)) == 2
    loaders = Plugins([FILE]).identities("srq_load_model")
    assert [loader.partition(" sr_ptq_bench ")[0] for loader in loaders[:3]] == ["edsr", "spandrel", "swinir"]


def test_hookimpl_marks_a_function_and_leaves_it_callable():
    assert hookimpl(init_bounds)(SimpleNamespace(minimum=0.0, maximum=1.0)) == Bounds(0.0, 1.0)
