"""Tiles: where they lie, that they change nothing which the overlap covers, and where their use is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import noise, run
from torch import nn

from sr_ptq_bench import SRModel, SrqError
from sr_ptq_bench.backbones.swinir import new_network, open_sites
from sr_ptq_bench.evaluation.score import network_upscaler
from sr_ptq_bench.evaluation.tiles import along, check_tiles
from sr_ptq_bench.protocol.suite import Suite, Tiles
from sr_ptq_bench.records.files import read_record, write_record
from sr_ptq_bench.tables.leaderboard import page

RADIUS = 2  # of the pixels that two convolutions of 3x3 see


def convolutions(scale: int = 2, window: int = 1) -> SRModel:
    """Weights are sixteenths and sums of few, so that float64 holds every result exactly, in whatever order."""
    generator = torch.Generator().manual_seed(0)
    first, last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3 * scale**2, 3, padding=1)
    network = nn.Sequential(first, nn.ReLU(), last, nn.PixelShuffle(scale)).double()
    for parameter in network.parameters():
        parameter.data = torch.randint(-8, 9, parameter.shape, generator=generator).double() / 64
    return SRModel("exact", scale, Exact(network), {}, (), size_multiple=window)


def whole(model: SRModel, lr: np.ndarray) -> np.ndarray:
    return network_upscaler(model, None, 0)(lr)


class Exact(nn.Module):
    """Computes in float64 on whole grey levels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network((x.double() * 255).round()) / 255


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(8, 61),
    width=st.integers(8, 61),
    size=st.integers(8, 40),
    overlap=st.integers(RADIUS, 9),
    scale=st.sampled_from([2, 3]),
)
def test_tiles_change_nothing_where_the_overlap_covers_what_a_pixel_sees(height, width, size, overlap, scale):
    model, lr = convolutions(scale), noise(height, width)
    assert np.array_equal(network_upscaler(model, Tiles(size=size, overlap=overlap), 0)(lr), whole(model, lr))


def test_a_smaller_overlap_shows_at_the_seams():
    model, lr = convolutions(), noise(40, 40)
    assert not np.array_equal(network_upscaler(model, Tiles(size=16, overlap=RADIUS - 1), 0)(lr), whole(model, lr))


@pytest.mark.parametrize("padding", ["flip", "reflect"])
@pytest.mark.parametrize("size", [(33, 47), (40, 41), (48, 48)])
def test_padding_at_the_border_is_that_of_the_whole_image(padding, size):
    from sr_ptq_bench.quantization.network import with_padding

    model, lr = with_padding(convolutions(window=8), padding), noise(*size)
    assert np.array_equal(network_upscaler(model, Tiles(size=16, overlap=8), 0)(lr), whole(model, lr))


@given(st.integers(8, 500), st.integers(1, 20), st.integers(0, 5), st.integers(1, 4))
def test_tiles_cover_an_axis_once_and_begin_at_windows(length, size, overlap, least):
    window, least = 8, 8 * min(least, size, length // 8)
    tiles = list(along(length, Tiles(size=size * window, overlap=overlap * window), window, least))
    assert [pixel for tile in tiles for pixel in range(*tile.kept)] == list(range(length))
    for (first, end), (start, stop) in tiles:
        assert 0 <= first <= start < stop <= end <= length
        assert first % window == 0
        assert end - first >= least
        assert end == length or end - stop == overlap * window


def test_a_tile_as_large_as_the_image_is_the_image():
    torch.manual_seed(0)
    model = open_sites(new_network(2), "swinir-light", 2)
    lr = noise(17, 24)
    assert np.array_equal(network_upscaler(model, Tiles(size=24, overlap=0), 0)(lr), whole(model, lr))


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        (Tiles(size=100), "tile 100 is no multiple of the network's window 8; choose 96 or 104"),
        (Tiles(size=96, overlap=12), "tile overlap 12 is no multiple of the network's window 8; choose 8 or 16"),
        (Tiles(size=96, overlap=7), "tile overlap 7 is no multiple of the network's window 8; choose 8"),
    ],
)
def test_tiles_that_cut_windows_are_refused(tiles, expected):
    with pytest.raises(SrqError) as caught:
        check_tiles(tiles, convolutions(window=8))
    assert str(caught.value) == expected


def test_tiles_smaller_than_the_network_takes_are_refused():
    model = replace(convolutions(), min_side=24)
    with pytest.raises(SrqError, match=r"tile 16 is smaller than the 24 pixels that '.*' needs; choose 24 or more"):
        check_tiles(Tiles(size=16), model)
    lr = noise(49, 25)  # the last tile has one row of its own
    assert network_upscaler(model, Tiles(size=24, overlap=0), 0)(lr).shape == (98, 50, 3)


def test_tiles_that_fit_and_none_at_all_are_accepted():
    check_tiles(Tiles(size=96, overlap=0), convolutions(window=8))
    check_tiles(None, convolutions(window=8))


@pytest.fixture
def tiled(tiny_suite):
    tiny_suite.change(tiles={"size": 8, "overlap": 4})
    return tiny_suite


def test_a_tiled_run_says_so_in_its_record_its_name_and_its_table(tiny_suite, tiled, tmp_path):
    record = run(tiled)
    assert record.spec.tiles == Tiles(size=8, overlap=4)
    assert read_record(write_record(record, tmp_path)) == record
    assert any(
        note.startswith("Networks see images in tiles of 8 x 8 LR pixels with 4 more") for note in page([record]).notes
    )


def test_a_run_on_whole_images_has_the_record_and_the_name_of_always(tiny_suite, tmp_path):
    path = write_record(run(tiny_suite), tmp_path)
    assert '"tiles"' not in path.read_text()
    record = read_record(path)
    tiny_suite.change(tiles={"size": 8, "overlap": 4})
    assert run(tiny_suite).key != record.key


def test_both_networks_are_tiled_and_the_cache_keeps_their_scores_apart(tiny_suite):
    whole = run(tiny_suite)
    tiny_suite.change(tiles={"size": 8, "overlap": 4})
    tiled = run(tiny_suite)
    assert tiled.references.fp != whole.references.fp  # `tiny` attends to the whole image
    assert tiled.scores != whole.scores
    assert tiled.references.bicubic == whole.references.bicubic


def test_tiled_and_whole_records_share_no_table(tiny_suite):
    whole = run(tiny_suite)
    tiny_suite.change(tiles={"size": 8, "overlap": 4})
    with pytest.raises(SrqError, match=r"they differ in tiles$"):
        page([whole, run(tiny_suite)])


def test_the_command_tiles_under_a_suite_of_its_own(tiny_suite, srq, tmp_path):
    from tiny import FILE

    words = ["--plugin", FILE, "--method", "minmax", "--bits", 4, "--scale", 2, "--suite", tiny_suite.path]
    assert srq("run", *words, "--out", tmp_path, "--tile", 8, "--tile-overlap", 4).status == 0
    (path,) = (tmp_path / "results" / "tiny-tile8-4").glob("*.json")
    assert read_record(path).spec.tiles == Tiles(size=8, overlap=4)
    refused = srq("run", *words, "--out", tmp_path, "--tile", 10)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "tile 10 is no multiple of the network's window 4; choose 8 or 12" in refused.err


def test_the_name_of_a_tiled_suite():
    assert Suite.load("sample").with_tiles(Tiles(size=96)).name == "sample-tile96-16"
