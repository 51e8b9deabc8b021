"""What belongs to all methods stays as it is: teacher, images, settings, the working folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mistaken import minmax, refused
from tiny import plugin, plugins, run

from sr_ptq_bench.hooks.guard import settings_restored


def halve(teacher):
    next(teacher.model.network.parameters()).data.mul_(0.5)


def to_training(teacher):
    teacher.model.network.train()


def hook(teacher):
    teacher.model.network.register_forward_hook(lambda *_: None)


def hook_before(teacher):
    teacher.model.network.fc1.register_forward_pre_hook(lambda *_: None)


def other_forward(teacher):
    teacher.model.network.fc1.forward = lambda x: x


@pytest.mark.parametrize("change", [halve, to_training, hook, hook_before, other_forward])
def test_a_teacher_that_is_changed(tiny_suite, change):
    assert refused(tiny_suite, calibrate=change) == (
        "plugin 'mine' changes the full-precision network; a method changes the student"
    )


def overwrite_patches(batches):
    batches.patches[:] = 0


def overwrite_images(batches):
    batches.images[0][:] = 0


@pytest.mark.parametrize("change", [overwrite_patches, overwrite_images])
def test_calibration_images_are_read_only(tiny_suite, change):
    assert "fails in srq_calibrate: ValueError: assignment destination is read-only" in refused(
        tiny_suite, calibrate=change
    )


def test_a_metric_has_images_of_its_own():
    image = np.ones((32, 32, 3), np.uint8)
    seen = []

    def spoil(sr, hr):
        seen.append((int(sr.sum()), int(hr.sum())))
        sr[:], hr[:] = 0, 0
        return {}

    known = plugins(plugin("one", evaluate=spoil), plugin("two", evaluate=spoil))
    known.evaluate(image, image, 2)
    assert seen == [(image.size, image.size)] * 2
    assert image.all()


def test_costs_that_are_changed_in_place(tiny_suite):
    costs = []

    def scale(distribution, output_cost):
        costs.append(float(output_cost().mul_(2).sum()))
        costs.append(float(output_cost().sum()))
        return minmax(distribution)

    run(tiny_suite, plugin("mine", init_bounds=scale), method="mine")
    assert costs[0::2] == [2 * cost for cost in costs[1::2]]


def test_the_working_folder_stays_that_of_the_user(tmp_path, monkeypatch):
    """Also where a plugin removes the folder to which it went."""
    monkeypatch.chdir(tmp_path)
    with settings_restored():
        (tmp_path / "other").mkdir()
        os.chdir("other")
        (tmp_path / "other").rmdir()
    assert Path.cwd() == tmp_path


def test_a_working_folder_that_goes_during_a_run_loses_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with settings_restored():
        folder.rmdir()
    assert not folder.exists()


def test_settings_and_prints_of_a_plugin_stay_with_it(capsys):
    threads = torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), np.geterr()
    with settings_restored():
        torch.set_num_threads(threads + 1)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.backends.mkldnn.enabled = False
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        torch.set_autocast_enabled("cpu", True)
        np.seterr(all="raise")
        print("hello")
    assert torch.get_num_threads() == threads
    assert before == (
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), np.geterr()
    )  # fmt: skip
    assert torch.backends.mkldnn.enabled
    assert not torch.backends.cudnn.benchmark
    assert not torch.is_autocast_enabled("cpu")
    assert capsys.readouterr() == ("", "hello\n")
