"""What decides each thing that is kept: one function per kind, each a list of ingredients.

A forgotten ingredient gives wrong numbers and no error. The cache adds the version of torch and the code of this
package to every key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .environment import describe

if TYPE_CHECKING:
    from ..quantization.student import Student
    from .prepare import PreparedRun


def interpolation_scores(run: PreparedRun, name: str) -> dict[str, Any]:
    """The scores of bicubic or bilinear interpolation on the test sets."""
    return {
        "upscaler": name,
        "scale": run.spec.scale,
        "test": run.hashes.test,
        "metrics": run.plugins.identities("srq_evaluate"),
    }


def fp_scores(run: PreparedRun) -> dict[str, Any]:
    """The scores of the full-precision (FP) network on the test sets."""
    tiles = {"tiles": run.tiles.model_dump()} if run.tiles else {}
    return interpolation_scores(run, "fp") | _network(run) | {"padding": run.resolved.padding} | tiles


def distributions(run: PreparedRun, student: Student) -> dict[str, Any]:
    """The distributions of all sites of the FP network on the calibration patches."""
    return _network(run) | {"calibration": run.hashes.calibration, "sites": list(student.quantizers)}


def teacher_outputs(run: PreparedRun) -> dict[str, Any]:
    """What the FP network makes of training patches; another machine may change the last digits, so a training."""
    machine = describe(run.method, str(run.teacher.device)).model_dump(exclude={"versions"})
    return _network(run) | machine | {"padding": run.resolved.padding}


def unfinished_run(run: PreparedRun) -> dict[str, Any]:
    """What else than its name decides whether a killed run may be continued: software, plugins, machine."""
    environment = describe(run.method, str(run.teacher.device), run.teacher.libraries)
    plugins = {name: run.plugins.plugins[name].source_sha256() for name in run.method.components}
    return {"parts": plugins} | environment.model_dump()


def _network(run: PreparedRun) -> dict[str, Any]:
    return {
        "model": run.resolved.model,
        "loaders": run.plugins.identities("srq_load_model"),
        "weights": run.hashes.weights,
        "device": str(run.teacher.device),
    }
