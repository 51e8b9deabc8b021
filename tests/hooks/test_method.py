"""What a plugin returns is checked, and an error names the plugin and the site."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import plugin, plugins, run

from sr_ptq_bench import Bounds, Distribution, PluginOptions, Quantizer
from sr_ptq_bench.errors import PluginError
from sr_ptq_bench.hooks.checks import blame_plugin, checked_log
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.quantizer import Site

NAN, INF = math.nan, math.inf
TENSOR = torch.tensor([[-1.0, 2.0], [0.5, 3.0], [-4.0, 1.0]])
PER_TENSOR = Distribution.of_tensor(TENSOR)
PER_CHANNEL = Distribution.of_tensor(TENSOR, channel_axis=0)
SITE = Site("fc1.weight", "weight", "parameter", 0)


def method_that_returns(bounds):
    return resolve_method(plugins(plugin("mine", init_bounds=lambda: bounds)), "mine", {})


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(NAN, 1.0), "bounds are not finite"),
        (Bounds(0.0, NAN), "bounds are not finite"),
        (Bounds(-INF, INF), "bounds are not finite"),
        (Bounds(0.0, 1e300), "bounds are not finite"),
        (Bounds(1.0, 0.5), "a lower bound is above its upper bound"),
        (Bounds(torch.tensor([0.0, 2.0, 0.0]), torch.ones(3)), "a lower bound is above its upper bound"),
        (Bounds(torch.zeros(3), 1.0), "bounds of shapes (3,) and (); expected () or (C,), both the same"),
        (Bounds(torch.zeros(1, 3), torch.ones(1, 3)), "bounds of shapes (1, 3) and (1, 3); expected () or (C,), "),
        (
            Bounds(torch.zeros(4), torch.ones(4)),
            "4 pairs of bounds; expected one pair of shape (), or one for each of 3 channels",
        ),
        (
            Bounds(torch.zeros(1), torch.ones(1)),
            "1 pairs of bounds; expected one pair of shape (), or one for each of 3 channels",
        ),
        (Bounds("a", 1.0), "bounds are no numbers: "),
        (Bounds(None, 1.0), "a bound is None; a site without channels has neither "),
        ((0.0, 1.0), "expected Bounds, got a tuple"),
        (0.5, "expected Bounds, got a float"),
    ],
)
def test_bad_bounds_name_the_plugin_and_the_site(bounds, expected):
    message = error_of(method_that_returns(bounds).init_bounds, SITE, PER_CHANNEL, 4)
    assert message.startswith(f"plugin 'mine', site fc1.weight: {expected}")


def test_bounds_per_channel_of_a_site_without_channels_are_refused():
    bounds = Bounds(torch.zeros(3), torch.ones(3))
    assert error_of(method_that_returns(bounds).init_bounds, SITE, PER_TENSOR, 4) == (
        "plugin 'mine', site fc1.weight: 3 pairs of bounds; expected one pair of shape (): it has no channels"
    )


def test_no_bounds_at_all_name_the_method_and_the_site():
    assert error_of(method_that_returns(None).init_bounds, SITE, PER_TENSOR, 4) == (
        "plugin 'mine', site fc1.weight: srq_init_bounds returns None; "
        "expected Bounds(lower, upper) for every site; is a `return` missing?"
    )


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(0.0, 1.0),
        Bounds(0, 1),
        Bounds(0.5, 0.5),
        Bounds(np.float64(0), np.float32(1)),
        Bounds(torch.tensor(0.0), torch.tensor(1.0, dtype=torch.float64)),
        Bounds(torch.zeros(3), torch.ones(3)),
    ],
)
def test_good_bounds_are_handed_on_as_they_are(bounds):
    assert method_that_returns(bounds).init_bounds(SITE, PER_CHANNEL, 4) is bounds


def test_bounds_that_a_calibrator_leaves_are_checked(tiny_suite):
    def calibrate(student):
        student.quantizers["query"].lower.data.fill_(NAN)

    assert error_of(run, tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine") == (
        "plugin 'mine', site query: bounds are not finite"
    )


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({1: 2.0}, "log entry '1': Input should be a valid string"),
        ({"file": "/tmp/x"}, "log entry 'file': a record holds no absolute paths"),
        ({"a": "\ud800"}, "log entry 'a': 'utf-8' codec can't encode"),
        ({"a": 10**5000}, "log entry 'a': Exceeds the limit"),
        ({"losses": [0.1] * 10**6}, "log entry 'losses' takes 5000012 bytes; a record holds 4194304"),
        ({"loss": NAN}, "log entry 'loss' is nan; expected finite numbers"),
        ({"loss": INF}, "log entry 'loss' is inf; expected finite numbers"),
        ({"losses": [1.0, -INF]}, "log entry 'losses' is -inf; expected finite numbers"),
        ({"loss": np.float64("nan")}, "log entry 'loss' is nan; expected finite numbers"),
        ({"loss": torch.tensor(1.0)}, "log entry 'loss' holds a Tensor; expected a number, text or a list of numbers"),
        ({"losses": [torch.tensor(1.0)]}, "log entry 'losses' holds a Tensor; expected a number, text or a list"),
        ({"losses": ["a"]}, "log entry 'losses' holds a str; expected a number, text or a list of numbers"),
        ({"loss": None}, "log entry 'loss' holds a NoneType; expected a number, text or a list of numbers"),
        ({"loss": {"a": 1.0}}, "log entry 'loss' holds a dict; expected a number, text or a list of numbers"),
    ],
)
def test_a_bad_log_names_the_plugin_and_the_entry(figures, expected):
    assert error_of(checked_log, "mine", figures).startswith(f"plugin 'mine': {expected}")


def test_the_log_of_a_calibrator_is_checked(tiny_suite):
    mine = plugin("mine", calibrate=lambda: {"loss": NAN})
    assert error_of(run, tiny_suite, mine, method="minmax+mine") == (
        "plugin 'mine': log entry 'loss' is nan; expected finite numbers"
    )


def test_a_log_is_a_dict():
    assert error_of(checked_log, "mine", [1.0]) == "plugin 'mine' returns its log as a list; expected a dict"


def test_a_good_log_is_handed_on_as_it_is():
    figures = {"a": 1, "b": 0.5, "c": "text", "d": True, "e": [1.0, 2], "f": (1.0,), "g": []}
    assert checked_log("mine", figures) is figures


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


def other_site(site, bits):
    return Quantizer(replace(site, name="other"), bits)


def of_bits(bits):
    return lambda site: Quantizer(site, bits)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: 4, "srq_make_quantizer returns a int; expected a Quantizer"),
        (lambda: Quantizer, "srq_make_quantizer returns a type; expected a Quantizer"),
        (lambda site: torch.nn.Identity(), "srq_make_quantizer returns a Identity; expected a Quantizer"),
        (other_site, "srq_make_quantizer returns the quantizer of site other; make one for each"),
        (of_bits(0), "the quantizer has 0 bits; expected 1 to 32"),
        (of_bits("4"), "the quantizer has '4' bits; expected 1 to 32"),
    ],
)
def test_a_quantizer_that_is_none_names_the_plugin_and_the_site(tiny_suite, made, expected):
    message = error_of(run, tiny_suite, plugin("mine", make_quantizer=made), method="minmax+mine")
    assert message == f"plugin 'mine', site fc1.weight: {expected}"


def quantizing(function):
    class Odd(Quantizer):
        def quantize(self, v):
            return function(v)

    def make_quantizer(site, bits):  # pluggy takes no class for a hook
        return Odd(site, bits)

    return make_quantizer


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda v: v.double(), "torch.float64 on cpu; expected"),
        (lambda v: v[:1], "torch.float32 on cpu; expected"),
        (lambda v: v.flatten(), "torch.float32 on cpu; expected"),
        (lambda v: None, "quantize returns a NoneType"),
    ],
)
def test_a_quantizer_returns_a_tensor_like_its_input(tiny_suite, function, expected):
    message = error_of(run, tiny_suite, plugin("mine", make_quantizer=quantizing(function)), method="minmax+mine")
    assert "plugin 'mine', site fc1.weight: quantize returns " in message
    assert expected in message


@pytest.mark.parametrize("where", ["quantize", "levels_of"])
def test_an_error_of_a_quantizer_names_the_plugin_and_the_site(tiny_suite, where):
    def fail(self, v):
        raise KeyError("scale")

    broken = type("Broken", (Quantizer,), {where: fail})

    def make_quantizer(site, bits):  # pluggy takes no class for a hook
        return broken(site, bits)

    made = plugin("mine", make_quantizer=make_quantizer)
    message = error_of(run, tiny_suite, made, method="minmax+mine")
    assert f"plugin 'mine' fails in {where}, site " in message
    assert message.endswith(": KeyError: 'scale'; SRQ_DEBUG=1 shows the traceback")


def test_a_quantizer_of_one_s_own_that_does_all_right_is_measured(tiny_suite):
    run(tiny_suite, plugin("mine", make_quantizer=quantizing(lambda v: v.sign() * 0.5)), method="minmax+mine")


def test_a_quantizer_that_is_left_off_names_the_plugin_and_the_site(tiny_suite):
    """What is scored is made anew from the state, with all quantizers on."""

    def turn_off(student):
        student.quantizers["query"].enabled = False

    def off(site, bits):
        made = Quantizer(site, bits)
        made.enabled = False
        return made

    expected = "the quantizer is off, and would be scored as if it were on; give it more bits instead"
    calibrator = plugin("mine", calibrate=turn_off)
    assert error_of(run, tiny_suite, calibrator, method="minmax+mine") == f"plugin 'mine', site query: {expected}"
    maker = plugin("mine", make_quantizer=off)
    assert error_of(run, tiny_suite, maker, method="minmax+mine") == f"plugin 'mine', site fc1.weight: {expected}"


def test_weights_that_a_transformation_ruins_name_the_plugin(tiny_suite):
    def to_nan(student):
        student.weights["fc1.weight"].data.fill_(NAN)

    def to_shape(student):
        student.weights["fc1.weight"].data = torch.zeros(2, 2)

    def to_half(student):
        student.network.half()

    expected = {
        to_nan: "has values that are not finite",
        to_shape: "is (2, 2) torch.float32 now; expected (8, 4) torch.float32",
        to_half: "is (8, 4) torch.float16 now; expected (8, 4) torch.float32",
    }
    for function, end in expected.items():
        message = error_of(run, tiny_suite, plugin("mine", transform_model=function), method="minmax+mine")
        assert message.startswith("plugin 'mine': ")
        assert message.endswith(end)


def test_weights_that_a_calibrator_ruins_name_the_plugin(tiny_suite):
    def calibrate(student):
        student.network.head.weight.data.fill_(INF)

    message = error_of(run, tiny_suite, plugin("mine", calibrate=calibrate), method="minmax+mine")
    assert message == "plugin 'mine': the network's head.weight has values that are not finite"


@pytest.mark.parametrize(("site", "when"), [("fc1.weight", ""), ("query", "dataset 'noise', image 'first': ")])
def test_numbers_that_are_not_finite_name_the_method_and_the_site(tiny_suite, site, when):
    to_nan = quantizing(lambda v: torch.where(v == v.max(), NAN, v))
    mine = plugin("mine", make_quantizer=lambda site, bits, at=site: to_nan(site, bits) if site.name == at else None)
    assert error_of(run, tiny_suite, mine, method="minmax+mine") == (
        f"{when}method 'minmax+mine': site {site}: quantize makes numbers that are not finite of numbers that are"
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: SimpleNamespace(), "srq_load_model returns a SimpleNamespace; expected an SRModel"),
        (lambda model: replace(model, scale=3), "srq_load_model returns a model of scale 3; expected 2"),
        (
            lambda model: replace(model, size_multiple=0),
            "the model's size_multiple is 0; expected a number of pixels, 1 or more",
        ),
        (lambda model: replace(model, features=("x",)), "the model's features name 'x', which the network does not"),
        (
            lambda model: replace(
                model, network=torch.nn.Identity(), input_kinds={}, features=(), first_last_layers=()
            ),
            "the model's network has no parameters",
        ),
    ],
)
def test_a_model_that_cannot_be_names_the_plugin(tiny_suite, change, expected):
    def load_model(name, scale, weights):
        import tiny

        return change(tiny.srq_load_model("tiny", scale, weights)) if name == "odd" else None

    tiny_suite.change(model="odd")
    message = error_of(run, tiny_suite, plugin("mine", load_model=load_model))
    assert message.startswith(f"plugin 'mine': {expected}")


@pytest.mark.parametrize("scores", [7, [("psnr", 1.0)], {1: 2.0}, {"": 1.0}, {"a\n": 1.0}, {"x": torch.zeros(2)}])
def test_scores_that_are_none_name_the_plugin(tiny_suite, scores):
    message = error_of(run, tiny_suite, plugin("mine", evaluate=lambda: scores))
    assert ": plugin 'mine': " in message


def test_whether_a_method_changes_weights():
    found = plugins(plugin("rewrite", transform_model=lambda student: None))
    assert resolve_method(found, "rewrite+minmax", {}).transforms
    assert not resolve_method(found, "minmax", {}).transforms


def test_every_transformer_is_called_in_order():
    called = []
    some = [plugin(name, transform_model=lambda student, name=name: called.append(name)) for name in "ba"]
    student = SimpleNamespace(weights={}, quantizers={}, network=torch.nn.Identity())
    resolve_method(plugins(*some), "b+a+minmax", {}).transform(student, SimpleNamespace())
    assert called == ["b", "a"]


class Scaled(Quantizer):
    """Has a step of its own, which it takes from the distribution."""

    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.step = torch.nn.Parameter(torch.zeros(()), requires_grad=False)

    def fit(self, distribution):
        self.step.data.fill_(distribution.quantile(0.5))


def test_a_quantizer_is_fitted_to_the_distribution_of_its_site():
    mine = plugin("mine", make_quantizer=lambda site, bits: Scaled(site, bits))  # noqa: PLW0108
    method = resolve_method(plugins(mine), "minmax+mine", {})
    quantizer = method.make_quantizer(SITE, 4)
    method.initialize(quantizer, Distribution.of_tensor(torch.tensor([-1.0, 0.25, 3.0])))
    assert (float(quantizer.step), float(quantizer.lower), float(quantizer.upper)) == (0.25, -1.0, 3.0)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda self, _: self.step.data.fill_(torch.nan), "plugin 'mine', site fc1.weight: the quantizer's step has"),
        (lambda self, _: self.upper.data.fill_(-5), "plugin 'mine', site fc1.weight: a lower bound is above its upper"),
        (lambda self, d: d.median, "plugin 'mine' fails in fit, site fc1.weight: AttributeError: "),
    ],
)
def test_a_quantizer_that_fits_itself_badly(fit, message):
    kind = type("Bad", (Scaled,), {"fit": fit})
    mine = plugin("mine", make_quantizer=lambda site, bits: kind(site, bits))  # noqa: PLW0108
    method = resolve_method(plugins(mine), "minmax+mine", {})
    quantizer = method.make_quantizer(SITE, 4)
    seen = Distribution.of_tensor(torch.tensor([-1.0, 0.25, 3.0]))
    assert error_of(method.initialize, quantizer, seen).startswith(message)
