"""Crops are windows of the LR images, by the seed."""

from __future__ import annotations

import numpy as np
import pytest

from sr_ptq_bench.data.datasets import crops, load_dataset
from sr_ptq_bench.errors import SrqError


def test_crops_are_windows_of_the_lr_images(pair):
    dataset = load_dataset("set", pair, 2)
    patches = crops(dataset, 40, 4, seed=1)
    assert patches.shape == (40, 4, 4, 3)
    assert patches.dtype == np.uint8
    windows = [
        {w.tobytes() for w in np.lib.stride_tricks.sliding_window_view(item.lr, (4, 4, 3)).reshape(-1, 4, 4, 3)}
        for item in dataset
    ]
    hits = [sum(patch.tobytes() in of_one for patch in patches) for of_one in windows]
    assert sum(hits) == 40
    assert min(hits) >= 5
    assert len({patch.tobytes() for patch in patches}) >= 15


def test_crops_follow_the_seed(pair):
    dataset = load_dataset("set", pair, 2)
    assert np.array_equal(crops(dataset, 8, 3, seed=5), crops(dataset, 8, 3, seed=5))
    assert not np.array_equal(crops(dataset, 8, 3, seed=5), crops(dataset, 8, 3, seed=6))


def test_crops_larger_than_an_image_name_it(pair):
    dataset = load_dataset("train", pair, 2)
    with pytest.raises(SrqError, match="dataset 'train': LR image 'b' is 5x10, too small for patches of 6"):
        crops(dataset, 1, 6, seed=0)
