"""`srq methods`: what `--method` accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options as declared

if TYPE_CHECKING:
    from ...hooks.plugin import Plugin
    from ...hooks.plugins import Plugins


KINDS = (("srq_choose_bits", "bits"), ("srq_init_bounds", "initializer"), ("srq_calibrate", "calibrator"))


@click.command()
@declared.plugin_files
@declared.as_json
def methods(plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """List the installed methods: where each comes from, its hooks and its options with their defaults.

    \b
    srq methods
    srq methods --plugin mine.py

    Any initializer joins any calibrator: `--method percentile+dqc`. A suite may have other defaults: `sample` makes
    trainings short. A record says which values were used.
    """
    from ...hooks.plugins import Plugins

    plugins = Plugins(plugin_files)
    if as_json:
        click.echo(json.dumps([_table(plugins, plugins.plugins[name]) for name in plugins.method_names()], indent=1))
        return
    for name in plugins.method_names():
        click.echo("\n".join(_describe(plugins, plugins.plugins[name])))
    click.echo("A suite may have other defaults; `sample` makes trainings short.")


def _table(plugins: Plugins, plugin: Plugin) -> dict[str, Any]:
    """What is known of a method, for programs."""
    from ...hooks.options import option_values

    kind = [word for hook, word in KINDS if hook in plugin.hooks()]
    composed = plugins.hook(plugin.name).srq_compose()
    return {
        "name": plugin.name,
        "kind": "" if composed else " and ".join(kind) or "transformer",
        "parts": list(composed or ()),
        "distribution": plugin.distribution,
        "version": plugin.version,
        "summary": (plugin.module.__doc__ or "").strip().split("\n")[0],
        "hooks": list(plugin.hooks()),
        "options": option_values(plugins.options(plugin.name, {})),
    }


def _describe(plugins: Plugins, plugin: Plugin) -> list[str]:
    known = _table(plugins, plugin)
    title = f"= {'+'.join(known['parts'])}" if known["parts"] else known["kind"]
    lines = [f"{plugin.name}  {title}  ({plugin.distribution} {plugin.version})"]
    lines += [f"    {known['summary']}"] if known["summary"] else []
    lines.append(f"    hooks: {', '.join(known['hooks'])}")
    options = plugins.options(plugin.name, {})
    for key, value in known["options"].items():
        field = getattr(type(options), "model_fields", {}).get(key)
        text = f"  {field.description}" if field is not None and field.description else ""
        lines.append(f"    -o {plugin.name}.{key}={value}{text}")
    return [*lines, ""]
