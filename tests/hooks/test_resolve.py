"""What `--method` and `-o` name is resolved or refused."""

from __future__ import annotations

import pytest
from refusals import error_of
from tiny import plugin, plugins

from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method

# Methods


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("minmax", ("minmax",)),
        ("minmax+dqc", ("minmax", "dqc")),
        ("dobi+dqc", ("dobi", "dqc")),
        ("2dquant", ("dobi", "dqc")),
    ],
)
def test_components(name, components):
    method = resolve_method(Plugins(), name, {})
    assert (method.name, method.components) == (name, components)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("minmx", "no method 'minmx'; did you mean 'minmax'?"),
        ("2dquan", "no method '2dquan'; did you mean '2dquant'?"),
        ("minmax+dcq", "no method 'dcq'; did you mean 'dqc'?"),
        ("metrics", "no method 'metrics'; "),
        ("", "no method ''; there is: 2dquant, "),
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
    assert error_of(resolve_method, Plugins(), name, {}).startswith(expected)


def test_two_calibrators_are_refused():
    found = plugins(plugin("other", calibrate=lambda: None))
    assert error_of(resolve_method, found, "minmax+dqc+other", {}) == (
        "method 'minmax+dqc+other' has two calibrators, dqc and other; keep one"
    )


def test_transformers_join_without_limit():
    some = [plugin(name, transform_model=lambda student: None) for name in "ab"]
    assert resolve_method(plugins(*some), "a+b+minmax+dqc", {}).components == ("a", "b", "minmax", "dqc")


@pytest.mark.parametrize("compose", [lambda: ("loop",), lambda: ("minmax", "round")])
def test_a_plugin_composed_of_itself_is_refused(compose):
    found = plugins(plugin("loop", compose=compose), plugin("round", compose=lambda: ("loop",)))
    assert error_of(resolve_method, found, "loop", {}).startswith("plugin 'loop' is composed of itself; ")


def test_2dquant_is_dobi_and_dqc_with_their_options():
    given = {"dobi.K": "7", "lr": "0.5", "preset": "official", "dqc.batch": "3"}
    defaults = {"dqc.iterations": 10}
    one, other = (resolve_method(Plugins(), name, given, defaults) for name in ("2dquant", "dobi+dqc"))
    assert one.options == other.options
    assert one.components == other.components
    assert one.options["dobi"].K == 7
    assert one.options["dqc"].lr == 0.5


# Options


def options_of(name, given, defaults=None):
    method = resolve_method(Plugins(), name, given, defaults or {})
    return {part: option_values(method.options[part]) for part in method.components}


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
    assert error_of(resolve_method, Plugins(), "minmax", {}, {"iterations": 12}) == (
        "the suite's option 'iterations' names no plugin; write PLUGIN.iterations"
    )


@pytest.mark.parametrize("method", ["minmax", "2dquant"])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("dqc.iteration", "no option 'dqc.iteration'; did you mean 'dqc.iterations'?"),
        ("minmax.p", "no option 'minmax.p'; there is: none"),
        ("dqcc.lr", "no plugin 'dqcc'; did you mean 'dqc'?"),
        ("Dobi.K", "no plugin 'Dobi'; did you mean 'dobi'?"),
    ],
)
def test_the_suite_s_misspelt_default_is_refused(method, key, expected):
    assert error_of(resolve_method, Plugins(), method, {}, {key: 1}) == f"the suite's option '{key}': {expected}"


def test_the_suite_s_defaults_for_plugins_that_are_not_here_are_left_alone(monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "dobi")
    assert options_of("minmax", {}, {"mine.width": 3, "brecq.lr": 1, "dobi.K": 3}) == {"minmax": {}}


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
    assert error_of(resolve_method, Plugins(), method, {option: "1"}).startswith(expected)


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
    assert error_of(resolve_method, Plugins(), "2dquant", {option: value}).startswith(expected)
