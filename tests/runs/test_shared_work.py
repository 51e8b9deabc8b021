"""What runs share by the cache, and what they do not."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file, save_file
from tiny import comparable, plugin, run

from sr_ptq_bench.runs.stages import observation, references, scoring


@pytest.fixture
def counted(monkeypatch):
    """How often an upscaler was scored and a network observed."""
    counts = {"score": 0, "observe": 0}

    def count(name):
        function, stages = {
            "score": ("score_datasets", (references, scoring)),
            "observe": ("observe", (observation,)),
        }[name]
        original = getattr(stages[0], function)

        def counting(*arguments):
            counts[name] += 1
            return original(*arguments)

        for stage in stages:
            monkeypatch.setattr(stage, function, counting)

    count("score")
    count("observe")
    return counts


def test_a_second_method_shares_references_and_distributions(tiny_suite, counted):
    first = run(tiny_suite)
    assert counted == {"score": 4, "observe": 1}
    second = run(tiny_suite, method="percentile", bits="2")
    assert counted == {"score": 5, "observe": 1}
    assert first.references == second.references


def test_another_seed_has_other_patches_and_the_same_references(tiny_suite, counted):
    run(tiny_suite)
    run(tiny_suite, seed=1)
    assert counted == {"score": 5, "observe": 2}


def test_other_weights_share_the_interpolations_only(tiny_suite, counted):
    run(tiny_suite)
    path = tiny_suite.folder / "weights.safetensors"
    save_file({name: tensor * 1.5 for name, tensor in load_file(path).items()}, path)
    run(tiny_suite)
    assert counted == {"score": 6, "observe": 2}


def test_another_padding_has_another_full_precision_score(tiny_suite, counted):
    run(tiny_suite)
    tiny_suite.change(padding="window")
    run(tiny_suite)
    assert counted == {"score": 6, "observe": 2}


def test_another_metric_has_references_of_its_own(tiny_suite, counted):
    run(tiny_suite)
    record = run(tiny_suite, plugin("mine", evaluate=lambda: {"mine": 1.0}))
    assert counted == {"score": 8, "observe": 1}
    assert "mine" in record.references.fp["noise"].mean


def test_a_method_that_rewrites_weights_neither_reads_nor_writes_kept_distributions(tiny_suite, counted):
    def double(student):
        student.network.fc1.layer.weight.data.mul_(2)

    rewrite = plugin("t", transform_model=double)
    for _ in range(2):
        run(tiny_suite, rewrite, method="t+minmax")
    assert counted["observe"] == 2
    plain = run(tiny_suite)
    assert counted["observe"] == 3
    assert plain.state_sha256 != run(tiny_suite, rewrite, method="t+minmax").state_sha256


def test_damaged_entries_are_computed_again(tiny_suite, counted):
    first = run(tiny_suite)
    entries = [path for path in (tiny_suite.folder / "home" / "cache").iterdir() if path.is_file()]
    assert len(entries) == 4
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:40])
    assert comparable(run(tiny_suite)) == comparable(first)
    assert counted == {"score": 8, "observe": 2}


def test_a_home_that_cannot_be_written_does_not_fail_the_run(tiny_suite, tmp_path):
    (tmp_path / "home").write_text("a file")
    assert comparable(run(tiny_suite, home=tmp_path / "home")) == comparable(run(tiny_suite))
