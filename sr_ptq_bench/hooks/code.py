"""Identifies code by what it computes: syntax trees, without comments, docstrings and formatting."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SrqError
from ..syntax import meaning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOST = __name__.partition(".")[0]
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


_FIRST: dict[Path, bytes] = {}
"""The helpers of plugins as this process first met them: Python imports a module once."""


def code_sha256(name: str, file: Path, folder: Path | None = None, own: frozenset[Path] = frozenset()) -> str:
    """The SHA-256 of a module and of all code that belongs to it; path and formatting do not count.

    A module of a package counts with the whole package; a single file with every local module that it imports,
    directly or through others. Modules of the standard library, installed ones and those of this package are not local,
    but for `own` files, those of the plugin's distribution.

    Raises SrqError if the code that runs is not that in the files, or not that beside the plugin in `folder`. A
    plugin's file is run again each time; all else that belongs to it is imported once in a process.
    """
    files = _files(name, file, own)
    for key, path in files.items():
        module = key.removesuffix(".py").removesuffix("/__init__").replace("/", ".") or name
        if (path == file and folder) or module not in sys.modules:
            continue
        beside = folder and _module_file(folder, module)
        if beside and beside.resolve() != path:
            raise SrqError(f"its {module} would be {path}, which another plugin imported; rename {beside}")
        now = path.read_bytes()
        first = _FIRST.setdefault(path, now)
        if now != first and meaning(now) != meaning(first):
            raise SrqError(f"{path} has changed since this process imported it; start Python again")
    return _digest(files)


def _files(name: str, file: Path, own: frozenset[Path]) -> dict[str, Path]:
    """The files of a module and of all code that belongs to it, by the names of their modules."""
    importlib.invalidate_caches()  # a helper may have been written a moment ago
    files = {"": file}
    waiting = [("", file)]
    package = _package_of(name, file)
    if package:
        files = {path.relative_to(package.parent).as_posix(): path for path in sorted(package.rglob("*.py"))}
        waiting = list(files.items())
    seen: set[str] = set()
    while waiting:
        _, path = waiting.pop()
        names = [each for each in dict.fromkeys(_imports(path, name if path == file else "")) if each not in seen]
        seen.update(names)
        for imported, found in _local(names, own):
            if found not in files.values():
                files[imported] = found
                waiting.append((imported, found))
    return files


@lru_cache
def host_sha256() -> str:
    """The SHA-256 of the code of this package that takes part in a measurement: all that `runs.run` imports."""
    root = Path(__file__).parents[1]
    files = {"runs.run": root / "runs/run.py"}
    waiting = list(files.items())
    while waiting:
        name, path = waiting.pop()
        for imported in _imports(path, f"{HOST}.{name}"):
            inside = imported.removeprefix(f"{HOST}.")
            found = _module_file(root, inside) if inside != imported else None
            if found and inside not in files:
                files[inside] = found
                waiting.append((inside, found))
    return _digest(files)


def _digest(files: dict[str, Path]) -> str:
    return _digest_of(tuple((name, path.read_bytes()) for name, path in sorted(files.items())))


@lru_cache(maxsize=64)
def _digest_of(sources: tuple[tuple[str, bytes], ...]) -> str:
    """Of sources by name; remembered, since every plugin of a package has the code of the whole package."""
    digest = hashlib.sha256()
    for name, source in sources:
        digest.update(f"{name}\n{meaning(source)}\n".encode())
    return digest.hexdigest()


def _package_of(name: str, file: Path) -> Path | None:
    """The folder of the outermost package that a module belongs to; None for a module without a package."""
    top = sys.modules.get(name.partition(".")[0])
    folders = [Path(folder).resolve() for folder in getattr(top, "__path__", ())]
    if name.partition(".")[0] == HOST:
        return None
    return next((folder for folder in folders if file.resolve().is_relative_to(folder)), None)


def _local(names: Iterable[str], own: frozenset[Path]) -> Iterator[tuple[str, Path]]:
    """Those of these modules that are local, with their files."""
    for name in names:
        if name.partition(".")[0] not in ("", HOST):  # a relative import is of the same package
            found = _file_of(name)
            if found and (found in own or not _installed(found)):
                yield name, found


def _installed(file: Path) -> bool:
    """Whether a module is Python's or below a folder that pip fills: here, of a user, of a system, by `--target`."""
    return any(file.is_relative_to(folder) for folder in _LIBRARIES) or any(map(_filled_by_pip, file.parents))


@lru_cache
def _filled_by_pip(folder: Path) -> bool:
    return next(folder.glob("*.dist-info"), None) is not None


def _imports(path: Path, name: str) -> tuple[str, ...]:
    """The names of all modules that a file may import, in functions too, but not for type checking alone."""
    return _imports_of(path.read_bytes(), name if path.name == "__init__.py" else name.rpartition(".")[0])


@lru_cache(maxsize=512)
def _imports_of(source: bytes, package: str) -> tuple[str, ...]:
    return tuple(_imported_names(source, package))


def _imported_names(source: bytes, package: str) -> Iterator[str]:
    with suppress(SyntaxError, ValueError):
        waiting: list[ast.AST] = [ast.parse(source)]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                waiting += node.orelse
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parents = package.split(".")
                    base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
            waiting += ast.iter_child_nodes(node)


def _file_of(name: str) -> Path | None:
    """The source file of a module that is loaded or could be; nothing is imported to find it."""
    origin = getattr(sys.modules.get(name), "__file__", None)
    if origin is not None:
        return Path(origin).resolve()
    spec = None
    with suppress(ImportError, ValueError, AttributeError):  # a name that is no module
        spec = importlib.util.find_spec(name.partition(".")[0])
    if spec is None:
        return None
    if spec.origin is None:  # a folder without an __init__.py
        files = (_module_file(Path(place).resolve().parent, name) for place in spec.submodule_search_locations or ())
        return next(filter(None, files), None)
    if not spec.has_location:
        return None
    file = Path(spec.origin).resolve()
    return _module_file(file.parents[1] if file.name == "__init__.py" else file.parent, name)


def _module_file(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
