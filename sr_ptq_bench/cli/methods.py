"""`srq methods`: what `--method` accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options as declared

if TYPE_CHECKING:
    from ..hooks.plugin import Plugin
    from ..hooks.plugins import Plugins


KINDS = (("srq_choose_bits", "bits"), ("srq_init_bounds", "initializer"), ("srq_calibrate", "calibrator"))


@click.command()
@declared.plugin_files
def methods(plugin_files: tuple[Path, ...]) -> None:
    """List the installed methods: where each comes from, its hooks and its options with their defaults.

    \b
    srq methods
    srq methods --plugin mine.py

    Any initializer joins any calibrator: `--method percentile+dqc`.
    """
    from ..hooks.plugins import Plugins

    plugins = Plugins(plugin_files)
    for name in plugins.method_names():
        click.echo("\n".join(_describe(plugins, plugins.plugins[name])))


def _describe(plugins: Plugins, plugin: Plugin) -> list[str]:
    from ..hooks.options import option_values

    kind = [word for hook, word in KINDS if hook in plugin.hooks()]
    composed = plugins.hook(plugin.name).srq_compose()
    title = f"= {'+'.join(composed)}" if composed else " and ".join(kind) or "transformer"
    summary = (plugin.module.__doc__ or "").strip().split("\n")[0]
    lines = [f"{plugin.name}  {title}  ({plugin.distribution} {plugin.version})"]
    lines += [f"    {summary}"] if summary else []
    lines.append(f"    hooks: {', '.join(plugin.hooks())}")
    options = plugins.options(plugin.name, {})
    for key, value in option_values(options).items():
        field = getattr(type(options), "model_fields", {}).get(key)
        text = f"  {field.description}" if field is not None and field.description else ""
        lines.append(f"    -o {plugin.name}.{key}={value}{text}")
    return [*lines, ""]
