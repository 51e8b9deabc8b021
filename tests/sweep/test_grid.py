"""From words and TOML files to cells."""

from __future__ import annotations

import shlex
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import error_of
from tiny import toml

from sr_ptq_bench import SrqError
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.protocol.suite import suite_names
from sr_ptq_bench.sweep.grid import Cell, GridFields, SweepFile, unfold
from sr_ptq_bench.sweep.plan import with_own_options

METHODS = st.lists(st.from_regex(r"[a-z0-9]{1,8}(\+[a-z]{1,5})?", fullmatch=True), min_size=1, max_size=4, unique=True)
BITS = st.lists(
    st.one_of(st.integers(2, 8), st.builds("w{}a{}".format, st.integers(2, 8), st.integers(2, 8))),
    min_size=1,
    max_size=4,
    unique_by=lambda bits: bits if isinstance(bits, str) else f"w{bits}a{bits}",
)
SCALES = st.lists(st.sampled_from([2, 3, 4]), min_size=1, max_size=3, unique=True)


def cells(**choices) -> list[Cell]:
    words = {"methods": ["minmax"], "bits": [4], "scales": [2]} | choices
    return unfold([GridFields.parse(words).with_defaults(GridFields())])


def load(tmp_path, text: str) -> SweepFile:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return SweepFile.load(path)


@settings(max_examples=40, deadline=None)
@given(METHODS, BITS, SCALES, st.integers(1, 4), st.integers(0, 9))
def test_a_grid_has_every_combination_once(methods, bits, scales, seeds, seed):
    found = cells(methods=methods, bits=bits, scales=scales, seeds=seeds, seed=seed)
    assert len(found) == len(set(map(str, found))) == len(methods) * len(bits) * len(scales) * seeds
    assert {cell.method for cell in found} == set(methods)
    assert {cell.scale for cell in found} == set(scales)
    assert {cell.seed for cell in found} == set(range(seed, seed + seeds))
    assert {str(cell.spec().bits) for cell in found} == {cell.bits for cell in found}


@settings(max_examples=40, deadline=None)
@given(METHODS, SCALES, st.integers(1, 3))
def test_cells_that_share_a_network_and_images_follow_each_other(methods, scales, seeds):
    protocols = [cell.protocol for cell in cells(methods=methods, scales=scales, seeds=seeds)]
    changes = sum(a != b for a, b in pairwise(protocols))
    assert changes + 1 == len(set(protocols))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_sweep_or_a_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "sweep.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        unfold(SweepFile.load(path).grids())
    except SrqError as error:
        assert str(error)


KEYS = st.sampled_from([*SweepFile.model_fields, "method", "bit"])
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 2**70), st.text(max_size=5)),
    lambda v: st.lists(v, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=2))
def test_any_table_is_a_sweep_or_a_line(tmp_path_factory, top, runs):
    path = tmp_path_factory.mktemp("any") / "sweep.toml"
    path.write_text(toml(top) + "".join(f"[[run]]\n{toml(run)}" for run in runs))
    try:
        unfold(SweepFile.load(path).grids())
    except SrqError as error:
        assert str(error)


def test_entries_stand_over_the_defaults(tmp_path):
    sweep = load(
        tmp_path,
        """
        methods = ["minmax", "dobi"]
        bits = [4, "w2a4"]
        scales = [2]
        seeds = 2
        options.dqc.iterations = 5
        [[run]]
        [[run]]
        methods = ["2dquant"]
        bits = ["3"]
        seeds = 1
        options = {"dqc.lr" = 0.5, "dqc.iterations" = 7}
        """,
    )
    first, second = sweep.grids()
    assert (len(first.cells()), len(second.cells())) == (8, 1)
    assert (first.options, first.defaults) == ({}, {"dqc.iterations": 5})
    (cell,) = with_own_options(second.cells(), Plugins())
    assert cell.options == {"dqc.iterations": 7, "dqc.lr": 0.5}
    assert (cell.method, cell.bits, cell.model, cell.suite) == ("2dquant", "w3a3", "swinir-light", "sample")


@pytest.mark.parametrize(
    ("method", "of_file", "own", "expected"),
    [
        ("percentile", '"percentile.p" = 0.1', "p = 0.2", {"p": 0.2}),
        ("percentile", "p = 0.1", '"percentile.p" = 0.2', {"percentile.p": 0.2}),
        ("condiquant", "iterations = 1", '"dqc.iterations" = 2', {"condition.iterations": 1, "dqc.iterations": 2}),
        ("condiquant", '"dqc.iterations" = 1', "iterations = 2", {"iterations": 2}),
        ("condiquant", "iterations = 1", '"dqc.batch" = 2', {"iterations": 1, "dqc.batch": 2}),
    ],
)
def test_an_option_of_an_entry_is_over_that_of_the_file_in_any_spelling(tmp_path, method, of_file, own, expected):
    text = f'methods = ["{method}"]\nbits = [4]\nscales = [2]\noptions = {{{of_file}}}\n[[run]]\noptions = {{{own}}}'
    (cell,) = with_own_options(unfold(load(tmp_path, text).grids()), Plugins())
    assert (cell.options, cell.defaults) == (expected, {})


