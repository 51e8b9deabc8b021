"""`srq new-method`: what it writes works, and a bad name writes nothing."""

from __future__ import annotations

import tomllib

import pytest
from tiny import FILE

KINDS = ("bounds", "weights", "quantizer")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_method_runs(srq, tiny_suite, tmp_path, kind):
    name = f"new_{kind}"  # a plugin file stays importable in this process
    made = srq("new-method", name, "--kind", kind, "--out", tmp_path)
    assert made.status == 0
    assert f"pip install {tmp_path / name} && srq run" in made.out
    files = {path.name for path in (tmp_path / name).iterdir()}
    assert files == {f"{name}.py", f"test_{name}.py", "pyproject.toml", "README.md"}
    project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["srq"] == {name: name}
    given = ["--plugin", FILE, "--plugin", tmp_path / name / f"{name}.py", "--suite", tiny_suite.path]
    done = srq("run", "--method", name, "--bits", 2, "--scale", 2, *given, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert len(list((tmp_path / "out").rglob(f"{name}-w2a2-x2-*.json"))) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minmax", "there is a plugin 'minmax', of sr_ptq_bench"),
        ("class", "a method cannot be called 'class', a word of Python"),
        ("match", "a method cannot be called 'match', a word of Python"),
        ("numpy", "there is a Python module 'numpy'"),
        ("My", "a method cannot be called 'My'"),
        ("a+b", "a method cannot be called 'a+b'"),
        ("../up", "a method cannot be called '../up'"),
        ("_", "a method cannot be called '_'"),
        ("mine_", "no _ last"),
        ("m" * 41, "a method cannot be called"),
        ("taken", "taken exists"),
    ],
)
def test_a_bad_name_writes_nothing(srq, tmp_path, name, message):
    (tmp_path / "taken").mkdir()
    done = srq("new-method", name, "--out", tmp_path)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["taken"]


def test_an_unknown_kind_or_folder(srq, tmp_path):
    assert srq("new-method", "mine", "--kind", "magic", "--out", tmp_path).status == 2
    assert srq("new-method", "mine", "--out", tmp_path / "nowhere").status == 2
