"""Modules beside a plugin."""

from __future__ import annotations

import sys

import pytest
from refusals import error_of

from sr_ptq_bench.hooks.plugins import Plugins

USES = "from sr_ptq_bench import Bounds, hookimpl\nfrom {0} import K\n\n@hookimpl\ndef srq_init_bounds(): pass\n"


@pytest.fixture
def path(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())


def test_helpers_of_one_name_in_two_folders(tmp_path, path):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper_of_two.py").write_text(f"K = '{name}'\n")
        files.append(tmp_path / name / f"{name}.py")
        files[-1].write_text(USES.format("helper_of_two"))
    said = error_of(Plugins, files)
    assert said == (
        f"plugin file {files[1]}: its helper_of_two would be {tmp_path}/one/helper_of_two.py, "
        f"which another plugin imported; rename {tmp_path}/two/helper_of_two.py"
    )


def test_a_helper_that_has_changed_since_it_was_imported(tmp_path, path):
    mine, helper = tmp_path / "mine.py", tmp_path / "helper_that_changes.py"
    helper.write_text("K = 1\n")
    mine.write_text(USES.format("helper_that_changes"))
    Plugins([mine])
    helper.write_text("K = 1  # the same\n")
    Plugins([mine])
    helper.write_text("K = 2\n")
    assert error_of(Plugins, [mine]) == (
        f"plugin file {mine}: {helper} has changed since this process imported it; start Python again"
    )
