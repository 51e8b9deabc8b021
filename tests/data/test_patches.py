"""Calibration patches and the endless augmented ones."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_ptq_bench.data.patches import Batches, CountedBatches, to_image, to_tensor
from sr_ptq_bench.errors import SrqError


def numbered(height: int, width: int, start: int = 0) -> np.ndarray:
    """Every pixel is different, so that a patch tells where it was cut."""
    values = start + np.arange(height * width * 3)
    return values.reshape(height, width, 3).astype(np.uint8)


def batches(seed: int = 0, images=None, patches: int = 5) -> Batches:
    stack = np.stack([np.full((4, 4, 3), 10 * i, dtype=np.uint8) for i in range(patches)])
    return Batches(stack, [numbered(6, 7)] if images is None else images, seed)


@pytest.mark.parametrize(("batch", "sizes"), [(4, [4, 1]), (1, [1] * 5), (5, [5]), (9, [5])])
def test_fixed_patches_come_in_order_and_complete(batch, sizes):
    source = batches()
    parts = list(source.fixed(batch))
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), to_tensor(source.patches))
    assert all(torch.equal(a, b) for a, b in zip(parts, source.fixed(batch), strict=True))


def test_tensors_are_float32_in_0_to_1():
    x = next(batches(images=[np.full((6, 6, 3), 255, dtype=np.uint8)]).random(2, 4))
    assert (x.dtype, x.shape, float(x.min()), float(x.max())) == (torch.float32, (2, 3, 4, 4), 1.0, 1.0)


def test_the_same_seed_gives_the_same_sequence():
    one, other = (list(islice(batches(3).random(2, 4), 6)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_two_sequences_do_not_disturb_each_other():
    source = batches(3)
    alone = list(islice(source.random(2, 4), 4))
    first, second = source.random(2, 4), source.random(2, 4)
    for expected in alone:
        assert torch.equal(next(first), expected)
        assert torch.equal(next(second), expected)


def test_another_seed_gives_another_sequence():
    one, other = (torch.stack(list(islice(batches(seed).random(2, 4), 4))) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_batches_of_a_sequence_differ():
    assert len({x.numpy().tobytes() for x in islice(batches().random(3, 4), 8)}) > 1


def test_torch_and_numpy_seeds_do_not_matter():
    torch.manual_seed(0)
    np.random.seed(0)
    one = next(batches().random(4, 3))
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(next(batches().random(4, 3)), one)


def orientations(image: np.ndarray, size: int) -> dict[bytes, tuple[int, int, int, bool]]:
    """Every patch that may come out, by its bytes: where it was cut and how it was turned."""
    found = {}
    for top in range(image.shape[0] - size + 1):
        for left in range(image.shape[1] - size + 1):
            for turns in range(4):
                patch = np.rot90(image[top : top + size, left : left + size], turns)
                for flipped in (False, True):
                    turned = patch[:, ::-1] if flipped else patch
                    found[turned.tobytes()] = (top, left, turns, flipped)
    return found


def test_patches_are_turned_crops_and_all_of_them_come():
    image = numbered(4, 5)
    possible = orientations(image, 3)
    assert len(possible) == 2 * 3 * 8
    stack = torch.cat(list(islice(batches(images=[image]).random(50, 3), 12)))
    arrays = (stack * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    seen = {possible[array.tobytes()] for array in arrays}
    assert seen == set(possible.values())


def test_every_image_is_used():
    dark, bright = (np.full((5, 9, 3), value, dtype=np.uint8) for value in (0, 255))
    means = {float(x.mean()) for x in next(batches(images=[dark, bright]).random(64, 5))}
    assert means == {0.0, 1.0}


def test_a_patch_as_large_as_the_image():
    image = numbered(4, 4)
    x = next(batches(images=[image]).random(1, 4))
    assert (to_image(x)).tobytes() in orientations(image, 4)


@pytest.mark.parametrize("shapes", [[(9, 3)], [(9, 9), (3, 9)], []])
def test_images_too_small_for_the_patch(shapes):
    source = batches(images=[numbered(*shape) for shape in shapes])
    with pytest.raises(SrqError, match="too small for patches of 4"):
        next(source.random(1, 4))


def test_to_tensor_by_hand():
    images = np.array([[[[0, 51, 255]], [[102, 204, 153]]]], dtype=np.uint8)
    x = to_tensor(images)
    assert x.shape == (1, 3, 2, 1)
    torch.testing.assert_close(x[0, :, :, 0], torch.tensor([[0.0, 0.4], [0.2, 0.8], [1.0, 0.6]]))


def test_to_tensor_of_a_turned_image():
    image = numbered(2, 3)[:, ::-1]
    assert torch.equal(to_tensor(image[None]), to_tensor(image[None].copy()))


def test_to_image_clamps_and_rounds():
    x = torch.tensor([-0.5, 0.0, 0.4 / 255, 0.6 / 255, 100.4 / 255, 254.6 / 255, 1.0, 7.0]).view(1, 1, 2, 4)
    assert to_image(x.expand(1, 3, 2, 4))[..., 0].tolist() == [[0, 0, 0, 1], [100, 255, 255, 255]]


def test_to_image_takes_a_tensor_that_learns():
    assert to_image(torch.zeros(1, 3, 2, 2, requires_grad=True)).dtype == np.uint8


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 99))
def test_image_to_tensor_and_back(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(to_image(to_tensor(image[None])), image)


def test_all_256_levels_survive():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(to_image(to_tensor(levels[None])), levels)


@pytest.mark.parametrize("skip", [0, 1, 5])
def test_batches_that_are_skipped_are_left_out_of_the_same_sequence(skip):
    whole = list(islice(batches(3).random(2, 4), 8))
    rest = list(islice(batches(3).random(2, 4, skip=skip), 8 - skip))
    assert torch.equal(torch.stack(rest), torch.stack(whole[skip:]))


def test_patches_that_are_drawn_again_count_once():
    """As after a kill: what came before is skipped, and the first batches may be drawn a second time."""
    plain = batches()
    counted = CountedBatches(plain.patches, plain.images, plain.seed)
    list(islice(counted.random(2, 4), 5))
    assert counted.drawn == 10
    list(islice(counted.random(2, 4), 1))
    list(islice(counted.random(2, 4, skip=4), 2))
    assert counted.drawn == 12
    list(islice(counted.random(1, 4), 3))
    list(counted.fixed(2))
    list(counted.fixed(4))
    assert counted.drawn == 12 + 3 + 5
