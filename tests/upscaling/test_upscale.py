"""A photo through a network, in tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import error_of
from tiny import Tiny, noise

from sr_ptq_bench import SRModel
from sr_ptq_bench.data import resize
from sr_ptq_bench.evaluation.score import network_upscaler
from sr_ptq_bench.protocol.suite import Tiles
from sr_ptq_bench.upscaling.picture import Picture
from sr_ptq_bench.upscaling.upscale import bicubic, side_by_side, upscale

TILES = Tiles(size=16, overlap=4)


@pytest.fixture(scope="module")
def model():
    return SRModel("tiny", 2, Tiny(2).eval().requires_grad_(False), {}, (), size_multiple=4)


def picture(height=30, width=37, alpha=None):
    return Picture(noise(height, width), alpha, False, "PNG", b"profile", PIL.Image.Exif())


@given(height=st.integers(1, 200), width=st.integers(1, 9), scale=st.sampled_from([2, 3, 4]))
def test_bands_of_bicubic_are_bicubic(height, width, scale):
    assert np.array_equal(bicubic(noise(height, width), scale), resize.upscale(noise(height, width), scale))


def test_the_network_makes_the_pixels_and_bicubic_the_alpha(model):
    alpha = noise(30, 37)[..., 0]
    before = picture(alpha=alpha)
    seen = []
    after = upscale(before, model, TILES, lambda done, total, note="": seen.append((done, total, note)), "a.png")
    assert np.array_equal(after.rgb, network_upscaler(model, TILES, 0)(before.rgb))
    assert np.array_equal(after.alpha, resize.upscale(np.repeat(alpha[..., None], 3, 2), 2)[..., 0])
    assert after.profile == b"profile"
    assert seen == [(done, 6, "a.png") for done in range(7)]


def test_side_by_side_is_bicubic_and_the_network(model):
    before = picture()
    after = replace(before, rgb=noise(60, 74))
    both = side_by_side(before, after, 2).rgb
    assert both.shape == (60, 74 + 8 + 74, 3)
    assert np.array_equal(both[:, :74], resize.upscale(before.rgb, 2))
    assert np.array_equal(both[:, -74:], after.rgb)
    assert (both[:, 74:82] == 255).all()


def test_a_photo_that_is_too_small_is_named(model):
    why = error_of(upscale, picture(3, 3), model, TILES, lambda *_: None, "small.png")
    assert why == "small.png: an image of 3x3 pixels is smaller than one window of 4x4"
