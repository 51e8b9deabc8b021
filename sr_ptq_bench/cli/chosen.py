"""The runs that `srq plot` and `srq analyze` look into: chosen as `srq run` chooses them, and their students."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options as shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..distribution import Distribution
    from ..model import Student
    from ..preparation import Run
    from ..spec import ScopeName

suite_option = click.option(
    "--suite", default="sample", metavar="SUITE", show_default=True, help="A built-in suite, or a .toml file of yours."
)
model_option = click.option("--model", metavar="NAME", help="Another network of the suite than its first.")
scale_option = click.option(
    "--scale", "-s", required=True, type=int, metavar="SCALE", help="Upscaling factor: 2, 3 or 4."
)
results_option = click.option(
    "--results",
    default=Path("leaderboards/results"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Records, in DIR/SUITE/*.json.",
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All options that say of which runs, but for the methods."""
    for option in reversed(
        (
            click.option("--bits", "-b", required=True, metavar="BITS", help="4, or w4a8; 2 to 8."),
            scale_option,
            suite_option,
            model_option,
            click.option("--scope", type=click.Choice(["linear", "all"]), help="Default: the network's own."),
            click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the runs."),
            shared.method_options("An option of those methods that have it, such as dobi.preset=official."),
            shared.plugin_files,
            results_option,
            click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
        )
    ):
        command = option(command)
    return command


class Chosen:
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
        from ..spec import Bits, RunSpec, Suite, parse_options, parse_scale

        twice = next((name for name in methods if methods.count(name) > 1), None)
        if twice:
            raise SrqError(f"method '{twice}' is given twice; name each once")
        protocol = Suite.load(suite)
        protocol = protocol.with_model(model or protocol.model)
        parsed, factor, given = Bits.parse(bits), parse_scale(scale), parse_options(options)

        from ..cache import Cache
        from ..choice import own_options
        from ..data.library import Library
        from ..environment import choose_device, keep_freed_memory
        from ..home import default_home
        from ..manager import Plugins
        from ..preparation import prepare
        from .display import Display

        keep_freed_memory()
        self.display, home = Display(), default_home()
        self.cache, plugins = Cache(home), Plugins(plugin_files)
        library = Library(home, self.display.stage, self.display.print)
        place = choose_device(device)
        spec = RunSpec(method=methods[0], bits=parsed, scale=factor, suite=protocol, scope=scope, seed=seed)
        specs = [
            spec.model_copy(update={"method": name, "options": own})
            for name, own in own_options(plugins, methods, given).items()
        ]
        self.runs: list[Run] = [prepare(each, plugins, place, library) for each in specs]
        self.results = results / protocol.name
        self.title = ", ".join([f"{protocol.model} x{scale}", str(parsed), f"suite {protocol.name}", *options])

    def distributions(self, run: Run, student: Student) -> dict[str, Distribution]:
        """What the calibration pass keeps of every site of a student."""
        from ..bench import Stages, distributions

        with self.display.stages() as show:
            return distributions(run, student, self.cache, Stages(show))

    def students(self) -> Iterator[tuple[str, Student]]:
        """The student that each run ends with, by its method, one after the other."""
        from ..restored import final_student

        for run in self.runs:
            with self.display.stages() as show:
                yield run.spec.method, final_student(run, self.results, self.cache, show)
