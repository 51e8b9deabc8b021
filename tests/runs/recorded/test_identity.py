"""Every ingredient of an identity changes it; what must not matter does not."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import torch
from tiny import FILE, plugin, plugins, prepare, write_images, write_weights

from sr_ptq_bench import Bounds
from sr_ptq_bench.hooks import code as code_module
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.records.resolved import ResolvedSpec
from sr_ptq_bench.runs import environment, identity
from sr_ptq_bench.runs.prepare import PreparedRun

KINDS = ("record", "state", "teacher", "distributions", "fp", "bicubic")
NOTHING: set[str] = set()
TRAINED = {"state", "record"}
CALIBRATION = {"state", "record", "distributions"}
NETWORK = {"state", "record", "distributions", "teacher", "fp"}
TESTS = {"record", "fp", "bicubic"}
SOFTWARE = {"state", "teacher", "distributions", "fp", "bicubic"}


def identities(run: PreparedRun) -> dict[str, object]:
    """What each kind of thing is kept under."""
    student = quantize(run.teacher, run.spec.bits)
    return {
        "record": run.record_name,
        "state": identity.calibrated_state(run),
        "teacher": identity.teacher_outputs(run),
        "distributions": identity.distributions(run, student),
        "fp": identity.fp_scores(run),
        "bicubic": identity.interpolation_scores(run, "bicubic"),
    }


def differing(one: PreparedRun, other: PreparedRun) -> set[str]:
    before, after = identities(one), identities(other)
    return {kind for kind in KINDS if before[kind] != after[kind]}


def changed(suite, **top) -> None:
    suite.change(**{**suite.table, **top})


def new_weights(suite):
    torch.manual_seed(1)
    from safetensors.torch import save_file
    from tiny import Tiny

    save_file(Tiny(2).state_dict(), suite.folder / "weights.safetensors")


SUITE_CHANGES = {
    "padding": (lambda s: changed(s, padding="reflect"), NETWORK),
    "weights": (new_weights, NETWORK),
    "test images": (lambda s: write_images(s.folder / "test", third=(24, 24)), TESTS),
    "calibration images": (lambda s: write_images(s.folder / "calibration", c=(40, 40)), CALIBRATION),
    "number of patches": (
        lambda s: changed(s, calibration={"source": {"hr": "calibration"}, "patches": 5, "size": 8}), CALIBRATION,
    ),
    "size of patches": (
        lambda s: changed(s, calibration={"source": {"hr": "calibration"}, "patches": 4, "size": 12}), CALIBRATION,
    ),
    "name of the suite": (lambda s: changed(s, name="other"), {"record"}),
    "tiles": (lambda s: changed(s, tiles={"size": 8, "overlap": 4}), {"record", "fp"}),
    "description": (lambda s: changed(s, description="another text"), NOTHING),
    "name of a test set": (lambda s: changed(s, test={"other": {"hr": "test"}}), TESTS),
}  # fmt: skip


@pytest.mark.parametrize("what", SUITE_CHANGES)
def test_a_change_of_the_suite_changes_what_depends_on_it(tiny_suite, what):
    change, expected = SUITE_CHANGES[what]
    before = prepare(tiny_suite.spec("minmax+dqc"))
    change(tiny_suite)
    assert differing(before, prepare(tiny_suite.spec("minmax+dqc"))) == expected


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({"method": "percentile+dqc"}, TRAINED),
        ({"bits": "3"}, TRAINED),
        ({"bits": "w4a5"}, TRAINED),
        ({"seed": 1}, CALIBRATION),
        ({"scope": "all"}, NETWORK),
        ({"dqc.lr": "1e-3"}, TRAINED),
    ],
)
def test_a_change_of_the_run_changes_what_depends_on_it(tiny_suite, what, expected):
    before = prepare(tiny_suite.spec("minmax+dqc"))
    after = prepare(tiny_suite.spec(**{"method": "minmax+dqc", **what}))
    assert differing(before, after) == expected


def test_another_home_place_or_time_changes_nothing(tiny_suite, tmp_path, monkeypatch):
    before = prepare(tiny_suite.spec("minmax+dqc"))
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "another home"))
    moved = tmp_path / "elsewhere"
    tiny_suite.folder.rename(moved)
    suite = dataclasses.replace(tiny_suite, folder=moved)
    assert differing(before, prepare(suite.spec("minmax+dqc"))) == NOTHING


def test_unrelated_plugins_and_their_order_change_nothing(tiny_suite):
    spec = tiny_suite.spec("minmax+dqc")
    one, two = plugin("one", init_bounds=lambda: None), plugin("two", load_model=lambda name: None)
    before = prepare(spec, plugins(one, two))
    assert differing(before, prepare(spec, plugins(two, one))) == NOTHING
    assert differing(before, prepare(spec, plugins())) == NOTHING


@pytest.mark.parametrize("library", ["torch", "basicsr", "numpy", "opencv", "sr_ptq_bench"])
def test_another_version_of_a_library_changes_everything_that_is_computed(tiny_suite, monkeypatch, library):
    run = prepare(tiny_suite.spec("minmax+dqc"))
    before = identities(run)
    known = environment.library_versions
    monkeypatch.setattr(identity, "library_versions", lambda more: known(more) | {library: "99"})
    after = identities(run)
    assert {kind for kind in KINDS if before[kind] != after[kind]} == SOFTWARE


def test_other_code_of_the_host_changes_everything_that_is_computed(tiny_suite, monkeypatch):
    run = prepare(tiny_suite.spec("minmax+dqc"))
    before, code = identities(run), identity.code(run)
    monkeypatch.setattr(identity, "host_sha256", lambda: "0" * 64)
    after = identities(run)
    assert {kind for kind in KINDS if before[kind] != after[kind]} == SOFTWARE
    assert identity.code(run) == code | {"sr_ptq_bench": "0" * 64}


@pytest.mark.parametrize("what", ["threads", "cpu", "device", "platform"])
def test_another_machine_changes_what_a_training_depends_on(tiny_suite, monkeypatch, what):
    run = prepare(tiny_suite.spec("minmax+dqc"))
    before = identities(run)
    known = environment.describe_machine
    monkeypatch.setattr(identity, "describe_machine", lambda device: known(device) | {what: "another"})
    after = identities(run)
    assert {kind for kind in KINDS if before[kind] != after[kind]} == {"state", "teacher"}


def with_code(run: PreparedRun, name: str) -> PreparedRun:
    """The same run after an edit of a plugin."""
    edited = dict(run.plugins.plugins)
    edited[name] = dataclasses.replace(edited[name], code="0" * 64)
    run.plugins.plugins.update(edited)
    return run


@pytest.mark.parametrize(
    ("name", "expected"),
    [("minmax", {"state"}), ("dqc", {"state"}), ("metrics", {"fp", "bicubic"}), ("percentile", NOTHING)],
)
def test_an_edit_of_a_built_in_plugin_changes_what_it_computes_and_no_name(tiny_suite, name, expected):
    run = prepare(tiny_suite.spec("minmax+dqc"))
    before = identities(run)
    after = identities(with_code(run, name))
    assert {kind for kind in KINDS if before[kind] != after[kind]} == expected


def test_an_edit_of_a_loader_changes_all_that_its_network_computes(tiny_suite):
    run = prepare(tiny_suite.spec("minmax+dqc"))
    before = identities(run)
    after = identities(with_code(run, FILE.stem))
    assert {kind for kind in KINDS if before[kind] != after[kind]} == NETWORK - {"record"}


def test_an_edit_of_a_foreign_method_gives_the_record_another_name(tiny_suite):
    spec = tiny_suite.spec("mine")
    mine = plugin("mine", init_bounds=lambda: Bounds(0, 1))
    edited = dataclasses.replace(mine, code="1" * 64)
    assert differing(prepare(spec, plugins(mine)), prepare(spec, plugins(edited))) == {"record", "state"}


def test_every_field_of_a_run_is_known_to_the_identities():
    """A new field is in an identity, or is listed here with the reason why it decides nothing."""
    source = inspect.getsource(identity)
    decides_nothing = {
        "batches",  # made from the calibration images and the seed
        "tests",  # by their hashes
        "not_scored",  # by the hashes of those that are scored
        "record_name",  # made from resolved and hashes
        "calibrated_on",  # made from the images
        "calibration_images",  # by the hash of the patches
    }
    for field in dataclasses.fields(PreparedRun):
        assert field.name in decides_nothing or f"run.{field.name}" in source, field.name
    excluded = {"suite", "tiles", "method"}
    assert excluded <= set(ResolvedSpec.model_fields)
    assert f"exclude={{{', '.join(repr(name) for name in ('suite', 'tiles', 'method'))}}}".replace("'", '"') in source


def test_the_code_that_ran_is_the_code_that_is_hashed(tiny_suite, tmp_path):
    """A plugin that is edited while a process runs keeps the hash of what was loaded."""
    from sr_ptq_bench.hooks.plugins import Plugins

    path = tmp_path / "mine.py"
    path.write_text(
        "from sr_ptq_bench import Bounds, hookimpl\n\n@hookimpl\ndef srq_init_bounds(distribution):\n"
        "    return Bounds(distribution.minimum, distribution.maximum)\n"
    )
    loaded = Plugins([FILE, path])
    first = prepare(tiny_suite.spec("mine"), loaded)
    path.write_text(path.read_text().replace("distribution.minimum", "0.0"))
    second = prepare(tiny_suite.spec("mine"), loaded)
    assert first.hashes.plugins == second.hashes.plugins
    assert prepare(tiny_suite.spec("mine"), Plugins([FILE, path])).hashes.plugins != first.hashes.plugins


def test_two_plugins_that_load_one_network_are_refused(tiny_suite, tmp_path):
    from refusals import error_of

    twin = tmp_path / "twin.py"
    twin.write_text(FILE.read_text())
    from sr_ptq_bench.hooks.plugins import Plugins

    both = [Plugins([FILE, twin]), Plugins([twin, FILE])]
    for some in both:
        message = error_of(prepare, tiny_suite.spec(), some)
        assert "'tiny'" in message
        assert "'twin'" in message
        assert "load a model called 'tiny'" in message


def test_weights_in_another_file_are_the_same_weights(tiny_suite):
    before = prepare(tiny_suite.spec())
    (tiny_suite.folder / "weights.safetensors").rename(tiny_suite.folder / "other.safetensors")
    changed(tiny_suite, weights={"2": "other.safetensors"})
    assert differing(before, prepare(tiny_suite.spec())) == NOTHING
    write_weights(tiny_suite.folder / "weights.safetensors")
    assert Path(code_module.__file__).is_file()
