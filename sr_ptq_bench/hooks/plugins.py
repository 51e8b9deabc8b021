"""All plugins of one process, and the calls of their hooks."""

from __future__ import annotations

import inspect
import warnings
from inspect import signature
from itertools import chain
from typing import TYPE_CHECKING, Any

import pluggy

from ..errors import SrqError, prefix_error, unknown
from . import specs as hookspecs
from .check_model import check_model
from .checks import check_options, checked_scores
from .guard import guarded
from .plugin import BLOCKED, Plugin, check_name, installed, of_file
from .specs import GROUP, Gone, GoneHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import numpy as np

    from ..protocol.types import OptionValue
    from ..quantization.network import SRModel
    from .options import PluginOptions

HOOKS = [name for name in dir(hookspecs) if name.startswith(f"{GROUP}_")]


class Plugins:
    """All plugins of one process: those installed and those given as files."""

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.manager.add_hookspecs(Gone)
        self.plugins: dict[str, Plugin] = {}
        for plugin in chain(installed(), map(of_file, files)):
            self.add(plugin)

    def add(self, plugin: Plugin) -> None:
        """Register a plugin; raises SrqError for a name that is taken or a hook with unknown arguments."""
        if plugin.name in self.plugins:
            other = self.plugins[plugin.name]
            both = f"{other.distribution} and {plugin.distribution}"
            raise SrqError(
                f"two plugins are called '{plugin.name}': {both}; rename one"
                + ("" if other.is_file else f", or block the installed one with {BLOCKED}={plugin.name}")
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", GoneHook)
                self.manager.register(plugin.module, plugin.name)
        except GoneHook as gone:
            raise SrqError(f"plugin '{plugin.name}' of {plugin.distribution}: {gone}") from gone
        except pluggy.PluginValidationError as error:
            reason = self._unknown_argument(plugin) or " ".join(str(error).split())
            raise SrqError(f"plugin '{plugin.name}' of {plugin.distribution}: {reason}") from error
        except ValueError as error:
            other = next(p for p in self.plugins.values() if p.module is plugin.module)
            raise SrqError(f"plugins '{other.name}' and '{plugin.name}' are the same module; keep one") from error
        with prefix_error(f"plugin '{plugin.name}' of {plugin.distribution}"):
            check_name(plugin)
            self._check_functions(plugin)
        if plugin.options_class is not None:
            check_options(plugin.name, plugin.options_class)
        self.plugins[plugin.name] = plugin

    def _check_functions(self, plugin: Plugin) -> None:
        """Raise SrqError for what looks like a hook and would never be called, or not with all its arguments."""
        found = {caller.name for caller in self.manager.get_hookcallers(plugin.module) or ()}
        marked = plugin.hooks()
        for name, value in inspect.getmembers(plugin.module, callable):
            if name in marked and name not in HOOKS:  # misspelt, most likely
                raise unknown("hook", name, HOOKS)
            if name in marked and name not in found:
                raise SrqError(f"{name} is no function")
            if name in HOOKS and name not in marked:
                raise SrqError(f"{name} lacks @hookimpl")
            if inspect.isclass(value) and value.__module__ == getattr(plugin.module, "__name__", None):
                for hook in HOOKS:
                    if hasattr(getattr(value, hook, None), f"{GROUP}_impl"):
                        raise SrqError(f"{hook} is in the class {name}; write it as a function of the module")
        if not marked:
            raise SrqError("it has no hook; decorate a function such as srq_init_bounds with @hookimpl")
        for hook in marked:
            _check_call(hook, getattr(plugin.module, hook))

    def _unknown_argument(self, plugin: Plugin) -> str:
        """The first argument that a function of the plugin asks for and its hook does not have; "" if all exist."""
        for hook in plugin.hooks():
            if hook not in HOOKS:
                continue
            known = signature(getattr(hookspecs, hook)).parameters
            for argument in signature(getattr(plugin.module, hook)).parameters:
                if argument not in known:
                    return f"{hook}: {unknown('argument', argument, known)}"
        return ""

    def code(self, names: Iterable[str]) -> dict[str, str]:
        """The code of these plugins and of all metrics, by name in alphabetical order."""
        taking_part = {*names, *(plugin.name for plugin in self._with_hook("srq_evaluate"))}
        return {name: self.plugins[name].code for name in sorted(taking_part & self.plugins.keys())}

    def method_names(self) -> list[str]:
        """Names that `--method` accepts, alone or joined by `+`."""
        return sorted(name for name, plugin in self.plugins.items() if plugin.is_method())

    def options(self, name: str, values: Mapping[str, OptionValue]) -> PluginOptions | None:
        """The validated options of one plugin; None if it has none."""
        options_class = self.plugins[name].options_class
        with guarded(f"plugin '{name}' fails in Options"):
            return options_class.parse(values) if options_class else None

    def hook(self, name: str) -> Any:
        """The hooks of one plugin; other exceptions than SrqError become a PluginError that names both."""
        return _Hooks(self, name)

    def load_model(self, name: str, scale: int, weights: Path) -> tuple[SRModel, str]:
        """The network and the plugin that loads it; raises SrqError unless exactly one plugin knows it."""
        asked = [plugin.name for plugin in self._with_hook("srq_load_model")]
        found: dict[str, SRModel] = {}
        for plugin in asked:
            model: SRModel | None = self.hook(plugin).srq_load_model(name=name, scale=scale, weights=weights)
            if model is not None:
                check_model(plugin, model, scale)
                found[plugin] = model
        if not found:
            raise SrqError(f"no plugin loads a model called '{name}'; asked: {', '.join(asked) or 'none'}")
        if len(found) > 1:
            both = " and ".join(f"'{plugin}'" for plugin in found)
            raise SrqError(f"plugins {both} load a model called '{name}'; block one with {BLOCKED}={asked[-1]}")
        ((loader, only),) = found.items()
        return only, loader

    def evaluate(self, sr: np.ndarray, hr: np.ndarray, scale: int) -> dict[str, float]:
        """Scores of one image from every metric plugin; raises SrqError for a key returned twice or not a number."""
        merged: dict[str, float] = {}
        owners: dict[str, str] = {}
        for plugin in self._with_hook("srq_evaluate"):
            mine = (sr, hr) if plugin.is_built_in() else (sr.copy(), hr.copy())  # which it may change
            for scores in self.hook(plugin.name).srq_evaluate(sr=mine[0], hr=mine[1], scale=scale):
                for key, value in checked_scores(plugin.name, scores).items():
                    if key in owners:
                        both = f"plugins '{owners[key]}' and '{plugin.name}' both return the metric '{key}'"
                        raise SrqError(f"{both}; block one with {BLOCKED}={plugin.name}")
                    owners[key] = plugin.name
                    merged[key] = value
        return merged

    def _with_hook(self, hook: str) -> list[Plugin]:
        return [plugin for plugin in self.plugins.values() if hook in plugin.hooks()]


class _Hooks:
    """A hook relay to one plugin."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self._plugins, self._name = plugins, name
        self._left_out = [plugin.module for plugin in plugins.plugins.values() if plugin.name != name]

    def __getattr__(self, hook: str) -> Any:
        call = self._plugins.manager.subset_hook_caller(hook, self._left_out)

        def call_guarded(**arguments: object) -> Any:
            with guarded(f"plugin '{self._name}' fails in {hook}"):
                return call(**arguments)

        return call_guarded


def _check_call(hook: str, function: Callable[..., Any]) -> None:
    """Raise SrqError for a hook that pluggy would not call with all its arguments."""
    marks = getattr(function, f"{GROUP}_impl")
    if marks["wrapper"] or marks["hookwrapper"]:
        raise SrqError(f"{hook} is a wrapper of hooks, which srq does not call; leave the argument of @hookimpl out")
    known = signature(getattr(hookspecs, hook)).parameters
    for argument in signature(function).parameters.values():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise SrqError(f"{hook}: {argument} gets nothing; name the arguments that it uses")
        if argument.kind is argument.KEYWORD_ONLY:
            raise SrqError(f"{hook}: argument '{argument.name}' comes after a *; leave the * out")
        if argument.name in known and argument.default is not argument.empty:
            what = "and would never get another value; leave the default out"
            raise SrqError(f"{hook}: argument '{argument.name}' has a default, {what}")
