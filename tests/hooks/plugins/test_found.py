"""Plugins are found where they are installed or named, and what fails to import is named."""

from __future__ import annotations

import sys

import pytest
from method_text import METHOD
from refusals import error_of

from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method


def test_what_this_distribution_registers_is_found():
    found = Plugins().plugins
    assert {"swinir", "metrics", "minmax", "percentile", "dbdc", "pac", "dobi", "dqc", "2dquant"} <= found.keys()
    assert found["minmax"].distribution == "sr_ptq_bench"
    assert found["minmax"].version[0].isdigit()


def test_a_foreign_entry_point_is_found(installed, module):
    module("foreign_method", METHOD)
    installed(mine="foreign_method")
    found = Plugins()
    assert (found.plugins["mine"].distribution, found.plugins["mine"].version) == ("foreign", "2.0")
    assert resolve_method(found, "mine", {}).components == ("mine",)


def test_a_plugin_of_a_file_is_named_after_it(tmp_path):
    (tmp_path / "mine.py").write_text(METHOD)
    found = Plugins([tmp_path / "mine.py"])
    assert "mine" in found.method_names()
    assert found.plugins["mine"].distribution == "mine.py"


def test_a_file_may_use_dataclasses_and_options_with_annotations_as_text(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar, Literal\n"
        "from sr_ptq_bench import PluginOptions, hookimpl\n"
        "@dataclass\n"
        "class Pair:\n    x: ClassVar[int] = 1\n    y: int = 2\n"
        "class Options(PluginOptions):\n    kind: Literal['a', 'b'] = 'a'\n"
        "@hookimpl\ndef srq_init_bounds(): pass\n"
    )
    found = Plugins([tmp_path / "mine.py"])
    assert option_values(resolve_method(found, "mine", {"kind": "b"}).options["mine"]) == {"kind": "b"}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.py", None, "no plugin file {path}"),
        ("text.txt", "hello", "plugin file {path} is no Python file"),
        ("broken.py", "def", "plugin file {path} fails to import: SyntaxError: "),
        ("absent.py", "import no_such_module", "plugin file {path} fails to import: ModuleNotFoundError: No module"),
    ],
)
def test_a_file_that_is_no_plugin_is_named(tmp_path, name, content, expected):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    assert error_of(Plugins, [path]).startswith(expected.format(path=path))


def test_a_folder_is_no_plugin_file(tmp_path):
    assert error_of(Plugins, [tmp_path]) == f"no plugin file {tmp_path}"


def test_a_file_that_fails_to_import_leaves_no_module_behind(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    error_of(Plugins, [tmp_path / "broken.py"])
    assert "srq_plugin_broken" not in sys.modules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_fails_to_import_is_named_with_its_distribution(installed, module, text, reason):
    module("foreign_broken", text)
    installed(mine="foreign_broken")
    assert error_of(Plugins) == (
        f"plugin 'mine' of foreign 2.0 fails to import: {reason}; repair it, or block it with SRQ_DISABLE=mine"
    )


def test_an_entry_point_to_nothing_is_named(installed):
    installed(mine="no_such_module")
    assert error_of(Plugins).startswith("plugin 'mine' of foreign 2.0 fails to import: ModuleNotFoundError")
