"""Pac: the two phases against Adam written out, on both kinds of networks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from srq_baselines.pac import (
    Options,
    distillation_loss,
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
)

from sr_ptq_bench import Student

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
