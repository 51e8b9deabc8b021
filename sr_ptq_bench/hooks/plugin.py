"""A plugin, installed or given as a file: its hooks and its code."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import SrqError, described, prefix_error, unknown
from ..quantization.quantizer import Maker
from .code import code_sha256
from .guard import settings_restored
from .options import PluginOptions
from .specs import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution, EntryPoint
    from types import ModuleType

OWN = "sr_ptq_bench"
BLOCKED = "SRQ_DISABLE"
"""The environment variable with the names of plugins that are not imported at all."""
OPTIONS = "Options"
"""The attribute of a plugin's module that holds the class of its options."""
RENAMED = {"Options": "PluginOptions", "Figures": "CalibrationLog"}
"""Public names of earlier versions, and those of today."""
METHOD_HOOKS = (
    "srq_compose",
    "srq_init_bounds",
    "srq_calibrate",
    "srq_transform_model",
    "srq_make_quantizer",
    "srq_choose_bits",
)


@dataclass(frozen=True)
class Plugin:
    """A plugin: its name, its distribution, its module, and the SHA-256 of its code when it was loaded."""

    name: str
    distribution: str
    version: str
    module: object
    code: str
    is_file: bool = False
    """Whether it was given as a file."""

    def hooks(self) -> list[str]:
        """Names of the hooks that the plugin implements."""
        return sorted(name for name in dir(self.module) if hasattr(getattr(self.module, name), f"{GROUP}_impl"))

    @property
    def options_class(self) -> type[PluginOptions] | None:
        """The class `Options` of the module; None if the plugin has no options."""
        found = getattr(self.module, OPTIONS, None)
        return None if found is PluginOptions else found

    @property
    def maker(self) -> Maker:
        """The entry in a state for quantizers that only this plugin knows."""
        return Maker(self.name, f"{self.distribution} {self.version}")

    def is_built_in(self) -> bool:
        """Whether the plugin belongs to this project's own distribution, so that the version identifies its code."""
        return self.distribution == OWN

    def is_method(self) -> bool:
        """Whether the plugin can be named by `--method`."""
        return any(hook in METHOD_HOOKS for hook in self.hooks())


def check_name(plugin: Plugin) -> None:
    """Raise SrqError for a name that stands for something else, or that no method can have."""
    if plugin.name == OWN:
        raise SrqError("the name stands for srq itself; choose another")
    if plugin.is_method() and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", plugin.name):
        raise SrqError("the name of a method has letters of a to z, digits, - and _ only; choose another")


def blocked() -> set[str]:
    """The installed plugins that `SRQ_DISABLE` names; raises SrqError for a name that none has."""
    names = {name.strip() for name in os.environ.get(BLOCKED, "").split(",") if name.strip()}
    known = {entry.name for entry in entry_points(group=GROUP)}
    for name in sorted(names - known):
        with prefix_error(BLOCKED):
            raise unknown("plugin", name, known)
    return names


def installed() -> Iterator[Plugin]:
    """The plugins of all installed distributions by name, without those that are blocked.

    Raises SrqError for one that fails to import.
    """
    left_out, origin = blocked(), cache(_Origin.of)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in left_out:
            continue
        found = origin(entry.dist)
        try:
            with settings_restored():
                module = entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise SrqError(
                f"plugin '{entry.name}' of {found.distribution} {found.version} fails to import: "
                f"{_described(error)}; repair it, or block it with {BLOCKED}={entry.name}"
            ) from error
        yield Plugin(entry.name, found.distribution, found.version, module, _code_of(entry, found))


def of_file(path: Path) -> Plugin:
    """A plugin given as a file, with the name of the file; raises SrqError that names it."""
    module = _imported(path)
    with prefix_error(f"plugin file {path}"):
        code = code_sha256(module.__name__, path.resolve(), path.resolve().parent)
    return Plugin(path.stem, path.name, f"sha256 {code[:12]}", module, code, is_file=True)


class _Origin(NamedTuple):
    """Where an installed plugin comes from; plugins of one distribution share it."""

    distribution: str
    version: str
    files: frozenset[Path]
    """The distribution's Python files."""

    @classmethod
    def of(cls, found: Distribution | None) -> _Origin:
        if found is None:
            return cls("unknown", "unknown", frozenset())
        files = frozenset(Path(str(each.locate())).resolve() for each in found.files or () if each.suffix == ".py")
        return cls(found.name, found.version, files)


def _code_of(entry: EntryPoint, origin: _Origin) -> str:
    """The code of an installed plugin, which may be an object of a module; its version if the module has no file."""
    file = getattr(sys.modules.get(entry.module), "__file__", None)
    if not file:
        return hashlib.sha256(origin.version.encode()).hexdigest()
    with prefix_error(f"plugin '{entry.name}'"):
        return code_sha256(entry.module, Path(file).resolve(), own=origin.files)


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise SrqError(f"no plugin file {path}")
    spec = importlib.util.spec_from_file_location(f"srq_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SrqError(f"plugin file {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pydantic look up annotations there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # a helper module in the same folder is found, as for a script
    try:
        with settings_restored():
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        del sys.modules[spec.name]
        raise
    except BaseException as error:
        del sys.modules[spec.name]
        raise SrqError(f"plugin file {path} fails to import: {_described(error)}") from error
    return module


def _described(error: BaseException) -> str:
    """An exception of an import, and today's name where an earlier one was asked for."""
    text = described(error)
    if isinstance(error, ImportError) and error.name == OWN:
        renamed = (f"{old} is called {new} now" for old, new in RENAMED.items() if f"'{old}'" in str(error))
        text = "; ".join([text, *renamed])
    return text
