"""DBDC: weights, edge layers, whole networks, and the options."""

from __future__ import annotations

import pytest
import torch
from oracle import images
from srq_baselines.dbdc import (
    Options,
    clipped_share,
    srq_init_bounds,
    srq_make_quantizer,
)
from torch import Tensor
from training import convolutional_teacher, supply, teacher_and_student

from sr_ptq_bench import Distribution, Site, SrqError
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize

PLAIN = Site("x", "activation", "layernorm")
CONV = Site("c.weight", "weight", "parameter", 0, layer="conv")
LINEAR = Site("f.weight", "weight", "parameter", 0, layer="linear")


def options(**values) -> Options:
    return Options.parse(values)


def normal(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


# The bounds of a weight


@pytest.mark.parametrize(
    ("granularity", "site", "channels"),
    [
        ("mixed", CONV, True), ("mixed", LINEAR, False),
        ("channel", CONV, True), ("channel", LINEAR, True),
        ("tensor", CONV, False), ("tensor", LINEAR, False),
    ],
)  # fmt: skip
def test_weights_keep_their_range(granularity, site, channels):
    weight = normal(24).view((4, 6) if site is LINEAR else (4, 2, 3, 1))
    found = srq_init_bounds(
        site=site,
        distribution=Distribution.of_tensor(weight, 0),
        bits=2,
        options=options(weight_granularity=granularity, p=0.5),
    ).tensors()
    over = weight.flatten(1) if channels else weight.flatten()
    assert torch.equal(torch.stack(found), torch.stack([over.amin(-1), over.amax(-1)]))


# Edge layers


def test_edge_layers_have_8_bits():
    edge = Site("first.input", "activation", "image", 1, edge=True, layer="conv")
    assert srq_make_quantizer(site=edge, options=options()).bits == 8
    assert srq_make_quantizer(site=edge, options=options(edge_layers_8bit=False)) is None
    assert srq_make_quantizer(site=PLAIN, options=options()) is None


def initialised(bits: str, **values: str):
    """The convolutional network under `dbdc+pac`, as a run builds it."""
    method = resolve_method(Plugins(), "dbdc+pac", {f"dbdc.{key}": value for key, value in values.items()})
    student = quantize(convolutional_teacher(), Bits.parse(bits), method.make_quantizer)
    for name, distribution in observe(student, lambda: [images(4, 32)]).items():
        quantizer = student.quantizers[name]
        quantizer.set_bounds(method.init_bounds(quantizer.site, distribution, quantizer.bits))
    return student


def test_a_convolutional_network():
    quantizers = initialised("w2a4").quantizers
    assert {name: (q.bits, tuple(q.lower.shape)) for name, q in quantizers.items()} == {
        "first.weight": (8, (5,)),
        "first.input": (8, ()),
        "block.0.weight": (2, (6,)),
        "block.0.input": (4, ()),
        "block.2.weight": (2, (5,)),
        "block.2.input": (4, ()),
        "last.weight": (8, (12,)),
        "last.input": (8, ()),
    }


def test_an_edge_layer_is_clipped_by_the_share_of_8_bits():
    narrow = initialised("4", edge_layers_8bit="false").quantizers["last.input"].bounds.tensors()
    wide = initialised("4").quantizers["last.input"].bounds.tensors()
    same = initialised("8", edge_layers_8bit="false").quantizers["last.input"].bounds.tensors()
    assert wide == same
    assert float(wide[1] - wide[0]) > float(narrow[1] - narrow[0])


def test_a_transformer_has_one_pair_a_site():
    teacher, _ = teacher_and_student()
    method = resolve_method(Plugins(), "dbdc", {})
    student = quantize(teacher, Bits.parse("4"), method.make_quantizer)
    for name, distribution in observe(student, supply().fixed).items():
        bounds = method.init_bounds(student.quantizers[name].site, distribution, 4)
        assert bounds.tensors()[0].ndim == 0
    assert {quantizer.bits for quantizer in student.quantizers.values()} == {4}


# Options


def test_the_share_by_bit_width():
    """Between and below the widths that the paper names, the next one above decides."""
    of = {name: [clipped_share(bits, options(preset=name)) for bits in range(2, 9)] for name in ("paper", "official")}
    assert of["paper"] == [5e-4, 5e-4, 5e-4, 1e-4, 1e-4, 1e-5, 1e-5]
    assert of["official"] == [1e-4] * 6 + [1e-5]


def test_a_share_that_is_given_holds_for_all():
    assert {clipped_share(bits, options(p="0.01")) for bits in range(2, 9)} == {0.01}
    assert clipped_share(4, options(p=0)) == 0


def test_presets():
    paper, official = options(), options(preset="official")
    for chosen, offset in ((paper, 0), (official, 1)):
        found = (chosen.p, chosen.lower_edge_offset, chosen.weight_granularity, chosen.edge_layers_8bit)
        assert found == (None, offset, "mixed", True)


def test_a_single_value_wins_over_the_preset():
    chosen = Options.parse({"preset": "official", "lower_edge_offset": "0", "edge_layers_8bit": "false"})
    assert (chosen.lower_edge_offset, chosen.edge_layers_8bit, clipped_share(4, chosen)) == (0, False, 1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"p": 1.0}, {"p": -0.1}, {"p": "nan"}, {"p": "few"}, {"q": 1}, {"lower_edge_offset": 2},
        {"lower_edge_offset": -1}, {"weight_granularity": "row"}, {"edge_layers_8bit": "perhaps"}, {"preset": "x"},
    ],
)  # fmt: skip
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)


def test_a_share_out_of_range_is_said_in_one_line():
    with pytest.raises(SrqError, match=r"^option p: Input should be less than 1, got '2'$"):
        Options.parse({"p": "2"})
