"""Every hook of srq: what a plugin may implement, when the host calls it, and what it must return.

A plugin is a module of the entry-point group `srq`, or a file given with `--plugin FILE.py`. It implements any of these
functions, decorated with `hookimpl`, and names only the arguments that it uses. Its options are a class `Options` in
the module, derived from `PluginOptions`; every hook gets them as `options`. The host asks only the plugins of the
chosen method, and every plugin for networks and metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from ..data.patches import Batches
    from ..progress import Progress
    from ..protocol.bits import Bits
    from ..quantization.distribution import Distribution
    from ..quantization.network import SRModel, Teacher
    from ..quantization.quantizer import Bounds, Quantizer, Site
    from ..quantization.student import Student
    from ..quantization.training import CalibrationLog, Checkpoint

GROUP = "srq"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec(firstresult=True)
def srq_compose() -> Sequence[str] | None:
    """Name the plugins that this one joins into a method, in order.

    A plugin with this hook is only a name: `2dquant` returns `("dobi", "dqc")`, and `--method 2dquant` is then exactly
    `--method dobi+dqc`, options included.
    """


@hookspec(firstresult=True)
def srq_load_model(name: str, scale: int, weights: Path) -> SRModel | None:
    """Load the network called `name` for `scale` from the tensors in `weights`.

    Called once per run, on all plugins; return None for a name that is not yours. Two plugins that load one name are
    an error. Raise SrqError if the weights do not fit. Read only tensors (`sr_ptq_bench.read_weights`),
    never pickled code.
    """


@hookspec(firstresult=True)
def srq_choose_bits(student: Student, batches: Batches, bits: Bits, options: Any) -> Mapping[str, int] | None:
    """Choose the bits of sites by name, 2 to 8 each; sites that are not named keep `bits`.

    Called once, before anything is quantized, with a student that is thrown away. The mean over the weights must not
    exceed `bits.weight`, and the mean over the numbers at all activation sites must not exceed `bits.activation`.
    """


@hookspec(firstresult=True)
def srq_make_quantizer(site: Site, bits: int, options: Any) -> Quantizer | None:
    """Make the quantizer of one site, if a method has its own (per channel, logarithmic, twin-uniform).

    Called per site while the student is built. Default: uniform, asymmetric, per tensor.
    """


@hookspec(firstresult=True)
def srq_transform_model(student: Student, batches: Batches, options: Any) -> object | None:
    """Change the full-precision weights of the student in place: equalisation, conditioning, rotation.

    Called once, with all quantizers off, before the calibration pass. It returns nothing.
    """


@hookspec(firstresult=True)
def srq_init_bounds(
    site: Site, distribution: Distribution, bits: int, output_cost: Callable[[], Tensor], options: Any
) -> Bounds | None:
    """Choose the first bounds of one site from its full-precision distribution.

    Called once per site. `output_cost()` is what a unit of squared error costs at the network's output, for each of the
    distribution's values: (B,) float64. The first call makes it for all sites, in one backward pass over the
    calibration patches. The host checks that the bounds are finite, ordered and fit the site.
    """


@hookspec(firstresult=True)
def srq_calibrate(
    student: Student, teacher: Teacher, batches: Batches, options: Any, progress: Progress, checkpoint: Checkpoint
) -> CalibrationLog | None:
    """Train the student in place to match the teacher: bounds, weights, biases, norms.

    Called once, after the bounds are set. It may change tensors, not add or remove them. Return a log for the
    record: losses, which checkpoint was kept. Outputs of the teacher without gradients are shared by all runs on the
    same patches. Without `checkpoint` a killed run calibrates again from the start; `Training` uses
    it.
    """


@hookspec
def srq_evaluate(sr: np.ndarray, hr: np.ndarray, scale: int) -> Mapping[str, float] | None:
    """Score one image: `sr` and `hr` are (H, W, 3) uint8 RGB.

    Called on all plugins, per image; the scores are merged. Two plugins that return the same key are an error.
    """


class GoneHook(Warning):
    """Says what takes the place of a hook that earlier versions had."""


class Gone:
    """The hooks of earlier versions: a plugin that implements one is refused."""

    @staticmethod
    @hookspec(
        warn_on_impl=GoneHook(
            "the hook srq_options is gone; write `class Options(PluginOptions)` in the plugin's module"
        )
    )
    def srq_options(values: Any) -> object:
        """Validate options."""
