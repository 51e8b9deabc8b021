"""Keys of everything that is kept: one function per kind of entry, each a list of ingredients.

A forgotten ingredient gives wrong numbers and no error. Code counts by what it does: comments, docstrings and
formatting do not matter (`hooks.code`). The paths of a checkout, a home folder or an image file do not matter either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hooks.code import HOST, host_sha256
from .environment import describe_machine, library_versions

if TYPE_CHECKING:
    from ..quantization.student import Student
    from .prepare import PreparedRun

Key = dict[str, Any]


def interpolation_scores(run: PreparedRun, name: str) -> Key:
    """The scores of bicubic or bilinear interpolation on the test sets."""
    return {
        "what": "scores",
        "upscaler": name,
        "scale": run.spec.scale,
        "test": run.hashes.test,
        "metrics": run.plugins.code(()),
        "software": _software(run),
    }


def fp_scores(run: PreparedRun) -> Key:
    """The scores of the full-precision (FP) network on the test sets."""
    tiles = run.tiles.model_dump() if run.tiles else None
    return interpolation_scores(run, "fp") | {"network": _network(run), "tiles": tiles}


def student_scores(run: PreparedRun) -> Key:
    """The scores of a student on the test sets, beside its state."""
    return fp_scores(run) | {"upscaler": "student", "seed": run.spec.seed}


def distributions(run: PreparedRun, student: Student) -> Key:
    """The distributions of all sites of the FP network on the calibration patches."""
    return {
        "what": "distributions",
        "network": _network(run),
        "calibration": run.hashes.calibration,
        "sites": [repr(quantizer.site) for quantizer in student.quantizers.values()],
        "software": _software(run),
    }


def output_costs(run: PreparedRun, student: Student) -> Key:
    """What errors at the sites cost at the output of the FP network, for the values of their distributions."""
    return distributions(run, student) | {"what": "output costs"}


def teacher_outputs(run: PreparedRun) -> Key:
    """Outputs of the FP network on training patches; the key has the machine, which may change the last digits."""
    return {
        "what": "teacher outputs",
        "network": _network(run),
        "features": list(run.teacher.features),
        "machine": _machine(run),
        "software": _software(run),
    }


def calibrated_state(run: PreparedRun) -> Key:
    """The state of the student after calibration; test sets and tiles are not in the key."""
    spec = run.resolved.model_dump(mode="json", exclude={"suite", "tiles", "method"})
    return {
        "what": "state",
        "spec": spec,
        "network": _network(run),
        "calibration": run.hashes.calibration,
        "plugins": {name: run.plugins.plugins[name].code for name in run.method.components},
        "machine": _machine(run),
        "software": _software(run),
    }


def code(run: PreparedRun) -> dict[str, str]:
    """The code that takes part in a run, by plugin; `sr_ptq_bench` stands for this package."""
    return {HOST: host_sha256(), **run.plugins.code([*run.method.components, run.loader])}


def _network(run: PreparedRun) -> Key:
    """A network, the way it is loaded, and the way it sees images."""
    return {
        "model": run.resolved.model,
        "scale": run.spec.scale,
        "loader": run.plugins.plugins[run.loader].code,
        "weights": run.hashes.weights,
        "padding": run.resolved.padding,
        "scope": run.resolved.scope,
        "device": str(run.teacher.device),
    }


def _software(run: PreparedRun) -> Key:
    """The versions of the libraries, and the code of this package."""
    return {"versions": library_versions(run.teacher.libraries), "code": host_sha256()}


def _machine(run: PreparedRun) -> Key:
    return describe_machine(str(run.teacher.device))
