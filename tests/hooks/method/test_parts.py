"""What parts of a method do together, and how a quantizer is fitted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from refusals import error_of
from tiny import plugin, plugins

from sr_ptq_bench import Distribution, Quantizer
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.quantizer import Site

SITE = Site("fc1.weight", "weight", "parameter", 0)


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