def test_an_option_that_no_method_of_its_entry_has_is_a_line(tmp_path):
    text = (
        "bits = [4]\nscales = [2]\n[[run]]\nmethods = ['dobi+dqc']\n[[run]]\nmethods = ['minmax']\noptions.dqc.lr = 1"
    )
    assert "no option 'dqc.lr'" in error_of(with_own_options, unfold(load(tmp_path, text).grids()), Plugins())


def test_entries_with_equal_options_are_checked_one_by_one(tmp_path):
    entries = "\n".join(f"[[run]]\nmethods = ['{method}']\noptions.dqc.lr = 1" for method in ("minmax", "dobi+dqc"))
    cells = unfold(load(tmp_path, f"bits = [4]\nscales = [2]\n{entries}").grids())
    assert "no option 'dqc.lr'" in error_of(with_own_options, cells, Plugins())


def test_a_file_without_entries_is_one_grid(tmp_path):
    assert len(unfold(load(tmp_path, 'methods = ["minmax"]\nbits = [4, 3]\nscales = [2, 3]').grids())) == 4


def test_paths_are_read_from_the_file_s_folder(tmp_path, tiny_suite):
    text = 'plugins = ["mine.py"]\nmethods = ["minmax"]\nbits = [4]\nscales = [2]\n'
    sweep = load(tmp_path, text + '[[run]]\nsuite = "tiny/suite.toml"')
    assert sweep.plugins == (tmp_path / "mine.py",)
    (cell,) = unfold(sweep.grids())
    assert cell.suite == str(tiny_suite.path)
    assert cell.model == "tiny"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("methds = ['minmax']", "no key 'methds'; did you mean 'methods'?"),
        ("[[run]]\n[[run]]\nscale = [2]", "run 2: no key 'scale'; did you mean 'scales'?"),
        ("[[run]]\nrun = []", "run 1: no key 'run'"),
        ("methods = 'minmax'", "methods: Input should be a list"),
        ("methods = ['minmax', ' ']", "methods.1: the name is empty"),
        ("methods = []", "methods: Tuple should have at least 1 item"),
        ("bits = [9]", "bits.0: bits '9' are out of range; expected 2 to 8"),
        ("bits = [true]", "bits.0: expected a number such as 4, or w4a8"),
        ("bits = [4, 'w4a4']", "bits: w4a4 is given twice"),
        ("scales = [5]", "scales.0: scale 5 is out of range; expected 2, 3 or 4"),
        ("seeds = 0", "seeds: Input should be greater than or equal to 1"),
        ("scope = 'conv'", "scope: Input should be 'linear' or 'all'"),
        ("methods = [", "expected a TOML file"),
    ],
)
def test_a_wrong_file_is_a_line(tmp_path, text, expected):
    message = error_of(load, tmp_path, text)
    assert expected in message
    assert "sweep.toml" in message


def test_a_file_that_is_not_there_is_a_line(tmp_path):
    assert "No such file" in error_of(SweepFile.load, tmp_path / "no.toml")


def test_what_lacks_is_named_with_its_run(tmp_path):
    sweep = load(tmp_path, "methods = ['minmax']\nbits = [4]\n[[run]]\nscales = [2]\n[[run]]")
    assert error_of(sweep.grids).startswith("run 2: scales are missing")


def test_a_cell_that_two_entries_name_is_refused(tmp_path):
    sweep = load(
        tmp_path, "methods = ['minmax', 'dobi']\nbits = [4]\nscales = [2]\n[[run]]\n[[run]]\nmethods = ['dobi']"
    )
    assert error_of(unfold, sweep.grids()) == "cell dobi w4a4 x2 swinir-light seed 0 is given twice; leave one out"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"suite": "sampel"}, "no suite 'sampel'; did you mean 'sample'?"),
        ({"models": ["swinir"]}, "no model 'swinir'; did you mean 'swinir-light'?"),
        ({"seed": 2**63 - 1, "seeds": 2}, "the last of 2 seeds is larger"),
    ],
)
def test_what_no_suite_has_is_refused(choices, expected):
    assert expected in error_of(lambda: cells(**choices))


def test_a_scale_without_weights_is_refused(tiny_suite):
    assert "has no weights for x3" in error_of(lambda: cells(suite=str(tiny_suite.path), scales=[3]))


@pytest.mark.parametrize("suite", suite_names())
def test_the_command_of_a_cell_is_its_run(suite):
    (cell,) = cells(suite=suite, scope="all", seed=3, options={"dqc.lr": 0.1})
    command = cell.command()
    assert shlex.split(command) == [
        "srq", "run", "--method", "minmax", "--bits", "w4a4", "--scale", "2", "--suite", suite,
        "--model", "swinir-light", "--seed", "3", "--scope", "all", "-o", "dqc.lr=0.1",
    ]  # fmt: skip
