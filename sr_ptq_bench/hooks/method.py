"""The chosen method: its hooks with types, its options, and checks of what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SrqError
from .check_bits import check_bits
from .check_quantizer import check_enabled, check_outputs, check_quantizer
from .checks import (
    blame_plugin,
    check_bounds,
    check_finite,
    check_nothing,
    check_student,
    checked_log,
    weights_of,
)
from .guard import guarded
from .options import recorded_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from ..data.patches import Batches
    from ..progress import Progress
    from ..protocol.bits import Bits
    from ..protocol.types import OptionValue
    from ..quantization.distribution import Distribution
    from ..quantization.network import Teacher
    from ..quantization.quantizer import Bounds, Quantizer, Site
    from ..quantization.student import Student
    from ..quantization.training import CalibrationLog, Checkpoint
    from .options import PluginOptions
    from .plugins import Plugins


@dataclass(frozen=True)
class Method:
    """A chosen method: its plugins in order, each with its own options.

    Exactly one of them is the initializer, which chooses bounds; at most one is the calibrator.
    """

    name: str
    components: tuple[str, ...]
    plugins: Plugins
    options: Mapping[str, PluginOptions | None] = field(default_factory=dict)

    @cached_property
    def initializer(self) -> str:
        """The plugin that chooses bounds."""
        return next(self._with_hook("srq_init_bounds"))

    def parts(self) -> dict[str, dict[str, OptionValue]]:
        """The parts that the plugins name, each with the options that leave it out."""
        return {
            part: {f"{component}.{key}": value for key, value in values.items()}
            for component, options in self.options.items()
            for part, values in (type(options).parts() if options else {}).items()
        }

    @cached_property
    def calibrator(self) -> str | None:
        """The plugin that trains the student, if there is one."""
        return next(self._with_hook("srq_calibrate"), None)

    @property
    def chooses_bits(self) -> bool:
        """Whether a plugin chooses the bits of sites."""
        return any(self._with_hook("srq_choose_bits"))

    @property
    def transforms(self) -> bool:
        """Whether a plugin changes full-precision weights before bounds are chosen."""
        return any(self._with_hook("srq_transform_model"))

    @property
    def option_values(self) -> Mapping[str, Mapping[str, Any]]:
        """The values of options for a record, by plugin."""
        return {name: recorded_values(self.options[name]) for name in self.components}

    def _with_hook(self, hook: str) -> Iterator[str]:
        known = self.plugins.plugins
        return (name for name in self.components if name in known and hook in known[name].hooks())

    def _call(self, plugin: str, hook: str, **arguments: object) -> Any:
        return getattr(self.plugins.hook(plugin), hook)(options=self.options.get(plugin), **arguments)

    def choose_bits(self, student: Student, batches: Batches, bits: Bits) -> dict[str, int]:
        """The bits of sites that the method chooses; empty for a method without that hook."""
        answers: dict[str, dict[str, int]] = {}
        for plugin in self._with_hook("srq_choose_bits"):
            chosen = self._call(plugin, "srq_choose_bits", student=student, batches=batches, bits=bits)
            if chosen is not None:
                with blame_plugin(plugin):
                    check_bits(chosen, student, bits)
                answers[plugin] = dict(chosen)
        if len(answers) > 1:
            raise SrqError(f"method '{self.name}': {' and '.join(answers)} both choose bits; keep one")
        return next(iter(answers.values()), {})

    def make_quantizer(self, site: Site, bits: int) -> Quantizer | None:
        """The method's own quantizer of a site, or None for the default."""
        for plugin in self._with_hook("srq_make_quantizer"):
            made: Quantizer | None = self._call(plugin, "srq_make_quantizer", site=site, bits=bits)
            if made is not None:
                with blame_plugin(plugin, site.name):
                    check_quantizer(made, site)
                made.maker = self.plugins.plugins[plugin].maker
                check_outputs(made, plugin)
                return made
        return None

    def transform(self, student: Student, batches: Batches) -> None:
        """Let every plugin that has the hook change the weights of the student."""
        for plugin in self._with_hook("srq_transform_model"):
            before = weights_of(student)
            returned = self._call(plugin, "srq_transform_model", student=student, batches=batches)
            with blame_plugin(plugin):
                check_nothing("srq_transform_model", returned)
                check_student(student, before)

    def init_bounds(
        self, site: Site, distribution: Distribution, bits: int, output_cost: Callable[[], Tensor] | None = None
    ) -> Bounds:
        """First bounds of a site; raises SrqError that names the plugin if they are unusable.

        `output_cost` makes the costs of errors at the output if the plugin asks for them; by default all cost the same.
        """
        bounds: Bounds = self._call(
            self.initializer, "srq_init_bounds", site=site, distribution=distribution, bits=bits,
            output_cost=output_cost or partial(torch.ones_like, distribution.counts),
        )  # fmt: skip
        if bounds is None:
            expected = "expected Bounds(lower, upper) for every site; is a `return` missing?"
            raise SrqError(f"plugin '{self.initializer}', site {site.name}: srq_init_bounds returns None; {expected}")
        with blame_plugin(self.initializer, site.name):
            check_bounds(bounds, distribution)
        return bounds

    def initialize(
        self, quantizer: Quantizer, distribution: Distribution, output_cost: Callable[[], Tensor] | None = None
    ) -> None:
        """Set the bounds of a quantizer, and what else it has, from the distribution of its site."""
        quantizer.set_bounds(self.init_bounds(quantizer.site, distribution, quantizer.bits, output_cost))
        plugin, site = quantizer.maker.plugin if quantizer.maker else self.initializer, quantizer.site.name
        with guarded(f"plugin '{plugin}' fails in fit, site {site}"):
            quantizer.fit(distribution)
        with blame_plugin(plugin, site):
            check_finite(quantizer)
            quantizer.bounds.tensors()

    def calibrate(
        self, student: Student, teacher: Teacher, batches: Batches, progress: Progress, checkpoint: Checkpoint
    ) -> CalibrationLog:
        """Train the student and return the calibrator's log; an empty log if the method has no calibrator."""
        if self.calibrator is None:
            return {}
        before = weights_of(student)
        log: CalibrationLog | None = self._call(
            self.calibrator, "srq_calibrate",
            student=student, teacher=teacher, batches=batches, progress=progress, checkpoint=checkpoint,
        )  # fmt: skip
        for site, quantizer in student.quantizers.items():
            with blame_plugin(self.calibrator, site):
                check_enabled(quantizer)
                quantizer.bounds.tensors()
        with blame_plugin(self.calibrator):
            check_student(student, before)
        return {} if log is None else checked_log(self.calibrator, log)


@dataclass(frozen=True)
class RecordedMethod(Method):
    """The method of a record if some of its plugins are missing here; it is enough to score the record's state."""

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def option_values(self) -> Mapping[str, Mapping[str, Any]]:
        """As the record says."""
        return self.values
