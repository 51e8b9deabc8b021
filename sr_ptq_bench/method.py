"""The typed face of the hooks of one chosen method."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from .errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .data.batches import Batches
    from .distribution import Distribution
    from .hookspecs import Checkpoint, Figures, Progress
    from .manager import Plugins
    from .model import SRModel, Student
    from .quantizer import Bounds, Quantizer, Site


@dataclass(frozen=True)
class Method:
    """A chosen method: its plugins in order, each with its own options."""

    name: str
    parts: tuple[str, ...]
    plugins: Plugins
    options: dict[str, object | None] = field(default_factory=dict)

    @cached_property
    def _calls(self) -> list[tuple[str, Any, object | None]]:
        return [(part, self.plugins.hook([part]), self.options.get(part)) for part in self.parts]

    def make_quantizer(self, site: Site, bits: int) -> Quantizer | None:
        """The method's own quantizer of a site, or None for the default."""
        made = (hook.srq_make_quantizer(site=site, bits=bits, options=options) for _, hook, options in self._calls)
        return next((quantizer for quantizer in made if quantizer is not None), None)

    def transforms(self) -> bool:
        """Whether any part rewrites weights."""
        return any("srq_transform_model" in self.plugins.plugins[part].hooks() for part in self.parts)

    def transform(self, student: Student, batches: Batches) -> None:
        """Let every part that has the hook rewrite the student's weights."""
        for _, hook, options in self._calls:
            hook.srq_transform_model(student=student, batches=batches, options=options)

    def init_bounds(self, site: Site, distribution: Distribution, bits: int) -> Bounds:
        """First bounds of a site; raises SrqError that names the plugin where they are unusable."""
        for part, hook, options in self._calls:
            bounds = hook.srq_init_bounds(site=site, distribution=distribution, bits=bits, options=options)
            if bounds is not None:
                with blamed_on(part, site.name):
                    check_bounds(bounds, distribution)
                return bounds  # type: ignore[no-any-return]
        raise SrqError(f"method '{self.name}' gives no bounds for site {site.name}")

    def calibrate(
        self, student: Student, teacher: SRModel, batches: Batches, progress: Progress, checkpoint: Checkpoint
    ) -> Figures:
        """Refine the student; the figures of the calibrator, none where the method has no calibrator."""
        for part, hook, options in self._calls:
            figures: Figures | None = hook.srq_calibrate(
                student=student,
                teacher=teacher,
                batches=batches,
                options=options,
                progress=progress,
                checkpoint=checkpoint,
            )
            for site, quantizer in student.quantizers.items():
                with blamed_on(part, site):
                    quantizer.bounds.tensors()
            if figures is not None:
                return checked_figures(part, figures)
        return {}


def check_bounds(bounds: Bounds, distribution: Distribution) -> None:
    """Raise SrqError unless the bounds are finite, ordered, and two numbers or one pair per channel."""
    if not hasattr(bounds, "tensors"):
        raise SrqError(f"expected Bounds, got a {type(bounds).__name__}")
    lower, _ = bounds.tensors()
    channels = 0 if distribution.channel_minimum is None else distribution.channel_minimum.numel()
    if lower.ndim and lower.numel() != channels:
        expected = f"one pair, or one for each of {channels} channels" if channels else "one pair: it has no channels"
        raise SrqError(f"{lower.numel()} pairs of bounds; expected {expected}")


def checked_figures(plugin: str, figures: Figures) -> Figures:
    """The figures, if a record can hold them; raises SrqError that names the plugin and the figure."""
    if not isinstance(figures, dict):
        raise SrqError(f"plugin '{plugin}' returns figures as a {type(figures).__name__}; expected a dict")
    for key, value in figures.items():
        items = value if isinstance(value, list | tuple) else [value]
        kinds = int | float if isinstance(value, list | tuple) else bool | int | float | str
        if not all(isinstance(item, kinds) for item in items):
            kind = next(type(item).__name__ for item in items if not isinstance(item, kinds))
            expected = "expected a number, text or a list of numbers"
            raise SrqError(f"plugin '{plugin}': figure '{key}' holds a {kind}; {expected}")
        odd = [item for item in items if isinstance(item, float) and not isfinite(item)]
        if odd:
            raise SrqError(f"plugin '{plugin}': figure '{key}' is {odd[0]}; expected finite numbers")
    return figures


@contextmanager
def blamed_on(plugin: str, site: str) -> Iterator[None]:
    """Name the plugin and the site in an SrqError about what the plugin returned."""
    try:
        yield
    except SrqError as error:
        raise SrqError(f"plugin '{plugin}', site {site}: {error}") from error
