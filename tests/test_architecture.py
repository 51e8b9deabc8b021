"""Who may import whom, read from the sources."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import sr_ptq_bench

HOST = Path(sr_ptq_bench.__file__).parent
METHODS = ("srq_2dquant", "srq_cotrain", "srq_baselines")

ROOMS = sorted(path.parent for path in HOST.glob("*/__init__.py"))
LARGEST_ROOM = 13
"""Files of a room, or of a room in it."""
IN_ONE_MODULE = {
    "basicsr": "basicsr_compat.py",
    "torchvision": "basicsr_compat.py",
    "cv2": "data/images/pixels.py",
    "lmdb": "data/lmdb.py",
    "pandas": "tables/formats.py",
    "tabulate": "tables/formats.py",
    "platformdirs": "storage/home.py",
    "spandrel": "backbones/spandrel.py",
    "pooch": "library/fetch.py",
    "requests": "library/fetch.py",
    "filelock": "storage/locks.py",
    "ray": "sweep/ray.py",
    "matplotlib": "plots/canvas.py",
    "jinja2": "report/pages.py",
    "pluggy": None,
}
OF_PHOTOS = {"data/images/header.py", "upscaling/picture.py"}
"""Pillow reads what is scored, and the photos of people, which are more kinds."""
OF_TERMINALS = {"cli/display.py", "cli/show/pages.py", "cli/show/time_left.py"}
TYPED = {"matplotlib"}  # its types stand in the signatures of other modules


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    return Path(spec.origin).parent


def sources(package: str) -> list[Path]:
    return sorted(folder_of(package).rglob("*.py"))


HOST_FILES = sources("sr_ptq_bench")
METHOD_FILES = [path for package in METHODS for path in sources(package)]


def name_of(path: Path) -> str:
    for package in ("sr_ptq_bench", *METHODS):
        if path.is_relative_to(folder_of(package)):
            return f"{package}/{path.relative_to(folder_of(package)).as_posix()}"
    raise AssertionError(path)


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree: ast.AST, *, at_run_time: bool = False) -> list[tuple[int, str]]:
    """(level, dotted name) of every import; `from . import x` is (1, 'x')."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if at_run_time and is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.level, node.module))
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, alias.name) for alias in node.names]
        else:
            found += imports(node, at_run_time=at_run_time)
    return found


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def own(path: Path) -> set[str]:
    """The rooms and top-level modules of the host that a module of the host imports, for types too."""
    folder = path.relative_to(HOST).parts[:-1]
    found = set()
    for level, name in imports(tree_of(path)):
        parts = name.split(".")
        if level == 0 and parts[0] == "sr_ptq_bench":
            found.add(parts[1] if len(parts) > 1 else "__init__")
        elif level:
            found.add((*folder[: len(folder) - level + 1], *parts)[0])
    return found


def may_import(room: Path) -> set[str]:
    """What the docstring of a room allows."""
    text = ast.get_docstring(tree_of(room / "__init__.py"))
    (allowed,) = re.findall(r"^May import: (.+)\.$", text, flags=re.MULTILINE)
    every = {part_of(path) for path in HOST_FILES} - {"cli", "__init__"}
    return every if allowed == "every room" else set(allowed.split(", "))


def part_of(path: Path) -> str:
    return path.relative_to(HOST).parts[0].removesuffix(".py")


def test_the_reader_of_imports_sees_all_kinds():
    text = """
if TYPE_CHECKING:
    from .a import b
def f():
    import c.d
try:
    from e import f as g
except ImportError:
    from .. import h
"""
    everything = [(1, "a"), (0, "c.d"), (0, "e"), (2, "h")]
    assert imports(ast.parse(text)) == everything
    assert imports(ast.parse(text), at_run_time=True) == everything[1:]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_imports_exactly_what_its_docstring_says(room):
    used = set().union(*(own(path) for path in room.rglob("*.py"))) - {room.name, "__init__"}
    allowed = may_import(room)
    assert used <= allowed
    if room.name != "cli":
        assert used == allowed, "the docstring allows more than is used"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_says_in_a_sentence_what_it_is_and_is_small(room):
    assert re.match(r"[A-Z].{20,150}\.", ast.get_docstring(tree_of(room / "__init__.py")))
    for folder in [room, *(path.parent for path in room.rglob("__init__.py"))]:
        assert len(list(folder.glob("*.py"))) <= LARGEST_ROOM


