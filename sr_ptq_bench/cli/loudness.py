"""`--quiet` and `--verbose`: how much a command says beside its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Loudness = Literal["quiet", "normal", "verbose"]
_KEY = "srq.loudness"


def loudness() -> Loudness:
    """What the user of the present command has asked for."""
    context = click.get_current_context(silent=True)
    return cast("Loudness", context.meta.get(_KEY, "normal")) if context else "normal"


def note(line: str) -> None:
    """A line on stderr, unless the command is quiet."""
    if loudness() != "quiet":
        click.echo(line, err=True)


def _keep(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given and context.meta.setdefault(_KEY, parameter.name) != parameter.name:
        raise click.UsageError("give one of --quiet and --verbose.")


def loudness_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Both options; commands ask `loudness`, so they get no argument."""
    for name, help_text in (
        ("verbose", "Say what every stage took, and in logs how far it is."),
        ("quiet", "Only results and errors."),
    ):
        option = click.option(
            f"--{name}", f"-{name[0]}", is_flag=True, expose_value=False, callback=_keep, help=help_text
        )
        command = option(command)
    return command
