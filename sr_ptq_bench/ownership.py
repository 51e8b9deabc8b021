"""Options given to several methods at once: each takes those that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import unknown
from .manager import option_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .manager import Plugins
    from .method import Method
    from .spec import OptionValue


def own_options(
    methods: Iterable[str], options: Mapping[str, OptionValue], plugins: Plugins
) -> dict[str, dict[str, OptionValue]]:
    """Of the options those that each method has, by its name; raises SrqError for an option that none of them has."""
    owned = {name: _keys(plugins.method(name, {})) for name in dict.fromkeys(methods)}
    everything = set().union(*owned.values())
    for key in options:
        if key not in everything:
            raise unknown("option", key, {name for name in everything if ("." in name) == ("." in key)})
    return {name: {key: value for key, value in options.items() if key in keys} for name, keys in owned.items()}


def _keys(method: Method) -> set[str]:
    """The names of the options of all parts, with and without the part."""
    of_parts = [(part, key) for part in method.parts for key in option_values(method.options[part])]
    return {name for part, key in of_parts for name in (key, f"{part}.{key}")}
