"""From the words after `--method` and `-o` to a method: its plugins, and the plugin that each option belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SrqError, nearest, prefix_error, unknown
from .checks import check_components
from .method import Method
from .options import option_values
from .plugin import blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..protocol.types import OptionValue
    from .options import PluginOptions
    from .plugins import Plugins


def resolve_method(
    plugins: Plugins, name: str, options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue] | None = None
) -> Method:
    """Resolve `--method` and its options, over a suite's `defaults`; raises SrqError before any work is done."""
    components = _components(plugins, name)
    for hook, what in (("srq_init_bounds", "initializer"), ("srq_calibrate", "calibrator")):
        having = [component for component in components if hook in plugins.plugins[component].hooks()]
        if len(having) > 1:
            raise SrqError(f"method '{name}' has two {what}s, {' and '.join(having)}; keep one")
    if not any("srq_init_bounds" in plugins.plugins[component].hooks() for component in components):
        raise SrqError(f"method '{name}' has no initializer; put one before it, such as minmax+{name}")
    return Method(name, components, plugins, _resolve(plugins, components, options, defaults or {}))


def _components(plugins: Plugins, name: str, within: tuple[str, ...] = ()) -> tuple[str, ...]:
    components: list[str] = []
    for component in name.split("+"):
        if component in within:
            raise SrqError(f"plugin '{component}' is composed of itself; its srq_compose must name other plugins")
        if component not in plugins.method_names():
            raise unknown("method", component, plugins.method_names())
        composed = plugins.hook(component).srq_compose()
        check_components(component, composed)
        inner = (_components(plugins, of, (*within, component)) for of in composed or ())
        components += [name for names in inner for name in names] if composed else [component]
    twice = {component for component in components if components.count(component) > 1}
    if twice:
        raise SrqError(f"method '{name}' names '{sorted(twice)[0]}' twice")
    return tuple(components)


def _resolve(
    plugins: Plugins, components: Sequence[str], options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue]
) -> dict[str, PluginOptions | None]:
    """Give every option to the component that owns it: `dqc.lr`, or `lr` to every component that has it."""
    _check_defaults(plugins, defaults)
    known = {component: option_values(plugins.options(component, {})) for component in components}
    values: dict[str, dict[str, OptionValue]] = {
        component: {key.partition(".")[2]: v for key, v in defaults.items() if key.partition(".")[0] == component}
        for component in components
    }
    by_name: dict[tuple[str, str], str] = {}
    for key, value in options.items():
        component, dot, name = key.partition(".")
        owners = [component] if dot else [owner for owner in components if key in known[owner]]
        if dot and component not in components:
            raise unknown("option", key, _qualified(known))
        if not owners or (dot and name not in known[component]):
            raise unknown("option", key, _qualified(known) if dot else {k for keys in known.values() for k in keys})
        for owner in owners:
            given = by_name.setdefault((owner, name if dot else key), key)
            if given != key:
                raise SrqError(f"option '{given}' is given twice, as '{key}' too; keep one")
            values[owner][name if dot else key] = value
    return {component: plugins.options(component, values[component]) for component in components}


def _check_defaults(plugins: Plugins, defaults: Mapping[str, OptionValue]) -> None:
    """Raise SrqError for a suite's option that no plugin has, or that names a plugin nearly like a known one.

    A plugin with another name is one that is not installed here: runs without it do not need its options.
    """
    known = {name: plugin.options_class for name, plugin in plugins.plugins.items()}
    for key in defaults:
        name, dot, option = key.partition(".")
        if not dot:
            raise SrqError(f"the suite's option '{key}' names no plugin; write PLUGIN.{key}")
        options = known.get(name)
        fields = options.model_fields if options else {}
        with prefix_error(f"the suite's option '{key}'"):
            if name in known and option not in fields:
                raise unknown("option", key, [f"{name}.{field}" for field in fields])
            if name not in known and name not in blocked() and nearest(name, known, 0.8):
                raise unknown("plugin", name, known)


def options_by_method(
    plugins: Plugins, methods: Iterable[str], options: Mapping[str, OptionValue]
) -> dict[str, dict[str, OptionValue]]:
    """The options that each method has, by its name; raises SrqError for an option that no method has."""
    owned = {name: _meanings(resolve_method(plugins, name, {})) for name in dict.fromkeys(methods)}
    everything = {key for keys in owned.values() for key in keys}
    for key in options:
        if key not in everything:
            raise unknown("option", key, {name for name in everything if ("." in name) == ("." in key)})
    return {name: {key: value for key, value in options.items() if key in keys} for name, keys in owned.items()}


def over_defaults(
    plugins: Plugins, method: str, options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue]
) -> dict[str, OptionValue]:
    """The options of a method, and those of `defaults` that they do not give, however both are spelt."""
    meanings = _meanings(resolve_method(plugins, method, {}))
    given = {of for key in options for of in meanings[key]}
    left = {key: meanings[key] - given for key in defaults}
    kept = {
        name: value
        for key, value in defaults.items()
        for name in ([key] if left[key] == meanings[key] else sorted(left[key]))
    }
    return {**kept, **options}


def _meanings(method: Method) -> dict[str, set[str]]:
    """The names of the options of all components, with and without the component: `lr` means every `COMPONENT.lr`."""
    meanings: dict[str, set[str]] = {}
    for component in method.components:
        for key in option_values(method.options[component]):
            for name in (key, f"{component}.{key}"):
                meanings.setdefault(name, set()).add(f"{component}.{key}")
    return meanings


def _qualified(known: Mapping[str, Iterable[str]]) -> list[str]:
    return [f"{component}.{key}" for component, keys in known.items() for key in keys]
