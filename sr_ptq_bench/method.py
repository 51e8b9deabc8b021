"""The typed face of the hooks of one chosen method."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .checks import blamed_on, check_bounds, check_quantizer, check_student, checked_figures, shapes, watch
from .errors import SrqError

if TYPE_CHECKING:
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
        return [(part, self.plugins.hook(part), self.options.get(part)) for part in self.parts]

    def make_quantizer(self, site: Site, bits: int) -> Quantizer | None:
        """The method's own quantizer of a site, or None for the default."""
        for part, hook, options in self._calls:
            made: Quantizer | None = hook.srq_make_quantizer(site=site, bits=bits, options=options)
            if made is not None:
                with blamed_on(part, site.name):
                    check_quantizer(made, site)
                watch(made, part)
                return made
        return None

    def transforms(self) -> bool:
        """Whether any part rewrites weights."""
        return any("srq_transform_model" in self.plugins.plugins[part].hooks() for part in self.parts)

    def transform(self, student: Student, batches: Batches) -> None:
        """Let every part that has the hook rewrite the student's weights."""
        for part, hook, options in self._calls:
            before = shapes(student)
            hook.srq_transform_model(student=student, batches=batches, options=options)
            with blamed_on(part):
                check_student(student, before)

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
            with blamed_on(part):
                check_student(student)
            if figures is not None:
                return checked_figures(part, figures)
        return {}
