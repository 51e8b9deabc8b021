"""`srq methods` says what can stand after `--method`."""

from __future__ import annotations

import pytest
from tiny import FILE

METHOD = '''"""Mine: bounds of my own."""
from sr_ptq_bench import Bounds, PluginOptions, hookimpl

class Options(PluginOptions):
    p: float = 0.25

@hookimpl
def srq_init_bounds(distribution):
    return Bounds(distribution.minimum, distribution.maximum)
'''


def blocks(text: str) -> dict[str, list[str]]:
    """The lines of each method by its name."""
    parts = [block.splitlines() for block in text.strip().split("\n\n")]
    return {lines[0].split()[0]: lines for lines in parts}


def test_every_method_has_its_distribution_hooks_and_options(srq):
    outcome = srq("methods")
    assert (outcome.status, outcome.err) == (0, "")
    found = blocks(outcome.out)
    assert {"2dquant", "dbdc", "dobi", "dqc", "minmax", "pac", "percentile"} <= found.keys()
    assert found["percentile"][0].startswith("percentile  initializer  (sr_ptq_bench ")
    assert found["percentile"][1].startswith("    Percentile (Li et al.")
    assert found["percentile"][2] == "    hooks: srq_init_bounds"
    assert found["percentile"][3].startswith("    -o percentile.p=0.001  share of the values")
    assert found["dqc"][0].startswith("dqc  calibrator  (")
    assert "    -o dqc.iterations=3000  Adam steps" in found["dqc"]
    assert (found["dbdc"][0].split()[1], found["pac"][0].split()[1]) == ("initializer", "calibrator")
    assert any(line.startswith("    -o dbdc.p=None  ") for line in found["dbdc"])


def test_a_composed_method_says_of_what(srq):
    assert blocks(srq("methods").out)["2dquant"][0].startswith("2dquant  = dobi+dqc  (")


def test_plugins_that_are_no_method_are_left_out(srq):
    assert {"metrics", "swinir", "tiny"}.isdisjoint(blocks(srq("methods", "--plugin", FILE).out))


def test_a_file_is_listed_as_an_installed_plugin_is(srq, tmp_path):
    (tmp_path / "mine.py").write_text(METHOD)
    lines = blocks(srq("methods", "--plugin", tmp_path / "mine.py").out)["mine"]
    assert lines[0].startswith("mine  initializer  (mine.py sha256 ")
    assert lines[1:] == ["    Mine: bounds of my own.", "    hooks: srq_init_bounds", "    -o mine.p=0.25"]


def test_a_method_without_a_docstring_is_listed_all_the_same(srq, tmp_path):
    (tmp_path / "mine.py").write_text(METHOD.split("\n", 1)[1])
    lines = blocks(srq("methods", "--plugin", tmp_path / "mine.py").out)["mine"]
    assert lines[0].startswith("mine  initializer  (mine.py ")
    assert lines[1] == "    hooks: srq_init_bounds"


def test_a_method_that_only_rewrites_weights_is_a_transformer(srq, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from sr_ptq_bench import hookimpl\n@hookimpl\ndef srq_transform_model(student): pass\n"
    )
    assert blocks(srq("methods", "--plugin", tmp_path / "mine.py").out)["mine"][0].startswith("mine  transformer  (")


def test_a_blocked_plugin_is_not_listed(srq, monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "percentile")
    assert "percentile" not in blocks(srq("methods").out)


@pytest.mark.parametrize("name", ["missing.py", "folder"])
def test_a_plugin_file_that_is_not_there_is_named(srq, tmp_path, name):
    (tmp_path / "folder").mkdir()
    outcome = srq("methods", "--plugin", tmp_path / name)
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"srq: no plugin file {tmp_path / name}\n")
