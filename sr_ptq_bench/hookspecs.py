"""Every hook of srq: what a plugin may implement, when the host calls it, and what it must return.

A plugin is a module registered under the entry-point group `srq` (or given with `--plugin FILE.py`). It implements any
of these functions, decorated with `hookimpl`, and names only the arguments that it uses. Only the plugins that the
chosen method names are asked for bounds and calibration; model and metric hooks are asked of every plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from .data.batches import Batches
    from .distribution import Distribution
    from .model import SRModel, Student
    from .quantizer import Bounds, Quantizer, Site

GROUP = "srq"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

Figures = dict[str, float | int | str | list[float]]


class Progress(Protocol):
    """Tells the user how far a long stage is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` steps are finished; `note` may carry the present loss."""


class Checkpoint(Protocol):
    """Keeps the state of a calibration, so that a run that was killed continues where it was.

    A calibrator that asks for it promises to change nothing of the student but tensors of its network.
    """

    def load(self) -> dict[str, Tensor] | None:
        """The tensors saved last by this very calibration, on the CPU; None where it begins anew."""

    def save(self, make: Callable[[], Mapping[str, Tensor]]) -> None:
        """Keep the tensors that `make` returns. Call it after every step: it calls `make` every few seconds."""


@hookspec(firstresult=True)
def srq_compose() -> Sequence[str] | None:
    """Name the plugins that this one joins into a method, in order.

    A plugin with this hook is only a name: `2dquant` returns `("dobi", "dqc")`, and `--method 2dquant` is then exactly
    `--method dobi+dqc`, options included.
    """


@hookspec(firstresult=True)
def srq_load_model(name: str, scale: int, weights: Path) -> SRModel | None:
    """Load the network called `name` for `scale` from the tensors in `weights`.

    Called once per run, on all plugins; return None for a name that is not yours. Raise SrqError where the weights do
    not fit. Read tensors only (`sr_ptq_bench.read_weights`), never pickled code.
    """


@hookspec(firstresult=True)
def srq_options(values: Mapping[str, Any]) -> object | None:
    """Turn the user's `-o key=value` pairs for this plugin into a validated object.

    Called before anything slow, and with no values to list the defaults. An unknown key or an impossible value is an
    SrqError. The object reaches every other hook of the plugin as `options`. `Options` does this work.
    """


@hookspec(firstresult=True)
def srq_make_quantizer(site: Site, bits: int, options: Any) -> Quantizer | None:
    """Make the quantizer of one site, where a method has its own (per channel, logarithmic, twin-uniform).

    Called per site while the student is built. Default: uniform, asymmetric, per tensor.
    """


@hookspec(firstresult=True)
def srq_transform_model(student: Student, batches: Batches, options: Any) -> object | None:
    """Rewrite the student's full-precision weights in place: equalisation, conditioning, rotation.

    Called once, with all quantizers off, before the calibration pass. What is returned is ignored.
    """


@hookspec(firstresult=True)
def srq_init_bounds(site: Site, distribution: Distribution, bits: int, options: Any) -> Bounds | None:
    """Choose the first bounds of one site from its full-precision distribution.

    Called once per site. The host checks that the bounds are finite, ordered and fit the site.
    """


@hookspec(firstresult=True)
def srq_calibrate(
    student: Student, teacher: SRModel, batches: Batches, options: Any, progress: Progress, checkpoint: Checkpoint
) -> Figures | None:
    """Refine the student in place, with the teacher as the target.

    Called once, after the bounds are set. Return figures worth keeping in the record: losses, the checkpoint kept.
    What the teacher makes of patches without gradients is shared by all runs that ask it for the same.
    Without `checkpoint` a killed run calibrates again from the start. `Training` does its work for Adam.
    """


@hookspec
def srq_evaluate(sr: np.ndarray, hr: np.ndarray, scale: int) -> Mapping[str, float] | None:
    """Score one image: `sr` and `hr` are (H, W, 3) uint8 RGB.

    Called on all plugins, per image; the scores are merged. Two plugins that return the same key are an error.
    """
