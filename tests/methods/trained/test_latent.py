"""Cotrain: what is trained and at which rates, the patches, and the training on networks of a few weights."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
from oracle import images
from srq_cotrain.latent import (
    Options,
    Phase,
    phases,
    srq_calibrate,
    supply,
    trained,
)
from training import (
    Forgetful,
    Killed,
    Memory,
    convolutional_teacher,
    quiet,
    teacher_and_student,
    with_student,
)
from training import supply as patches_of

from sr_ptq_bench import SrqError, distillation_loss
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.quantize import quantize

QUICK = {"iterations": 3, "batch": 1, "patch": 8}


def options(**values) -> Options:
    return Options.parse({**QUICK, **values})


def convolutional(bits: str = "3"):
    return with_student(convolutional_teacher(), bits)


PAIRS = [teacher_and_student, convolutional]


def calibrated(make=teacher_and_student, seed=0, checkpoint=None, progress=quiet, **values):
    teacher, student = make()
    log = srq_calibrate(
        student=student,
        teacher=teacher,
        batches=patches_of(seed),
        options=options(**values),
        progress=progress,
        checkpoint=checkpoint or Forgetful(),
    )
    return student, teacher, log


def tensors(student) -> dict[str, torch.Tensor]:
    return {name: v.detach().clone() for name, v in student.network.state_dict().items()}


def changed(make, **values) -> set[str]:
    before = tensors(make()[1])
    return {name for name, v in tensors(calibrated(make, **values)[0]).items() if not torch.equal(v, before[name])}


@pytest.mark.parametrize(
    ("preset", "budget"), [("minutes", (150, 2, 32)), ("seconds", (15, 2, 32)), ("full", (3000, 32, 64))]
)
def test_presets(preset, budget):
    chosen = Options.parse({"preset": preset})
    assert (chosen.iterations, chosen.batch, chosen.patch) == budget
    assert Options.parse({}).preset == "minutes"


@pytest.mark.parametrize(("values", "edges"), [({}, 8), ({"latent.edge_layers_8bit": "false"}, 2)])
def test_bits_of_the_first_and_last_layer(values, edges):
    method = resolve_method(Plugins(), "cotrain", values)
    student = quantize(convolutional_teacher(), Bits.parse("2"), method.make_quantizer)
    at_edges = {"first", "last"}
    assert {name: q.bits for name, q in student.quantizers.items()} == {
        name: edges if name.split(".")[0] in at_edges else 2 for name in student.quantizers
    }


@pytest.mark.parametrize("values", [{"weight_lr": -1}, {"iterations": 0}, {"small": 1.1}, {"patch": 4}, {"lr": 1}])
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)


def test_cotrain_is_three_plugins():
    assert resolve_method(Plugins(), "cotrain", {}).components == ("center", "mse", "latent")


def test_small_patches_have_the_pixels_of_the_full_ones():
    assert phases(options(iterations=10, batch=2, patch=32, small=1), 8) == [Phase(40, 2, 16), Phase(0, 2, 32)]
    assert phases(options(iterations=10, batch=2, patch=32, small=0.5), 8) == [Phase(20, 2, 16), Phase(5, 2, 32)]
    assert phases(options(iterations=10, batch=2, patch=32, small=0), 8) == [Phase(0, 2, 16), Phase(10, 2, 32)]


def test_a_network_that_takes_no_smaller_patch_sees_them_one_by_one():
    assert phases(options(iterations=10, batch=2, patch=32, small=1), 32) == [Phase(20, 1, 32), Phase(0, 2, 32)]
    assert phases(options(iterations=10, batch=2, patch=32, small=0.5), 64) == [Phase(10, 1, 32), Phase(5, 2, 32)]
    assert phases(options(iterations=9, batch=1, patch=24, small=1), 16)[0] == Phase(20, 1, 16)


@pytest.mark.parametrize(("count_side", "steps"), [(8, 8), (16, 4)])
def test_a_network_that_may_pad_small_patches_inside_sees_whole_ones(count_side, steps):
    def make():
        return with_student(replace(convolutional_teacher(), count_side=count_side), "3")

    assert len(calibrated(make, iterations=2, batch=2, patch=16)[2]["losses"]) == steps


@pytest.mark.parametrize("done", range(6))
def test_the_supply_continues_where_it_was(done):
    plan = [Phase(3, 2, 8), Phase(2, 1, 12)]
    whole = list(supply(patches_of(), plan, 0))
    assert [(len(x), x.shape[-1]) for x in whole] == [(2, 8)] * 3 + [(1, 12)] * 2
    rest = list(supply(patches_of(), plan, done))
    assert len(rest) == 5 - done
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[done:], strict=True))


@pytest.mark.parametrize("make", PAIRS)
def test_a_gradient_reaches_every_tensor_that_is_trained(make):
    teacher, student = make()
    parameters = [p for group in trained(student, options()) for p in group["params"]]
    for parameter in parameters:
        parameter.requires_grad_()
    distillation_loss(student, teacher, images(2, 8), 5.0).backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in parameters)
    assert all(bool((weight.grad != 0).any()) for weight in student.weights.values())


@pytest.mark.parametrize("make", PAIRS)
def test_only_what_a_quantized_network_stores_beside_codes_changes(make):
    _, student = make()
    ours = {id(weight) for weight in student.weights.values()} | {id(bound) for bound in student.bound_parameters()}
    named = dict(student.network.named_parameters())
    layers = {name.removesuffix("weight") + "layer.bias" for name in student.weights}
    allowed = {name for name, p in named.items() if id(p) in ours} | layers
    allowed |= {name for name in named if ".norm" in name or name.startswith(("norm", "patch_embed.norm"))}
    moved = changed(make)
    assert moved <= allowed
    assert {name for name, p in named.items() if id(p) in {id(w) for w in student.weights.values()}} <= moved


def test_layers_in_full_precision_stay_to_the_last_bit():
    _, student = teacher_and_student()
    unquantized = {"conv_first.weight", "conv_first.bias", "conv_after_body.weight", "upsample.0.weight"}
    assert unquantized <= set(tensors(student))
    assert not unquantized & changed(teacher_and_student)


def test_the_teacher_stays():
    teacher, _ = teacher_and_student()
    whole = {name: v.clone() for name, v in teacher.network.state_dict().items()}
    _, used, _ = calibrated()
    assert all(torch.equal(v, whole[name]) for name, v in used.network.state_dict().items())


@pytest.mark.parametrize(
    ("rates", "kind"),
    [
        ({"shift_lr": 0, "bound_lr": 0}, lambda s: list(s.weights.values())),
        ({"weight_lr": 0, "shift_lr": 0}, lambda s: s.bound_parameters()),
    ],
)
def test_a_rate_of_zero_leaves_a_part_as_it_is(rates, kind):
    _, student = teacher_and_student()
    names = {id(p): name for name, p in student.network.named_parameters()}
    moved = changed(teacher_and_student, **rates)
    assert moved
    assert moved <= {names[id(p)] for p in kind(student)}


def test_all_rates_of_zero_are_refused():
    with pytest.raises(SrqError, match="nothing to train"):
        calibrated(weight_lr=0, shift_lr=0, bound_lr=0)


@pytest.mark.parametrize(("bits", "step"), [("2", 1.0), ("3", 3 / 7), ("w4a8", 1 / 5)])
@pytest.mark.parametrize("make", PAIRS)
def test_the_unit_of_a_rate_is_the_size_of_the_tensor_by_the_step_of_its_bits(make, bits, step):
    _, student = make(bits)
    size = {
        id(p): s for group in trained(student, options()) for p, s in zip(group["params"], group["sizes"], strict=True)
    }
    for name, weight in student.weights.items():
        power = {"linear": 2, "conv": 1}[student.quantizers[name].site.layer]
        assert size[id(weight)] == pytest.approx(step**power * float(weight.square().mean().sqrt()))
    for quantizer in student.quantizers.values():
        of_site = 1 / 85 if quantizer.bits == 8 else step
        expected = pytest.approx(of_site * (float(quantizer.upper) - float(quantizer.lower)))
        assert size[id(quantizer.lower)] == size[id(quantizer.upper)] == expected


def test_no_tensor_is_in_two_groups():
    _, student = teacher_and_student()
    parameters = [id(p) for group in trained(student, options()) for p in group["params"]]
    assert len(parameters) == len(set(parameters))


@pytest.mark.parametrize("make", PAIRS)
def test_there_are_no_more_codes_than_the_bits_allow(make):
    student, _, _ = calibrated(make)
    for name, weight in student.weights.items():
        quantizer = student.quantizers[name]
        assert len(torch.unique(quantizer(weight))) <= 2**quantizer.bits


def test_bounds_are_ordered_and_all_is_finite_at_a_wild_rate():
    student, _, log = calibrated(weight_lr=3.0, bound_lr=3.0, iterations=6)
    for quantizer in student.quantizers.values():
        quantizer.bounds.tensors()
    assert all(math.isfinite(loss) for loss in log["losses"])
    assert not any(p.requires_grad for p in student.network.parameters())


def test_the_loss_goes_down_further_than_with_bounds_alone():
    lr = torch.cat(list(islice(patches_of().random(4, 8), 2)))

    def loss(**values) -> float:
        student, teacher, _ = calibrated(lambda: teacher_and_student("2"), iterations=40, batch=4, **values)
        with torch.no_grad():
            return float(distillation_loss(student, teacher, lr, 5.0))

    assert loss(weight_lr=0.05) < 0.9 * loss(weight_lr=0, shift_lr=0)


def test_the_log():
    seen = []
    _, _, log = calibrated(progress=lambda done, total, note="": seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert log["checkpoint"] == "last"
    assert (log["loss_first"], log["loss_last"], len(log["losses"])) == (log["losses"][0], log["losses"][-1], 3)


@pytest.mark.parametrize("killed", [1, 4, 5])
def test_a_killed_training_continues_bit_for_bit(killed):
    values = {"iterations": 2, "patch": 16, "small": 0.5, "batch": 1}
    alone, _, expected = calibrated(**values)
    memory = Memory(killed)
    with pytest.raises(Killed):
        calibrated(checkpoint=memory, **values)
    student, _, log = calibrated(checkpoint=memory, **values)
    assert log == expected
    assert len(log["losses"]) == 5
    assert all(torch.equal(v, tensors(alone)[name]) for name, v in tensors(student).items())


def test_seeds():
    assert calibrated(seed=5)[2] == calibrated(seed=5)[2]
    assert calibrated(seed=0)[2] != calibrated(seed=1)[2]
