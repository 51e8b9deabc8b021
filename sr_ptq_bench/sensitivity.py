"""How much each part of a network suffers from quantization: it alone quantized, and all but it."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import torch

from . import cells
from .errors import SrqError
from .evaluate import of_network, score
from .formats import Column, Page, Sheet
from .model import weights_quantized_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .hookspecs import Progress
    from .model import SRModel, Student
    from .preparation import Run

By = Literal["site", "layer", "producer"]


@dataclass(frozen=True)
class Group:
    """Sites that are quantized together, and two scores in dB: with only them quantized, and with all but them."""

    name: str
    role: str
    sites: int
    only: float
    without: float


@dataclass(frozen=True)
class Sensitivities:
    """Groups, the most sensitive first, beside the score in dB with everything quantized; `unit` says what dB of."""

    groups: tuple[Group, ...]
    all_quantized: float
    unit: str


def grouped(student: Student, by: By) -> dict[str, list[str]]:
    """The names of a student's sites by site, by the layer that they belong to, or by what made them.

    In network order. An operand of a matrix product is a layer of its own; all weights have the producer `parameter`.
    """
    groups: dict[str, list[str]] = {}
    for name, quantizer in student.quantizers.items():
        site = quantizer.site
        layer = name.rpartition(".")[0] if site.layer else name
        groups.setdefault({"site": name, "layer": layer, "producer": site.producer}[by], []).append(name)
    return groups


def fidelity(run: Run, patches: int) -> Callable[[SRModel], float]:
    """Scores a network by its PSNR against the FP output, in dB: peak 1, RGB, not clipped, on the first LR patches.

    Raises SrqError where the run has fewer calibration patches.
    """
    if patches > len(run.batches.patches):
        raise SrqError(f"{patches} patches are more than the {len(run.batches.patches)} of the calibration")
    with torch.inference_mode():
        (lr,) = islice(run.batches.fixed(patches), 1)
        target = run.model(lr)

    def psnr(network: SRModel) -> float:
        with torch.inference_mode():
            error = float((network(lr) - target).double().square().mean())
        return math.inf if error == 0 else -10 * math.log10(error)

    return psnr


def quality(run: Run, dataset: str) -> Callable[[SRModel], float]:
    """Scores a network by its mean PSNR against HR on one of the run's test sets, as tables do."""
    tests = {dataset: run.tests[dataset]}

    def psnr(network: SRModel) -> float:
        scores = score(of_network(network), tests, run.spec.scale, run.plugins, lambda _done, _total, _note="": None)
        return scores[dataset].mean["psnr"]

    return psnr


def sensitivities(
    student: Student, by: By, psnr: Callable[[SRModel], float], unit: str, progress: Progress
) -> Sensitivities:
    """Measure every group twice; the same student and patches give the same result.

    Ranked by rising PSNR with only the group quantized; of equals the first in network order.
    """
    groups = grouped(student, by)
    every = set(student.quantizers)
    found = []
    for done, (name, sites) in enumerate(groups.items()):
        progress(done, len(groups), name)
        roles = {student.quantizers[site].site.role for site in sites}
        scores = [_scored(student, names, psnr) for names in (set(sites), every - set(sites))]
        found.append(Group(name, " + ".join(sorted(roles, reverse=True)), len(sites), *scores))
    progress(len(groups), len(groups))
    return Sensitivities(tuple(sorted(found, key=lambda group: group.only)), _scored(student, every, psnr), unit)


def _scored(student: Student, names: set[str], psnr: Callable[[SRModel], float]) -> float:
    with only_enabled(student, names), weights_quantized_once(student):
        return psnr(student)


@contextmanager
def only_enabled(student: Student, names: set[str]) -> Iterator[None]:
    """Quantize at these sites and at no others."""
    before = {name: quantizer.enabled for name, quantizer in student.quantizers.items()}
    try:
        for name, quantizer in student.quantizers.items():
            quantizer.enabled = name in names
        yield
    finally:
        for name, quantizer in student.quantizers.items():
            quantizer.enabled = before[name]


def page(found: Sensitivities, title: str, by: By, notes: Mapping[str, str]) -> Page:
    """The ranking as a table; `notes` say what was measured, and on what."""
    gains = [group.without - found.all_quantized for group in found.groups]
    rows = [
        [
            str(rank), group.name, group.role, str(group.sites), cells.number(group.only, "psnr"),
            cells.number(group.without, "psnr"), cells.number(gain, "psnr", "+"),
        ]
        for rank, (group, gain) in enumerate(zip(found.groups, gains, strict=True), 1)
    ]  # fmt: skip
    head = [Column("Rank", "right"), Column(by.capitalize()), Column("Role"), Column("Sites", "right")]
    scores = [Column(name, "right") for name in ("Only this (dB)", "All but this (dB)", "Gain over all (dB)")]
    lines = [
        {
            "rank": rank, by: group.name, "role": group.role, "sites": group.sites, "psnr_only": group.only,
            "psnr_without": group.without, "psnr_all": found.all_quantized,
        }
        for rank, group in enumerate(found.groups, 1)
    ]  # fmt: skip
    said = [f"Everything quantized: {cells.number(found.all_quantized, 'psnr')} dB.", f"All columns: {found.unit}."]
    return Page(
        "Made by `srq analyze`", title, [Sheet([*head, *scores], rows)],
        [*said, *(f"{key}: {value}." for key, value in notes.items())], lines,
    )  # fmt: skip
