"""Quantizers of a method's own come back with all their tensors, or their plugin is named."""

from __future__ import annotations

import pytest
import torch
from refusals import error_of
from states import W4A4, Plain, Scaled, assert_same, scaled_on_operands

from sr_ptq_bench import Bounds, Quantizer
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.state.save_load import load_state, save_state


def test_quantizers_of_own_kinds_come_back_with_all_their_tensors(own):
    teacher, student = own
    found = load_state(save_state(student, teacher), teacher, scaled_on_operands)
    assert isinstance(found.quantizers["mark"], Scaled)
    assert type(found.quantizers["fc.weight"]) is Quantizer
    assert_same(found, student)


def test_a_method_is_asked_for_quantizers_of_its_own_kinds_only(own):
    teacher, student = own
    asked = []

    def make(site, bits):
        asked.append(site.name)
        return scaled_on_operands(site, bits)

    load_state(save_state(student, teacher), teacher, make)
    assert asked == ["conv.input", "fc.input", "mark"]


def test_tensors_of_an_own_kind_may_have_other_shapes_than_when_it_was_made(own):
    teacher, student = own
    student.quantizers["conv.input"].set_bounds(Bounds(-torch.ones(4), torch.ones(4)))
    student.quantizers["conv.input"].gain.data = torch.arange(4.0).view(1, 4, 1, 1)
    assert_same(load_state(save_state(student, teacher), teacher, scaled_on_operands), student)


def test_bits_of_an_own_kind_come_back(own):
    teacher, student = own
    student.quantizers["mark"].bits = 7
    found = load_state(save_state(student, teacher), teacher, lambda site, _bits: scaled_on_operands(site, 3))
    assert found.quantizers["mark"].bits == 7


@pytest.mark.parametrize("make", [None, lambda site, bits: None, Plain, Quantizer])
def test_a_kind_of_a_plugin_that_is_missing_is_named_with_plugin_and_version(own, make):
    teacher, student = own
    assert error_of(load_state, save_state(student, teacher), teacher, make) == (
        "site conv.input has a quantizer of kind 'Scaled' of plugin 'mine' a-test 1.0, which is not at work here"
    )


def test_a_kind_without_a_maker_is_of_an_unknown_plugin(own):
    teacher, student = own
    student.quantizers["conv.input"].maker = None
    message = error_of(load_state, save_state(student, teacher), teacher)
    assert "of kind 'Scaled' of plugin 'unknown' unknown" in message


def test_a_quantizer_keeps_tensors_only(own):
    class Odd(Plain):
        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            pass

    teacher, _ = own
    assert error_of(save_state, quantize(teacher, W4A4, Odd), teacher) == (
        "the quantizer of site conv.weight keeps _extra_state, a dict; expected tensors only"
    )
