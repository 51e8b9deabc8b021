"""Every initializer and every calibrator works on every backbone, in both scopes, as it stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoints import SIDE, loaded
from oracle import edsr, images, msrresnet, sites_of, swinir
from training import Forgetful

from sr_ptq_bench import Batches, Bits
from sr_ptq_bench.backbones.edsr import open_sites as open_edsr
from sr_ptq_bench.backbones.swinir import open_sites as open_swinir
from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.network import with_scope
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize

SPANDREL = ("compact", "dat", "esrgan", "hat", "swinir")
BACKBONES = {
    "edsr": lambda scale: open_edsr(edsr(scale=scale), "edsr", scale),
    "msrresnet": lambda scale: open_edsr(msrresnet(scale=scale), "msrresnet", scale),
    "swinir": lambda scale: open_swinir(swinir((1,), 8, scale=scale), "swinir", scale),
}
CASES = [("edsr", "all"), ("msrresnet", "all"), ("swinir", "linear"), ("swinir", "all")]
FOREIGN = [(name, "all") for name in SPANDREL] + [("swinir", "linear")]
PLUGINS = Plugins()
SHORT = {"iterations": "2", "batch": "1", "patch": str(SIDE), "points": "5", "rounds": "1", "rows": "64"}


def having(hook: str) -> list[str]:
    return [name for name, plugin in PLUGINS.plugins.items() if hook in plugin.hooks()]


CALIBRATORS = having("srq_calibrate")
WHOLE = set(CALIBRATORS) & set(having("srq_init_bounds"))
"""Methods whose calibration begins with their own search of bounds."""
INITIALIZERS = [name for name in having("srq_init_bounds") if name not in WHOLE]


def on_foreign(names: list[str]) -> list:
    """Every method on every architecture of spandrel; by default each on two, and each architecture by every third."""
    return [
        pytest.param(name, *case, marks=pytest.mark.complete if (row + column) % 3 else ())
        for row, name in enumerate(names)
        for column, case in enumerate(FOREIGN)
    ]


@pytest.fixture
def batches() -> Batches:
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Batches(np.stack([photo[:SIDE, :SIDE], photo[SIDE:, SIDE:]]), [photo])


def resolved(name: str):
    """The method with so short a training that it takes no time."""
    components = resolve_method(PLUGINS, name, {}).components
    had = {one: option_values(PLUGINS.options(one, {})) for one in components}
    short = {f"{one}.{key}": value for one in components for key, value in SHORT.items() if key in had[one]}
    return resolve_method(PLUGINS, name, short)


def student_of(method, teacher, bits: str, batches):
    student = quantize(teacher, Bits.parse(bits), method.make_quantizer)
    for name, distribution in observe(student, batches.fixed).items():
        quantizer = student.quantizers[name]
        quantizer.set_bounds(method.init_bounds(quantizer.site, distribution, quantizer.bits))
    return student


def test_there_are_methods() -> None:
    assert {"minmax", "percentile", "dobi"} <= set(INITIALIZERS)
    assert "dqc" in CALIBRATORS


@pytest.mark.parametrize(("backbone", "scope"), CASES)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_initializer_is_nearly_exact_at_8_bits(name, backbone, scope, batches):
    check_initializer(name, with_scope(BACKBONES[backbone](3), scope), batches)


@pytest.mark.parametrize(("backbone", "scope"), CASES)
@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_calibrator_moves_bounds_or_weights(name, backbone, scope, batches):
    check_calibrator(name, with_scope(BACKBONES[backbone](4), scope), batches)


@pytest.mark.parametrize(("name", "architecture", "scope"), on_foreign(INITIALIZERS))
def test_an_initializer_is_nearly_exact_on_spandrel_s(name, architecture, scope, batches, tmp_path):
    check_initializer(name, with_scope(loaded(architecture, 2, tmp_path), scope), batches)


@pytest.mark.parametrize(("name", "architecture", "scope"), on_foreign(CALIBRATORS))
def test_a_calibrator_moves_bounds_or_weights_of_spandrel_s(name, architecture, scope, batches, tmp_path):
    check_calibrator(name, with_scope(loaded(architecture, 2, tmp_path), scope), batches)


def check_initializer(name, teacher, batches):
    student = student_of(resolved(name), teacher, "8", batches)
    lr = images(1, SIDE)
    with torch.no_grad():
        error = (student(lr) - teacher(lr)).abs().mean() / teacher(lr).std()
    assert 0 < error < 0.1  # 8 bits are nearly enough


def check_calibrator(name, teacher, batches):
    method = resolved(name if name in WHOLE else f"minmax+{name}")
    student = student_of(method, teacher, "4", batches)
    trained = student.bound_parameters(), list(student.weights.values())
    before = [[tensor.detach().clone() for tensor in tensors] for tensors in trained]
    figures = method.calibrate(student, teacher, batches, lambda *_: None, Forgetful())
    assert figures.get("checkpoint") or "losses" not in figures  # a training says what it keeps
    moved = [
        sum(not torch.equal(old, new) for old, new in zip(*pair, strict=True))
        for pair in zip(before, trained, strict=True)
    ]
    assert any(2 * count > len(tensors) for count, tensors in zip(moved, trained, strict=True))
    with torch.no_grad():
        assert bool(torch.isfinite(student(images(1, SIDE))).all())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_sites_are_in_the_order_of_the_network(backbone):
    teacher = with_scope(BACKBONES[backbone](4), "all")
    names = [site.name for site in sites_of(quantize(teacher, Bits.parse("4")))]
    assert names[0] == "conv_first.weight"
    assert names[-1] in ("conv_last.input", "upsample.0.input")
