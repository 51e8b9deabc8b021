"""What the quantization of each part of a network costs: only this part quantized, and all but this part."""

from __future__ import annotations

import math
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import torch

from ..errors import SrqError
from ..evaluation.score import network_upscaler, psnr_of, score_datasets
from ..progress import no_progress
from ..quantization.student import cached_quantized_weights
from ..records.sensitivity import By, Group, Sensitivities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..progress import Progress
    from ..quantization.network import SRModel
    from ..quantization.student import Student
    from .prepare import PreparedRun


def grouped(student: Student, by: By) -> dict[str, list[str]]:
    """The names of a student's sites in groups: single sites, sites of one layer, or sites with one input kind.

    In network order. An operand of a matrix product is a layer of its own; all weights have the input_kind `parameter`.
    """
    groups: dict[str, list[str]] = {}
    for name, quantizer in student.quantizers.items():
        site = quantizer.site
        layer = name.rpartition(".")[0] if site.layer else name
        groups.setdefault({"site": name, "layer": layer, "producer": site.input_kind}[by], []).append(name)
    return groups


def psnr_to_fp(run: PreparedRun, patches: int) -> Callable[[SRModel], float]:
    """Scores a network by its PSNR against the FP output, in dB: peak 1, RGB, not clipped, on the first LR patches.

    Raises SrqError if the run has fewer calibration patches.
    """
    if patches > len(run.batches.patches):
        raise SrqError(f"{patches} patches are more than the {len(run.batches.patches)} of the calibration")
    with torch.inference_mode():
        (lr,) = islice(run.batches.fixed(patches), 1)
        target = run.teacher(lr)

    def psnr(network: SRModel) -> float:
        with torch.inference_mode():
            error = float((network(lr) - target).double().square().mean())
        return math.inf if error == 0 else -10 * math.log10(error)

    return psnr


def psnr_to_hr(run: PreparedRun, dataset: str) -> Callable[[SRModel], float]:
    """Scores a network by its mean PSNR against HR on one of the run's test sets, as tables do."""
    tests = {dataset: run.tests[dataset]}

    def psnr(network: SRModel) -> float:
        upscaler = network_upscaler(network, run.tiles, run.spec.seed)
        scores = score_datasets(upscaler, tests, run.spec.scale, run.plugins, no_progress)
        return psnr_of(scores[dataset].mean)

    return psnr


def sensitivities(
    student: Student, by: By, psnr: Callable[[SRModel], float], unit: str, progress: Progress
) -> Sensitivities:
    """Measure every group twice; the same student and patches give the same result.

    Ranked by rising PSNR with only the group quantized; equal ones in network order.
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
    with only_enabled(student, names), cached_quantized_weights(student):
        return psnr(student.model)


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
