"""Pac: the losses by hand, the two phases against Adam written out, and both kinds of networks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import images, tiny_teacher
from srq_baselines.pac import (
    Options,
    distillation_loss,
    energy_map,
    feature_loss,
    gradient_scales,
    srq_calibrate,
)
from tiny import run
from torch import Tensor
from training import (
    Forgetful,
    exact_supply,
    network,
    quiet,
    supply,
    with_student,
)

from sr_ptq_bench import Batches, SrqError, Student
from sr_ptq_bench.protocol.suite import Suite

QUICK = {"iterations": 2, "batch": 1, "patch": 8}
ROLES = ("activation", "weight")


def options(**values) -> Options:
    return Options.parse(values)


def bounds_of(student: Student, role: str) -> list[Tensor]:
    """Both bounds of every site of a role, one after the other."""
    chosen = [quantizer for quantizer in student.quantizers.values() if quantizer.site.role == role]
    return [end for quantizer in chosen for end in (quantizer.lower, quantizer.upper)]


def numbers(bounds: list[Tensor]) -> list[float]:
    return torch.cat([bound.detach().flatten() for bound in bounds]).tolist()


# The loss


def test_an_energy_map_by_hand():
    """Two tokens of two channels: means of squares 12.5 and 0.5."""
    tokens = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    norm = math.hypot(12.5, 0.5)
    assert energy_map(tokens).tolist() == [pytest.approx([12.5 / norm, 0.5 / norm])]


def test_tokens_and_maps_have_the_same_energy_map():
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert energy_map(maps).shape == (2, 20)
    torch.testing.assert_close(energy_map(maps), energy_map(maps.flatten(2).transpose(1, 2)))


def test_feature_loss_by_hand():
    """Energies (9, 16)/2 and (64, 36)/2 are (.49, .87) and (.87, .49) of norm 1; the mean is over all pixels."""
    student, target = torch.tensor([[[3.0, 0.0], [4.0, 0.0]]]), torch.tensor([[[8.0, 0.0], [0.0, 6.0]]])
    one, other = math.hypot(9, 16), math.hypot(64, 36)
    expected = ((9 / one - 64 / other) ** 2 + (16 / one - 36 / other) ** 2) / 2
    assert float(feature_loss([student], [target])) == pytest.approx(expected)
    assert float(feature_loss([student, student], [target, student])) == pytest.approx(expected / 2)
    assert float(feature_loss([student.repeat(3, 1, 1)], [target.repeat(3, 1, 1)])) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(
    order=st.permutations(range(4)), sign=st.sampled_from([-1.0, 1.0]), size=st.floats(0.1, 10), seed=st.integers(0, 9)
)
def test_what_an_energy_map_does_not_see(order, sign, size, seed):
    """The order of channels, the sign, and the strength of the whole image."""
    feature = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(energy_map(sign * size * feature[:, order]), energy_map(feature))


@pytest.mark.parametrize("kind", ["tokens", "maps"])
@pytest.mark.parametrize("weight", [0.0, 5.0])
@pytest.mark.parametrize("feature_grad", [True, False])
def test_the_whole_loss_is_the_weighted_sum(kind, weight, feature_grad):
    teacher, student = network(kind)
    lr, chosen = images(2, 8), options(feature_weight=weight, feature_grad=feature_grad)
    with torch.no_grad():
        (output, features), (target, targets) = student.with_features(lr), teacher.with_features(lr)
        expected = (output - target).abs().mean() + weight * feature_loss(features, targets)
        torch.testing.assert_close(distillation_loss(student, teacher, lr, chosen), expected)
    assert float(feature_loss(features, targets)) > 0


def gradients(feature_grad: bool, weight: float) -> Tensor:
    teacher, student = network("tokens")
    bounds = [bound.requires_grad_() for bound in student.bound_parameters()]
    loss = distillation_loss(student, teacher, images(2, 8), options(feature_grad=feature_grad, feature_weight=weight))
    return torch.stack(torch.autograd.grad(loss, bounds))


def test_without_feature_gradient_only_the_pixels_teach():
    pixels = gradients(True, 0.0)
    assert torch.equal(gradients(False, 5.0), pixels)
    assert not torch.allclose(gradients(True, 5.0), pixels, rtol=1e-3)


# The scale of the gradients


def test_gradient_scales_by_hand():
    """Three images of 8x8 pixels; a site's bits and the elements of the whole tensor count, channels or not."""
    student = network("maps", "w2a4")[1]
    sizes = {"first": (5 * 27, 3), "block.0": (6 * 45, 5), "block.2": (5 * 6, 6), "last": (12 * 45, 5)}
    expected = {}
    for name, (weight, channels) in sizes.items():
        expected[f"{name}.weight"] = 1 / math.sqrt(weight * 1)
        expected[f"{name}.input"] = 1 / math.sqrt(3 * channels * 64 * 7)
    assert gradient_scales(student, images(3, 8)) == pytest.approx(expected)


