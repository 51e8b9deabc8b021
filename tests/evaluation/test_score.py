"""Upscalers are scored image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import noise, plugin, plugins, write_images

from sr_ptq_bench import SrqError
from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.resize import bilinear_upscale, downscale, upscale
from sr_ptq_bench.evaluation.score import interpolations, network_upscaler, score_datasets
from sr_ptq_bench.protocol.suite import DataSource


class Network:
    """Stands in for an SRModel: repeats pixels, times a factor."""

    device = torch.device("cpu")
    scale = 2

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def __call__(self, lr: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        return self.factor * torch.nn.functional.interpolate(lr, scale_factor=2)


def upscaler(factor: float = 1.0):
    """Of a `Network` that sees whole images."""
    return network_upscaler(Network(factor), None, 0)


@pytest.fixture
def datasets(tmp_path):
    """Two test sets of HR images."""
    one = write_images(tmp_path / "one", a=(24, 26), b=(24, 24))
    two = write_images(tmp_path / "two", c=(24, 24))
    return {name: load_dataset(name, DataSource(hr=hr), 2) for name, hr in (("one", one), ("two", two))}


def metric(evaluate):
    """Only this metric."""
    found = plugins(plugin("mine", evaluate=evaluate))
    found.manager.unregister(name="metrics")
    del found.plugins["metrics"]
    return found


def ignore(_done, _total, _note=""):
    """No progress."""


def test_a_network_is_an_upscaler_of_8_bit_images():
    lr = noise(5, 6)
    assert np.array_equal(upscaler()(lr), lr.repeat(2, 0).repeat(2, 1))


def test_a_network_s_output_is_clipped_and_rounded():
    lr = np.full((2, 2, 3), 100, np.uint8)
    assert (upscaler(1.996)(lr) == 200).all()
    assert (upscaler(3.0)(lr) == 255).all()
    assert (upscaler(-1.0)(lr) == 0).all()


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_is_an_error(factor):
    with pytest.raises(SrqError, match=r"^the network's output is not finite$"):
        upscaler(factor)(noise(4, 4) | 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_interpolations_stand_beside_every_score(scale):
    lr = downscale(noise(24, 24), scale)
    both = interpolations(scale)
    assert list(both) == ["bicubic", "bilinear"]
    assert np.array_equal(both["bicubic"](lr), upscale(lr, scale))
    assert np.array_equal(both["bilinear"](lr), bilinear_upscale(lr, scale))


def test_every_image_of_every_set_is_scored_and_averaged(datasets):
    found = score_datasets(upscaler(), datasets, 2, metric(lambda hr: {"width": hr.shape[1]}), ignore)
    assert {name: dict(of.images) for name, of in found.items()} == {
        "one": {"a": {"width": 26.0}, "b": {"width": 24.0}},
        "two": {"c": {"width": 24.0}},
    }
    assert found["one"].mean == {"width": 25.0}


def test_the_metric_sees_the_upscaled_image_beside_hr(datasets):
    def equal(sr, hr):
        return {"shapes": float(sr.shape == hr.shape), "psnr_inf": float((sr == hr).all())}

    found = score_datasets(upscaler(), datasets, 2, metric(equal), ignore)
    assert found["one"].mean == {"shapes": 1.0, "psnr_inf": 0.0}


def test_progress_names_the_image_and_ends_full(datasets):
    steps = []
    score_datasets(upscaler(), datasets, 2, metric(lambda: {"x": 1}), lambda *step: steps.append(step))
    assert steps == [(0, 3, "a"), (1, 3, "b"), (2, 3, "c"), (3, 3)]


def test_an_infinite_score_is_kept(datasets):
    found = score_datasets(upscaler(), datasets, 2, metric(lambda: {"psnr": float("inf")}), ignore)
    assert found["two"].mean == {"psnr": float("inf")}


@pytest.mark.parametrize(
    ("evaluate", "expected"),
    [
        (lambda: {"x": float("nan")}, "dataset 'one', image 'a': plugin 'mine': metric 'x' is nan; expected a number"),
        (lambda: None, "no metric plugin returned a score; is `metrics` blocked by SRQ_DISABLE?"),
        (lambda: {}, "no metric plugin returned a score; "),
        (
            lambda hr: {"x": 1} if hr.shape[1] == 26 else {},
            "dataset 'one', image 'b': x is scored for some images only",
        ),
        (
            lambda hr: {"x": 1, **({"y": 1} if hr.shape[1] == 24 else {})},
            "dataset 'one', image 'b': y is scored for some images only",
        ),
    ],
)
def test_scores_that_no_record_can_hold_are_refused(datasets, evaluate, expected):
    with pytest.raises(SrqError) as caught:
        score_datasets(upscaler(), datasets, 2, metric(evaluate), ignore)
    assert str(caught.value).startswith(expected)


def test_a_network_s_failure_names_the_image(datasets):
    with pytest.raises(SrqError, match=r"^dataset 'one', image 'a': the network's output is not finite$"):
        score_datasets(upscaler(float("nan")), datasets, 2, metric(lambda: {"x": 1}), ignore)


def test_an_error_of_the_network_names_the_image_and_its_size(datasets):
    def fail(_lr):
        raise RuntimeError("shape '[1, 8]' is invalid")

    network = Network(1.0)
    network.__class__ = type("Failing", (Network,), {"__call__": lambda _self, lr: fail(lr)})
    said = r"^dataset 'one', image 'a': the network fails on an LR image of \d+x\d+: RuntimeError: shape '\[1, 8\]' is"
    with pytest.raises(SrqError, match=said):
        score_datasets(network_upscaler(network, None, 0), datasets, 2, metric(lambda: {"x": 1}), ignore)
