"""What `--method` and `-o` name: plugins that are joined, and the part that each option belongs to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from .checks import check_parts
from .errors import SrqError, unknown
from .method import Method

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .manager import Plugins
    from .spec import OptionValue


def choose_method(
    plugins: Plugins, name: str, options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue] | None = None
) -> Method:
    """Resolve `--method` and its options, over a suite's `defaults`; raises SrqError before any work is done."""
    parts = _parts(plugins, name)
    for hook, what in (("srq_init_bounds", "initializer"), ("srq_calibrate", "calibrator")):
        having = [part for part in parts if hook in plugins.plugins[part].hooks()]
        if len(having) > 1:
            raise SrqError(f"method '{name}' has two {what}s, {' and '.join(having)}; keep one")
    if not any("srq_init_bounds" in plugins.plugins[part].hooks() for part in parts):
        raise SrqError(f"method '{name}' has no initializer; put one before it, such as minmax+{name}")
    return Method(name, parts, plugins, _resolve(plugins, parts, options, defaults or {}))


def _parts(plugins: Plugins, name: str, within: tuple[str, ...] = ()) -> tuple[str, ...]:
    parts: list[str] = []
    for part in name.split("+"):
        if part in within:
            raise SrqError(f"plugin '{part}' is composed of itself; its srq_compose must name other plugins")
        if part not in plugins.method_names():
            raise unknown("method", part, plugins.method_names())
        composed = plugins.hook(part).srq_compose()
        check_parts(part, composed)
        inner = (_parts(plugins, of, (*within, part)) for of in composed or ())
        parts += [name for names in inner for name in names] if composed else [part]
    twice = {part for part in parts if parts.count(part) > 1}
    if twice:
        raise SrqError(f"method '{name}' names '{sorted(twice)[0]}' twice")
    return tuple(parts)


def _resolve(
    plugins: Plugins, parts: Sequence[str], options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue]
) -> dict[str, object | None]:
    """Give every option to the part that owns it: `dqc.lr`, or `lr` to every part that has it."""
    for key in defaults:
        if "." not in key:
            raise SrqError(f"the suite's option '{key}' names no plugin; write PLUGIN.{key}")
    known = {part: option_values(plugins.options(part, {})) for part in parts}
    values: dict[str, dict[str, OptionValue]] = {
        part: {key.partition(".")[2]: v for key, v in defaults.items() if key.partition(".")[0] == part}
        for part in parts
    }
    for key, value in options.items():
        part, dot, name = key.partition(".")
        owners = [part] if dot else [owner for owner in parts if key in known[owner]]
        if dot and part not in parts:
            raise unknown("option", key, _qualified(known))
        if not owners or (dot and name not in known[part]):
            raise unknown("option", key, _qualified(known) if dot else {k for keys in known.values() for k in keys})
        for owner in owners:
            values[owner][name if dot else key] = value
    return {part: plugins.options(part, values[part]) for part in parts}


def own_options(
    plugins: Plugins, methods: Iterable[str], options: Mapping[str, OptionValue]
) -> dict[str, dict[str, OptionValue]]:
    """Of the options those that each method has, by its name; raises SrqError for an option that none of them has."""
    owned = {name: _keys(choose_method(plugins, name, {})) for name in dict.fromkeys(methods)}
    everything = set().union(*owned.values())
    for key in options:
        if key not in everything:
            raise unknown("option", key, {name for name in everything if ("." in name) == ("." in key)})
    return {name: {key: value for key, value in options.items() if key in keys} for name, keys in owned.items()}


def _keys(method: Method) -> set[str]:
    """The names of the options of all parts, with and without the part."""
    of_parts = [(part, key) for part in method.parts for key in option_values(method.options[part])]
    return {name for part, key in of_parts for name in (key, f"{part}.{key}")}


def option_values(options: object | None) -> dict[str, Any]:
    """Keys of an options object with their values: pydantic model, dataclass, or any object with attributes."""
    if options is None:
        return {}
    fields = getattr(type(options), "model_fields", None) or getattr(options, "__dict__", {})
    if dataclasses.is_dataclass(options):
        fields = [field.name for field in dataclasses.fields(options)]
    return {name: getattr(options, name) for name in fields}


def _qualified(known: Mapping[str, Iterable[str]]) -> list[str]:
    return [f"{part}.{key}" for part, keys in known.items() for key in keys]