def test_gradient_scales_know_operands_and_leave_no_hooks():
    student = network("tokens")[1]
    scales = gradient_scales(student, images(2, 8))
    assert scales.keys() == student.quantizers.keys()
    prefix = "layers.0.residual_group.blocks.0.attn"
    assert scales[f"{prefix}.attention"] == pytest.approx(1 / math.sqrt(2 * 2 * 64 * 64 * 3))
    assert scales[f"{prefix}.query"] == pytest.approx(1 / math.sqrt(2 * 64 * 8 * 3))
    assert not any(quantizer._forward_pre_hooks for quantizer in student.quantizers.values())


# The training


def by_hand(student: Student, teacher, chosen: Options, patches: Iterator[Tensor]) -> list[float]:
    """Two runs of Adam as Kingma and Ba write it, on scaled gradients, with the cosine in closed form."""
    scales = gradient_scales(student, next(patches))
    rates = {
        "activation": (chosen.activation_lr, chosen.activation_lr_last),
        "weight": (chosen.weight_lr, chosen.weight_lr_last),
    }
    losses = []
    for role in ROLES:
        first, last = rates[role]
        bounds = [bound.requires_grad_() for bound in bounds_of(student, role)]
        factors = [scales[name] for name, q in student.quantizers.items() if q.site.role == role for _ in range(2)]
        m, v = [torch.zeros_like(b) for b in bounds], [torch.zeros_like(b) for b in bounds]
        for t in range(1, chosen.iterations + 1):
            loss = distillation_loss(student, teacher, next(patches), chosen)
            losses.append(float(loss.detach()))
            rate = last + (first - last) * 0.5 * (1 + math.cos(math.pi * (t - 1) / chosen.iterations))
            for i, raw in enumerate(torch.autograd.grad(loss, bounds)):
                grad = raw * factors[i]
                m[i] = 0.9 * m[i] + 0.1 * grad
                v[i] = 0.999 * v[i] + 0.001 * grad**2
                bounds[i].data -= rate * m[i] / (1 - 0.9**t) / ((v[i] / (1 - 0.999**t)).sqrt() + 1e-8)
            for lower, upper in zip(bounds[::2], bounds[1::2], strict=True):
                upper.data = torch.max(lower.data, upper.data)
        for bound in bounds:
            bound.requires_grad_(False)
    return losses


@pytest.mark.parametrize("kind", ["tokens", "maps"])
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_the_training_is_adam_in_two_phases(kind, preset):
    chosen = options(preset=preset, **{**QUICK, "iterations": 3, "weight_lr": 1e-3, "weight_lr_last": 4e-4})
    one, other = network(kind), network(kind)
    for model in (*one, *other):
        model.network.double()
    figures = srq_calibrate(
        student=one[1], teacher=one[0], batches=exact_supply(), options=chosen, progress=quiet, checkpoint=Forgetful()
    )
    losses = by_hand(other[1], other[0], chosen, exact_supply().random(chosen.batch, chosen.patch))
    assert figures["losses"] == pytest.approx(losses, rel=1e-6)
    for own, reference in zip(one[1].bound_parameters(), other[1].bound_parameters(), strict=True):
        torch.testing.assert_close(own.detach(), reference.detach(), rtol=0, atol=1e-9)


def calibrated(kind: str = "tokens", seed: int = 0, progress=quiet, **values):
    teacher, student = network(kind)
    chosen = options(**{**QUICK, **values})
    figures = srq_calibrate(
        student=student,
        teacher=teacher,
        batches=supply(seed),
        options=chosen,
        progress=progress,
        checkpoint=Forgetful(),
    )
    return student, teacher, figures


@pytest.mark.parametrize("kind", ["tokens", "maps"])
def test_each_phase_trains_only_its_own_bounds(kind):
    teacher, student = network(kind)
    seen: list[dict[str, list[float]]] = []

    def note(done: int, total: int, note: str = "") -> None:
        seen.append({role: numbers(bounds_of(student, role)) for role in ROLES})

    note(0, 0)
    srq_calibrate(
        student=student,
        teacher=teacher,
        batches=supply(),
        options=options(**QUICK),
        progress=note,
        checkpoint=Forgetful(),
    )
    start, first, middle, third, end = seen
    assert start["weight"] == first["weight"] == middle["weight"] != third["weight"] != end["weight"]
    assert (
        start["activation"] != first["activation"] != middle["activation"] == third["activation"] == end["activation"]
    )


