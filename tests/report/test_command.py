"""The command that repeats a record."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from made_records import record, scored

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.protocol.suite import Tiles
from sr_ptq_bench.report.provenance import command


def test_the_command_gives_back_the_recorded_run():
    """For every committed record, read by the command line's own parsers and plugins."""
    from sr_ptq_bench.cli.commands.run import run
    from sr_ptq_bench.hooks.options import recorded_values
    from sr_ptq_bench.hooks.plugins import Plugins
    from sr_ptq_bench.hooks.resolve import resolve_method
    from sr_ptq_bench.protocol.run_spec import parse_options
    from sr_ptq_bench.records.files import read_records

    folder = Path(__file__).parents[2] / "leaderboards" / "results" / "sample"
    plugins = Plugins()
    for each in read_records(folder):
        program, name, *words = shlex.split(command(each))
        given = run.make_context(name, words).params
        assert program == "srq"
        spec = each.spec
        told = (given["method"], given["scale"], given["suite"], given["model"], given["scope"])
        assert told == (spec.method, spec.scale, spec.suite, spec.model, spec.scope)
        method = resolve_method(plugins, given["method"], parse_options(given["options"]))
        assert {part: recorded_values(method.options[part]) for part in method.components} == spec.options


def test_the_command_names_photos_and_not_the_suite_that_they_make():
    made = command(record("minmax", suite="sample-holiday", scores=scored(30.0, names=("holiday",))))
    assert "--suite sample --model" in made
    assert "--test holiday=HR_DIR" in made
    assert "--test" not in command(record("minmax"))


def test_the_command_names_tiles_unless_they_are_those_of_the_suite():
    tiles = Tiles(size=96, overlap=16)
    assert "--suite mine.toml --model" in command(record("minmax", suite="mine-tile96-16", tiles=tiles))
    assert "--tile 96 --tile-overlap 16" in command(record("minmax", suite="mine-tile96-16", tiles=tiles))
    assert "--tile" not in command(record("minmax", suite="mine", tiles=tiles))


def test_a_value_with_spaces_is_one_word():
    made = command(record("minmax", options={"minmax": {"word": "a b; rm -rf"}}))
    assert "minmax.word=a b; rm -rf" in shlex.split(made)


def test_the_command_has_the_record_s_threads_and_device():
    words = shlex.split(command(record("minmax")))
    environment = record("minmax").environment
    assert words[words.index("--threads") + 1] == str(environment.threads)
    assert words[words.index("--device") + 1] == "cpu"
    gpu = environment.model_copy(update={"device": "NVIDIA H200"})
    assert "--device cuda" in command(record("minmax").model_copy(update={"environment": gpu}))


def test_the_command_names_the_files_of_plugins():
    environment = record("mine").environment
    versions = environment.versions | {"plugin mine": "mine.py sha256 0123456789ab", "plugin dqc": "srq_2dquant 1.0"}
    changed = environment.model_copy(update={"versions": versions})
    made = command(record("mine").model_copy(update={"environment": changed}))
    assert shlex.split(made).count("--plugin") == 1
    assert "--plugin mine.py" in made
