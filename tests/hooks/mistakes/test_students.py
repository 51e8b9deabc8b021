"""Weights, quantizers and bits that a method changes in a wrong way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mistaken import refused
from refusals import error_of
from torch import nn

from sr_ptq_bench import Bits, Quantizer, open_network
from sr_ptq_bench.hooks.check_bits import check_mean_bits
from sr_ptq_bench.quantization.quantize import quantize


def new_parameters(student):
    student.network.fc1.layer.weight = nn.Parameter(student.network.fc1.layer.weight.data * 3)


def new_entries(student):
    student.weights["fc1.weight"] = student.weights["fc1.weight"] * 3


@pytest.mark.parametrize("change", [new_parameters, new_entries])
@pytest.mark.parametrize("hook", ["transform_model", "calibrate"])
def test_weights_that_are_replaced(tiny_suite, hook, change):
    assert refused(tiny_suite, **{hook: change}) == (
        "plugin 'mine': weight fc1.weight is replaced by another tensor; change student.weights['fc1.weight'] in place"
    )


def new_entry(student):
    student.quantizers["query"] = Quantizer(student.quantizers["query"].site, 4)


def new_module(student):
    student.network.fc1.weight_quantizer = Quantizer(student.quantizers["fc1.weight"].site, 8)


@pytest.mark.parametrize(("change", "site"), [(new_entry, "query"), (new_module, "fc1.weight")])
@pytest.mark.parametrize("hook", ["transform_model", "calibrate"])
def test_quantizers_that_are_replaced(tiny_suite, hook, change, site):
    """No state would have them: another student would be scored."""
    assert refused(tiny_suite, **{hook: change}).startswith(
        f"plugin 'mine': the quantizer of site {site} is replaced by another"
    )


def breaks(student):
    student.network.register_forward_pre_hook(lambda *_: 1 / 0)


@pytest.mark.parametrize(
    ("hook", "where"),
    [
        ("transform_model", "the network fails on calibration patches"),
        ("calibrate", "the calibrated network fails on a calibration patch"),
    ],
)
def test_a_network_that_a_method_breaks(tiny_suite, hook, where):
    assert refused(tiny_suite, **{hook: breaks}).startswith(f"method 'mine': {where}: ZeroDivisionError: ")


def bounds_of_no_channels(student):
    student.quantizers["query"].lower.data = torch.zeros(4)
    student.quantizers["query"].upper.data = torch.ones(4)


def bounds_of_other_channels(student):
    student.quantizers["fc1.weight"].lower.data = torch.zeros(3)
    student.quantizers["fc1.weight"].upper.data = torch.ones(3)


@pytest.mark.parametrize("change", [bounds_of_no_channels, bounds_of_other_channels])
def test_bounds_that_fit_no_site_name_the_method(tiny_suite, change):
    assert refused(tiny_suite, calibrate=change).startswith("method 'mine': site ")


def test_the_first_and_last_layer_may_have_more_bits_than_a_method_chose():
    """Bits that one plugin takes from the edges for the rest, and another gives back to the edges."""
    model = replace(open_network(Layers(), "any", 2), first_last_layers=("0", "2"))
    bits = Bits(weight=4, activation=4)
    chosen = {"0.weight": 2, "2.weight": 3, "1.weight": 5}
    student = quantize(model, bits, lambda site, width: Quantizer(site, 8 if site.edge else width), chosen)
    check_mean_bits(student, bits, chosen)
    student.quantizers["1.weight"].bits = 6
    assert "its quantizers of weights have 6.000 bits on average" in error_of(check_mean_bits, student, bits, chosen)


class Layers(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 12, 1), nn.PixelShuffle(2))
