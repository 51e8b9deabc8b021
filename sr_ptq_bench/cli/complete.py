"""What a shell offers after the Tab key: methods, suites, networks, options of methods. No offer may fail."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ..errors import SrqError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

VARIABLE = "_SRQ_COMPLETE"
"""The environment variable by which a shell asks for its script (`bash_source`) or for words (`bash_complete`)."""
SHELLS = ("bash", "fish", "zsh")
_NO_METHODS = ("sr_ptq_bench.backbones.", "sr_ptq_bench.evaluation.")


def check_completion() -> None:
    """Raise SrqError for a shell without completion, and for a person who asks for words as a shell does."""
    asked = os.environ.get(VARIABLE)
    if not asked:
        return
    shell, _, what = asked.partition("_")
    if shell not in SHELLS or what not in ("source", "complete"):
        raise unknown("completion", asked, [f"{shell}_source" for shell in SHELLS])
    if what == "complete" and not {"COMP_WORDS", "COMP_CWORD"} <= os.environ.keys():
        raise SrqError(f"{VARIABLE}={asked} is for the shell itself; {shell}_source prints its script")


def methods(_context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Installed methods; after `+` or a comma the next one."""
    cut = max(incomplete.rfind("+"), incomplete.rfind(",")) + 1
    known = {entry.name for entry in entry_points(group="srq") if not entry.value.startswith(_NO_METHODS)}
    return _beginning(incomplete[cut:], known, incomplete[:cut])


def suites(_context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Built-in suites."""
    from ..protocol.suite import suite_names

    return _beginning(incomplete, suite_names())


def models(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The networks of the suite that was named before, or of `sample`; after a comma the next one."""
    cut = incomplete.rfind(",") + 1
    with suppress(Exception):
        from ..protocol.suite import Suite

        suite = Suite.load(context.params.get("suite") or "sample")
        return _beginning(incomplete[cut:], [suite.model, *suite.networks], incomplete[:cut])
    return []


def options(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """`PLUGIN.KEY=` of the method that was named before, or of all; takes seconds, because plugins are loaded."""
    with suppress(Exception):
        from ..hooks.options import option_values
        from ..hooks.plugins import Plugins
        from ..hooks.resolve import resolve_method

        plugins, method = Plugins(), context.params.get("method")
        parts = resolve_method(plugins, method, {}).components if method else plugins.method_names()
        keys = [f"{part}.{key}=" for part in parts for key in option_values(plugins.options(part, {}))]
        return _beginning(incomplete, keys)
    return []


def _beginning(incomplete: str, known: Iterable[str], before: str = "") -> list[str]:
    return [f"{before}{name}" for name in sorted(known) if name.startswith(incomplete)]
