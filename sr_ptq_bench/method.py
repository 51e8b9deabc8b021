"""The typed face of the hooks of one chosen method."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import SrqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .data.batches import Batches
    from .distribution import Distribution
    from .hookspecs import Figures, Progress
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
                    bounds.tensors()
                return bounds  # type: ignore[no-any-return]
        raise SrqError(f"method '{self.name}' gives no bounds for site {site.name}")

    def calibrate(self, student: Student, teacher: SRModel, batches: Batches, progress: Progress) -> Figures:
        """Refine the student; the figures of the calibrator, none where the method has no calibrator."""
        for part, hook, options in self._calls:
            figures: Figures | None = hook.srq_calibrate(
                student=student, teacher=teacher, batches=batches, options=options, progress=progress
            )
            for site, quantizer in student.quantizers.items():
                with blamed_on(part, site):
                    quantizer.bounds.tensors()
            if figures is not None:
                return figures
        return {}


@contextmanager
def blamed_on(plugin: str, site: str) -> Iterator[None]:
    """Name the plugin and the site in an SrqError about what the plugin returned."""
    try:
        yield
    except SrqError as error:
        raise SrqError(f"plugin '{plugin}', site {site}: {error}") from error
