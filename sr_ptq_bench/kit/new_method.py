"""From a name and a kind to a folder: the method, its test, pyproject.toml and README."""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from string import Template

from ..errors import SrqError
from ..hooks.plugins import Plugins

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z]([a-z0-9_]{0,38}[a-z0-9])?")


def write_package(name: str, kind: str, parent: Path) -> Path:
    """Write the folder `parent/name`; raises SrqError, and writes nothing, for a bad or a taken name."""
    check_name(name)
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise SrqError(f"{folder} exists; choose another name, or move it away")
    if not parent.is_dir():
        raise SrqError(f"{parent}: no such folder; make it first")
    files = {
        f"{name}.py": f"{kind}.py.txt",
        f"test_{name}.py": "test.py.txt",
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
    }
    with tempfile.TemporaryDirectory(dir=parent, prefix=".srq-") as made:
        whole = Path(made) / name
        whole.mkdir()
        for file, template in files.items():
            (whole / file).write_text(_filled(template, name), encoding="utf-8")
        shutil.move(whole, folder)
    return folder


def check_name(name: str) -> None:
    """Raise SrqError unless the name can be that of a method, of its module and of its distribution."""
    if not _NAME.fullmatch(name):
        raise SrqError(f"a method cannot be called '{name}'; use up to 40 of a-z, 0-9 and _, a letter first, no _ last")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise SrqError(f"a method cannot be called '{name}', a word of Python; choose another name")
    known = Plugins().plugins
    if name in known:
        raise SrqError(f"there is a plugin '{name}', of {known[name].distribution}; choose another name")
    if find_spec(name) is not None:
        raise SrqError(f"there is a Python module '{name}', which the method would hide; choose another name")


def _filled(template: str, name: str) -> str:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return Template(text).substitute(name=name, title="".join(part.capitalize() for part in name.split("_")))