OUTSIDE = {"errors": set(), "progress": set(), "syntax": set(), "basicsr_compat": {"syntax"}}
"""The modules outside of rooms, and what they import of ours."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_modules_outside_of_rooms_import_next_to_nothing_of_ours(name):
    assert own(HOST / f"{name}.py") == OUTSIDE[name]


def test_nothing_else_is_outside_of_rooms():
    assert {path.stem for path in HOST.glob("*.py")} == {"__init__", *OUTSIDE}


def test_the_public_package_imports_nothing_when_it_is_loaded():
    assert all(level == 0 for level, _ in imports(tree_of(HOST / "__init__.py"), at_run_time=True))


def test_rooms_form_no_circle():
    left = {room.name: may_import(room) for room in ROOMS}
    while left:
        free = [name for name, allowed in left.items() if not allowed & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        left = {name: allowed for name, allowed in left.items() if name not in free}


@pytest.mark.parametrize("path", HOST_FILES, ids=name_of)
def test_the_host_imports_neither_a_method_nor_a_test(path):
    roots = {name.split(".")[0] for level, name in imports(tree_of(path)) if level == 0}
    with_pytest = set() if path.is_relative_to(HOST / "testing") else {"pytest"}
    assert roots.isdisjoint({*METHODS, "tests", "conftest", "tiny", "hypothesis", *with_pytest})


def test_only_the_conformance_suite_imports_pytest_and_no_other_room_imports_the_suite():
    users = {part_of(path) for path in HOST_FILES if (0, "pytest") in imports(tree_of(path))}
    assert users == {"testing"}
    assert not [path for path in HOST_FILES if part_of(path) != "testing" and "testing" in own(path)]


@pytest.mark.parametrize("path", METHOD_FILES, ids=name_of)
def test_a_method_imports_only_the_public_names(path):
    (package,) = (package for package in METHODS if path.is_relative_to(folder_of(package)))
    depth = len(path.relative_to(folder_of(package)).parts)
    for level, name in imports(tree_of(path)):
        root = name.split(".")[0]
        if level:
            assert level <= depth, f"{name} is outside of {package}"
        elif root == "sr_ptq_bench":
            assert name == "sr_ptq_bench", f"{name} is no public name"
        else:
            assert root not in METHODS, f"{name} is another method's"


@pytest.mark.parametrize("path", METHOD_FILES, ids=name_of)
def test_a_method_takes_names_that_are_public(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "sr_ptq_bench":
            assert {alias.name for alias in node.names} <= set(sr_ptq_bench.__all__)
        if isinstance(node, ast.Import):
            assert "sr_ptq_bench" not in {alias.name for alias in node.names}


@pytest.mark.parametrize("library", [library for library, home in IN_ONE_MODULE.items() if home])
def test_a_library_is_imported_by_one_module(library):
    users = {
        path.relative_to(HOST).as_posix()
        for path in HOST_FILES
        if (0, library)
        in {(level, name.split(".")[0]) for level, name in imports(tree_of(path), at_run_time=library in TYPED)}
    }
    assert users == {IN_ONE_MODULE[library]}


@pytest.mark.parametrize("library", ["basicsr", "torchvision", "cv2", "PIL", "lmdb", "pandas", "rich", "pluggy"])
def test_a_method_needs_no_library_of_the_host(library):
    for path in METHOD_FILES:
        assert library not in {name.split(".")[0] for level, name in imports(tree_of(path)) if level == 0}


def test_pillow_is_imported_by_two_modules():
    users = {path.relative_to(HOST).as_posix() for path in HOST_FILES if "PIL" in str(imports(tree_of(path)))}
    assert users == OF_PHOTOS


def test_rich_is_imported_by_what_shows_on_a_terminal():
    users = {
        path.relative_to(HOST).as_posix()
        for path in HOST_FILES
        if "rich" in {name.split(".")[0] for level, name in imports(tree_of(path), at_run_time=True) if level == 0}
    }
    assert users == OF_TERMINALS


def test_pluggy_stays_with_the_manager():
    users = {part_of(path) for path in HOST_FILES if (0, "pluggy") in imports(tree_of(path))}
    assert users == {"hooks"}


# The public names


def type_checking_imports() -> dict[str, str]:
    """Name to module, as `sr_ptq_bench/__init__.py` tells a type checker."""
    (block,) = (node for node in tree_of(HOST / "__init__.py").body if is_type_checking(node))
    return {alias.name: node.module for node in block.body for alias in node.names}


def test_type_checkers_and_python_find_the_public_names_in_the_same_places():
    assert type_checking_imports() == sr_ptq_bench._HOME


def test_all_names_the_public_names_in_order():
    assert sr_ptq_bench.__all__ == sorted(sr_ptq_bench._HOME)


@pytest.mark.parametrize("name", sr_ptq_bench.__all__)
def test_a_public_name_resolves(name):
    home = importlib.import_module(f"sr_ptq_bench.{sr_ptq_bench._HOME[name]}")
    assert getattr(sr_ptq_bench, name) is getattr(home, name)


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute Boundz"):
        sr_ptq_bench.Boundz  # noqa: B018
    with pytest.raises(ImportError):
        from sr_ptq_bench import Boundz  # noqa: F401
