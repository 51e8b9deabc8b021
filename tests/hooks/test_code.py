"""The identity of code: what it computes counts, how it is written and where it lies does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import sr_ptq_bench
from sr_ptq_bench.hooks import code
from sr_ptq_bench.hooks.code import code_sha256, host_sha256

SOURCE = '"""A plugin."""\n\nimport json\n\n\ndef bounds(x):\n    """Bounds."""\n    return x * 2  # twice\n'


def sha256(path: Path) -> str:
    """As of a plugin's file, which may be run again after each change."""
    return code_sha256("srq_plugin_mine", path, path.parent)


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # twice", ""),
        ('"""Bounds."""\n    ', ""),
        ('"""A plugin."""', '"""Another text."""'),
        ("x * 2", "(x*2)"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("\n", "\r\n"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(mine, old, new):
    before = sha256(mine)
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    mine.write_bytes(changed.encode())
    assert sha256(mine) == before


@pytest.mark.parametrize(("old", "new"), [("x * 2", "x * 3"), ("bounds", "limits"), ("import json\n", "")])
def test_what_code_does_counts(mine, old, new):
    before = sha256(mine)
    mine.write_text(SOURCE.replace(old, new))
    assert sha256(mine) != before


def test_the_path_does_not_count(mine, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "mine.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text(SOURCE)
    assert sha256(elsewhere) == sha256(mine)


def test_a_file_that_is_no_python_counts_by_its_bytes(mine):
    mine.write_text("def (")
    before = sha256(mine)
    mine.write_text("def ((")
    assert sha256(mine) != before


@pytest.mark.parametrize(
    "statement",
    [
        "import helper_a",
        "from helper_a import SHRINK",
        "def f():\n    from helper_a import SHRINK",
        "if True:\n    import helper_a as other",
        "try:\n    import helper_a\nexcept ImportError:\n    pass",
    ],
)
def test_a_local_helper_belongs_to_the_file_that_imports_it(mine, tmp_path, monkeypatch, statement):
    monkeypatch.syspath_prepend(tmp_path)
    mine.write_text(f"{statement}\n{SOURCE}")
    helper = tmp_path / "helper_a.py"
    helper.write_text("SHRINK = 1.0\n")
    before = sha256(mine)
    helper.write_text("SHRINK = 0.3\n")
    assert sha256(mine) != before
    helper.write_text("SHRINK = 1.0  # as before\n")
    assert sha256(mine) == before


def test_a_helper_of_a_helper_belongs_to_the_file_too(mine, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    mine.write_text(f"import helper_b\n{SOURCE}")
    (tmp_path / "helper_b.py").write_text("from helper_c import VALUE\n")
    (tmp_path / "helper_c.py").write_text("import helper_b\nVALUE = 1\n")
    before = sha256(mine)
    (tmp_path / "helper_c.py").write_text("import helper_b\nVALUE = 2\n")
    assert sha256(mine) != before


def test_imports_for_types_and_of_libraries_do_not_count(mine, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_d.py").write_text("VALUE = 1\n")
    mine.write_text(f"import torch, os\nif TYPE_CHECKING:\n    import helper_d\n{SOURCE}")
    before = sha256(mine)
    (tmp_path / "helper_d.py").write_text("VALUE = 2\n")
    assert sha256(mine) == before


def test_libraries_of_a_second_folder_that_pip_filled_do_not_count(mine, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"  # such as the user's own packages, or a system's below a virtual environment
    library = elsewhere / "library_e" / "__init__.py"
    library.parent.mkdir(parents=True)
    (elsewhere / "library_e-1.0.dist-info").mkdir()
    library.write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(elsewhere)
    mine.write_text(f"import library_e\n{SOURCE}")
    before = sha256(mine)
    library.write_text("VALUE = 2\n")
    assert sha256(mine) == before


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "srq_test_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .impl import bounds\n")
    (folder / "impl.py").write_text("def bounds():\n    return 1\n")
    (folder / "unused.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("srq_test_package")
    yield folder
    for name in [name for name in sys.modules if name.startswith("srq_test_package")]:
        del sys.modules[name]


@pytest.mark.parametrize("file", ["__init__.py", "impl.py", "unused.py"])
@pytest.mark.parametrize("root", ["__init__", "impl"])
def test_the_whole_package_belongs_to_each_of_its_modules(package, root, file, monkeypatch):
    name = "srq_test_package" if root == "__init__" else f"srq_test_package.{root}"
    before = code_sha256(name, package / f"{root}.py")
    (package / file).write_text((package / file).read_text() + "MORE = 1\n")
    monkeypatch.setattr(code, "_FIRST", {})  # as in a new process
    assert code_sha256(name, package / f"{root}.py") != before


def test_the_host_counts_with_all_that_a_run_imports_and_nothing_else(tmp_path, monkeypatch):
    """A copy of the package is changed file by file."""
    import shutil

    root = Path(code.__file__).parents[1]
    copy = tmp_path / "sr_ptq_bench"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("weights", "__pycache__", "suites"))
    monkeypatch.setattr(code, "__file__", str(copy / "hooks" / "code.py"))

    def now() -> str:
        host_sha256.cache_clear()
        return host_sha256()

    before = now()
    for name in ("quantization/fake_quantize", "quantization/observe", "evaluation/score", "data/resize", "errors"):
        path = copy / f"{name}.py"
        source = path.read_text()
        path.write_text(source + "\nMORE = 1\n")
        assert now() != before, name
        path.write_text(source + "\n# a comment\n")
        assert now() == before, name
    for name in ("cli/run", "tables/rows", "plots/canvas", "sweep/plan"):
        (copy / f"{name}.py").write_text("MORE = 1\n")
        assert now() == before, name
    host_sha256.cache_clear()


def test_what_methods_compute_with_counts(monkeypatch):
    """A method's own hash leaves out what it takes from srq, so the hash of the host must have it."""
    counted = {}
    monkeypatch.setattr(code, "_digest", lambda files: counted.update(files) or "")
    host_sha256.cache_clear()
    host_sha256()
    host_sha256.cache_clear()
    homes = {home for home in sr_ptq_bench._HOME.values() if home.startswith("quantization.")}
    assert "quantization.training" in homes
    assert homes <= counted.keys()


def test_a_source_is_parsed_once_for_all_plugins_of_a_package_and_again_when_it_has_changed(mine, monkeypatch):
    parsed = []
    monkeypatch.setattr(code, "meaning", lambda source: parsed.append(source) or source.decode())
    mine.write_text("a = 'once'")
    first = sha256(mine)
    assert [sha256(mine), parsed] == [first, [b"a = 'once'"]]
    mine.write_text("a = 'twice'")
    assert sha256(mine) != first
    assert parsed[1:] == [b"a = 'twice'"]
