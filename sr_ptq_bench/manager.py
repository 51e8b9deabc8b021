"""Finding plugins, and resolving what `--method` and its options name."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from . import hookspecs
from .checks import check_model, check_options, check_parts, checked_scores
from .errors import DEBUG, PluginError, SrqError, unknown
from .files import sha256_of
from .hookspecs import GROUP
from .method import Method

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    import numpy as np

    from .model import SRModel
    from .spec import OptionValue

BLOCKED = "SRQ_DISABLE"
OWN = "sr_ptq_bench"
METHOD_HOOKS = (
    "srq_compose",
    "srq_init_bounds",
    "srq_calibrate",
    "srq_transform_model",
    "srq_make_quantizer",
)


SHARED_HOOKS = {"srq_load_model", "srq_evaluate"}


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry-point name, the distribution it came with, and its module."""

    name: str
    distribution: str
    version: str
    module: object

    def hooks(self) -> list[str]:
        """Names of the hooks that the plugin implements."""
        return sorted(name for name in dir(self.module) if hasattr(getattr(self.module, name), f"{GROUP}_impl"))

    def is_built_in(self) -> bool:
        """Whether the plugin belongs to this project's own distribution, whose version says what its code is."""
        return self.distribution == OWN

    def source_sha256(self) -> str:
        """The SHA-256 of the plugin's module file: the code that its author may be editing."""
        file = getattr(self.module, "__file__", None)
        return sha256_of(Path(file)) if file else hashlib.sha256(self.version.encode()).hexdigest()

    def is_method(self) -> bool:
        """Whether the plugin can be named by `--method`."""
        return any(hook in METHOD_HOOKS for hook in self.hooks())