@pytest.mark.parametrize(("role", "rate"), [("activation", 5e-3), ("weight", 5e-6)])
def test_the_first_step_of_a_phase_is_as_long_as_its_learning_rate(role, rate):
    """Adam divides the gradients' scale out again as long as they stay far above its epsilon."""
    teacher, student = network("tokens")
    student.network.double()
    teacher.network.double()
    before = numbers(bounds_of(student, role))
    chosen = options(**{**QUICK, "iterations": 1})
    srq_calibrate(
        student=student, teacher=teacher, batches=exact_supply(), options=chosen, progress=quiet, checkpoint=Forgetful()
    )
    moves = [abs(a - b) for a, b in zip(numbers(bounds_of(student, role)), before, strict=True)]
    assert max(moves) <= 1.001 * rate
    assert sum(move > 0.9 * rate for move in moves) > 0.8 * len(moves)


def test_a_bound_that_a_quantizer_does_not_use_stays(monkeypatch):
    """A method's own quantizer may need but one of the two."""
    teacher, student = network("maps")
    name = "block.2.input"
    quantizer = student.quantizers[name]
    monkeypatch.setattr(quantizer, "quantize", lambda v: torch.minimum(v, quantizer.upper))
    before = [float(end) for end in quantizer.bounds.tensors()]
    srq_calibrate(
        student=student,
        teacher=teacher,
        batches=supply(),
        options=options(**QUICK),
        progress=quiet,
        checkpoint=Forgetful(),
    )
    after = [float(end) for end in quantizer.bounds.tensors()]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_progress_counts_both_phases_and_names_them():
    seen = []
    calibrated(progress=lambda done, total, note="": seen.append((done, total, note)))
    assert seen == [(1, 4, "activation"), (2, 4, "activation"), (3, 4, "weight"), (4, 4, "weight")]


# Patches and whole runs


class Asked(Batches):
    """Tells the size of the patches that it is asked for."""

    def random(self, batch, size, skip=0):
        raise SrqError(f"{batch} of {size}")


@pytest.mark.parametrize(("scale", "side"), [(2, 96), (3, 64), (4, 48)])
def test_patches_are_of_192_hr_pixels(scale, side):
    teacher, student = with_student(tiny_teacher((1,), scale=scale), "4")
    nothing = Asked(supply().patches, supply().images)
    for values, expected in (({}, side), ({"patch": 8}, 8)):
        with pytest.raises(SrqError, match=rf"^2 of {expected}$"):
            srq_calibrate(
                student=student,
                teacher=teacher,
                batches=nothing,
                options=options(**values),
                progress=quiet,
                checkpoint=Forgetful(),
            )


def test_patches_that_are_padded():
    """A patch that is no multiple of the window has larger features, in student and teacher alike."""
    assert len(calibrated(patch=9)[2]["losses"]) == 4


def test_a_run_of_both_parts(tiny_suite):
    spec = {"pac.iterations": 2, "pac.patch": 8}
    record = run(tiny_suite, method="dbdc+pac", **spec)
    assert record.spec.parts == ("dbdc", "pac")
    assert record.spec.options["pac"]["iterations"] == 2
    assert record.spec.options["dbdc"]["p"] is None
    assert record.figures["checkpoint"] == "last"
    assert record.state_sha256 == run(tiny_suite, method="dbdc+pac", **spec).state_sha256
    assert record.state_sha256 != run(tiny_suite, method="dbdc").state_sha256


# Options


def test_presets():
    paper, official = options(), options(preset="official")
    for chosen, feature_grad in ((paper, True), (official, False)):
        found = (
            chosen.iterations, chosen.batch, chosen.patch, chosen.activation_lr, chosen.activation_lr_last,
            chosen.weight_lr, chosen.weight_lr_last, chosen.feature_weight, chosen.feature_grad,
        )  # fmt: skip
        assert found == (250, 2, None, 5e-3, 2e-3, 5e-6, 2e-6, 5.0, feature_grad)


def test_a_single_value_wins_over_the_preset():
    chosen = Options.parse({"preset": "official", "feature_grad": "true", "patch": "48"})
    assert (chosen.preset, chosen.feature_grad, chosen.patch) == ("official", True, 48)


def test_the_sample_suite_gives_as_many_steps_as_to_dqc():
    given = Suite.load("sample").options
    assert 2 * given["pac.iterations"] == given["dqc.iterations"]
    assert all(given[f"pac.{key}"] == given[f"dqc.{key}"] for key in ("batch", "patch"))


@pytest.mark.parametrize(
    "values",
    [
        {"iterations": 0}, {"batch": 0}, {"patch": 4}, {"activation_lr": 0}, {"weight_lr": -1}, {"feature_weight": -1},
        {"weight_lr_last": -1e-9}, {"feature_grad": "some"}, {"lr": 1e-2}, {"preset": "x"}, {"activation_lr": "nan"},
    ],
)  # fmt: skip
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)
