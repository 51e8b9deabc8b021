"""The runs that `srq plot` and `srq analyze` look at: named as for `srq run`, and their students."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..protocol.types import ScopeName
    from ..quantization.distribution import Distribution
    from ..quantization.student import Student
    from ..runs.prepare import PreparedRun


class SelectedRuns:
    """Runs of one suite, network, bit-width and scale that differ in their method, checked and ready."""

    def __init__(
        self,
        methods: tuple[str, ...],
        *,
        bits: str,
        scale: int,
        suite: str,
        model: str | None,
        scope: ScopeName | None,
        seed: int,
        options: tuple[str, ...],
        plugin_files: tuple[Path, ...],
        results: Path,
        device: str,
    ) -> None:
        from ..errors import SrqError
        from ..protocol.bits import Bits
        from ..protocol.run_spec import RunSpec, parse_options
        from ..protocol.suite import Suite
        from ..protocol.types import parse_scale

        twice = next((name for name in methods if methods.count(name) > 1), None)
        if twice:
            raise SrqError(f"method '{twice}' is given twice; name each once")
        protocol = Suite.load(suite)
        protocol = protocol.with_model(model or protocol.model)
        spec = RunSpec(
            method=methods[0], bits=Bits.parse(bits), scale=parse_scale(scale), suite=protocol, scope=scope, seed=seed
        )
        given = parse_options(options)

        from .display import Display

        self.display = Display()
        with self.display.preparing():
            from ..hooks.resolve import options_by_method
            from ..runs.prepare import prepare
            from ..runs.session import Session

            self.session = Session.open(self.display, plugin_files, device)
            specs = [
                spec.model_copy(update={"method": name, "options": own})
                for name, own in options_by_method(self.session.plugins, methods, given).items()
            ]
            self.runs: list[PreparedRun] = [prepare(each, self.session) for each in specs]
        self.results = results / protocol.name
        self.title = ", ".join([f"{protocol.model} x{scale}", str(spec.bits), f"suite {protocol.name}", *options])

    def distributions(self, run: PreparedRun, student: Student) -> dict[str, Distribution]:
        """The distribution of every site of a student, from the calibration pass."""
        from ..progress import TimedStages
        from ..runs.stages.observation import observe_distributions

        return observe_distributions(run, student, self.session.cache, TimedStages(self.display), fresh=False)

    def students(self) -> Iterator[tuple[str, Student]]:
        """The student that each run ends with, by its method, one after the other."""
        from ..runs.restore import load_or_calibrate

        for run in self.runs:
            yield run.spec.method, load_or_calibrate(run, self.session, self.results)