class Plugins:
    """All plugins of one process: those installed and those given as files."""

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        blocked = {name.strip() for name in os.environ.get(BLOCKED, "").split(",") if name.strip()}
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            distribution = entry.dist.name if entry.dist else "unknown"
            version = entry.dist.version if entry.dist else "unknown"
            if entry.name in blocked:
                continue
            try:
                module = entry.load()
            except Exception as error:
                raise SrqError(
                    f"plugin '{entry.name}' of {distribution} {version} fails to import: "
                    f"{type(error).__name__}: {error}; mend it, or block it with {BLOCKED}={entry.name}"
                ) from error
            self.add(Plugin(entry.name, distribution, version, module))
        for path in files:
            module = _load_file(path)
            self.add(Plugin(path.stem, path.name, f"sha256 {sha256_of(path)[:12]}", module))
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise SrqError(self._pending(error)) from error

    def add(self, plugin: Plugin) -> None:
        """Register a plugin; raises SrqError for a name that is taken or a hook with unknown arguments."""
        if plugin.name in self.plugins:
            other = self.plugins[plugin.name]
            raise SrqError(f"two plugins are called '{plugin.name}': {other.distribution} and {plugin.distribution}")
        try:
            self.manager.register(plugin.module, plugin.name)
        except pluggy.PluginValidationError as error:
            raise SrqError(f"plugin '{plugin.name}' of {plugin.distribution}: {_one_line(error)}") from error
        except ValueError as error:
            other = next(p for p in self.plugins.values() if p.module is plugin.module)
            raise SrqError(f"plugins '{other.name}' and '{plugin.name}' are the same module; keep one") from error
        self._check_functions(plugin)
        self.plugins[plugin.name] = plugin

    def _check_functions(self, plugin: Plugin) -> None:
        """Raise SrqError for what bears a hook's name and would never be called."""
        found = {caller.name for caller in self.manager.get_hookcallers(plugin.module) or ()}
        for name in dir(plugin.module):
            if name in found or not callable(getattr(plugin.module, name)):
                continue
            if name in plugin.hooks():
                raise SrqError(f"plugin '{plugin.name}' of {plugin.distribution}: {name} is no function")
            if hasattr(hookspecs, name) and name.startswith(f"{GROUP}_"):
                raise SrqError(f"plugin '{plugin.name}' of {plugin.distribution}: {name} lacks @hookimpl")

    def _pending(self, error: pluggy.PluginValidationError) -> str:
        """A hook that no specification knows: most likely misspelt."""
        name = self.manager.get_name(error.plugin) or ""
        known = [hook for hook in dir(hookspecs) if hook.startswith("srq_")]
        misspelt = next(hook for hook in self.plugins[name].hooks() if hook not in known)
        return f"plugin '{name}' of {self.plugins[name].distribution}: {unknown('hook', misspelt, known)}"

    def sources(self, parts: Sequence[str]) -> dict[str, str]:
        """Hashes of the foreign plugins that decide a run's scores: the method's parts, loaders and metrics."""
        return {
            name: plugin.source_sha256()
            for name, plugin in self.plugins.items()
            if not plugin.is_built_in() and (name in parts or set(plugin.hooks()) & SHARED_HOOKS)
        }

    def method_names(self) -> list[str]:
        """Names that `--method` accepts, alone or joined by `+`."""
        return sorted(name for name, plugin in self.plugins.items() if plugin.is_method())

    def method(
        self, name: str, options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue] | None = None
    ) -> Method:
        """Resolve `--method` and its options, over a suite's `defaults`; raises SrqError before any work is done."""
        parts = self._parts(name)
        for hook, what in (("srq_init_bounds", "initializer"), ("srq_calibrate", "calibrator")):
            having = [part for part in parts if hook in self.plugins[part].hooks()]
            if len(having) > 1:
                raise SrqError(f"method '{name}' has two {what}s, {' and '.join(having)}; keep one")
        if not any("srq_init_bounds" in self.plugins[part].hooks() for part in parts):
            raise SrqError(f"method '{name}' has no initializer; put one before it, such as minmax+{name}")
        return Method(name, parts, self, self._resolve(parts, options, defaults or {}))

    def _parts(self, name: str, within: tuple[str, ...] = ()) -> tuple[str, ...]:
        parts: list[str] = []
        for part in name.split("+"):
            if part in within:
                raise SrqError(f"plugin '{part}' is composed of itself; its srq_compose must name other plugins")
            if part not in self.method_names():
                raise unknown("method", part, self.method_names())
            composed = self.hook(part).srq_compose()
            check_parts(part, composed)
            inner = (self._parts(of, (*within, part)) for of in composed or ())
            parts += [name for names in inner for name in names] if composed else [part]
        twice = {part for part in parts if parts.count(part) > 1}
        if twice:
            raise SrqError(f"method '{name}' names '{sorted(twice)[0]}' twice")
        return tuple(parts)

    def _resolve(
        self, parts: Sequence[str], options: Mapping[str, OptionValue], defaults: Mapping[str, OptionValue]
    ) -> dict[str, object | None]:
        """Give every option to the part that owns it: `dqc.lr`, or `lr` to every part that has it."""
        for key in defaults:
            if "." not in key:
                raise SrqError(f"the suite's option '{key}' names no plugin; write PLUGIN.{key}")
        known = {part: option_values(self.options(part, {})) for part in parts}
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
        return {part: self.options(part, values[part]) for part in parts}

    def options(self, part: str, values: Mapping[str, OptionValue]) -> object | None:
        """The validated options of one plugin; None where it has none."""
        resolved: object | None = self.hook(part).srq_options(values=values)
        if "srq_options" in self.plugins[part].hooks():
            check_options(part, resolved)
        return resolved

    def hook(self, name: str) -> Any:
        """The hooks of one plugin; what it raises becomes a PluginError that names both, unless it is an SrqError."""
        return _Hooks(self, name)

    def load_model(self, name: str, scale: int, weights: Path) -> SRModel:
        """Ask every plugin for the network; raises SrqError where none knows it."""
        asked = [plugin.name for plugin in self._with_hook("srq_load_model")]
        for plugin in reversed(asked):  # the last one registered first, as pluggy asks
            model: SRModel | None = self.hook(plugin).srq_load_model(name=name, scale=scale, weights=weights)
            if model is not None:
                check_model(plugin, model, scale)
                return model
        raise SrqError(f"no plugin loads a model called '{name}'; asked: {', '.join(asked) or 'none'}")

    def evaluate(self, sr: np.ndarray, hr: np.ndarray, scale: int) -> dict[str, float]:
        """Scores of one image from every metric plugin; raises SrqError for a key returned twice or not a number."""
        merged: dict[str, float] = {}
        owners: dict[str, str] = {}
        for plugin in self._with_hook("srq_evaluate"):
            for scores in self.hook(plugin.name).srq_evaluate(sr=sr, hr=hr, scale=scale):
                for key, value in checked_scores(plugin.name, scores).items():
                    if key in owners:
                        both = f"plugins '{owners[key]}' and '{plugin.name}' both return the metric '{key}'"
                        raise SrqError(f"{both}; block one with {BLOCKED}={plugin.name}")
                    owners[key] = plugin.name
                    merged[key] = value
        return merged

    def identities(self, hook: str) -> list[str]:
        """Name, distribution, version and code of every plugin that implements `hook`."""
        return sorted(f"{p.name} {p.distribution} {p.version} {p.source_sha256()}" for p in self._with_hook(hook))

    def _with_hook(self, hook: str) -> list[Plugin]:
        return [plugin for plugin in self.plugins.values() if hook in plugin.hooks()]


class _Hooks:
    """A hook relay to one plugin."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self._plugins, self._name = plugins, name
        self._left_out = [plugin.module for plugin in plugins.plugins.values() if plugin.name != name]

    def __getattr__(self, hook: str) -> Any:
        call = self._plugins.manager.subset_hook_caller(hook, self._left_out)

        def guarded(**arguments: object) -> Any:
            try:
                return call(**arguments)
            except SrqError:
                raise
            except Exception as error:
                what = f"plugin '{self._name}' fails in {hook}: {type(error).__name__}: {error}"
                raise PluginError(f"{what}; {DEBUG}=1 shows the traceback") from error

        return guarded


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _load_file(path: Path) -> ModuleType:
    """Import a plugin given as a file; raises SrqError that names it."""
    if not path.is_file():
        raise SrqError(f"no plugin file {path}")
    spec = importlib.util.spec_from_file_location(f"srq_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SrqError(f"plugin file {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pydantic look up annotations that are text
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise SrqError(f"plugin file {path} fails to import: {type(error).__name__}: {error}") from error
    return module
