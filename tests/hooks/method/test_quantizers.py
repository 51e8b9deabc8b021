"""Quantizers of a method are checked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from refusals import error_of
from tiny import plugin, run

from sr_ptq_bench import Quantizer

NAN, INF = math.nan, math.inf


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


@pytest.mark.parametrize(("site", "when"), [("fc1.weight", ""), ("query", "dataset 'noise', image 'first': ")])
def test_numbers_that_are_not_finite_name_the_method_and_the_site(tiny_suite, site, when):
    to_nan = quantizing(lambda v: torch.where(v == v.max(), NAN, v))
    mine = plugin("mine", make_quantizer=lambda site, bits, at=site: to_nan(site, bits) if site.name == at else None)
    assert error_of(run, tiny_suite, mine, method="minmax+mine") == (
        f"{when}method 'minmax+mine': site {site}: quantize makes numbers that are not finite of numbers that are"
    )
