"""What comes with srq under a name, and how a set's images are recognised."""

from __future__ import annotations

import re

import pytest

from sr_ptq_bench.data.images.header import Size
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.library.registry import ImageSet, Registry, file_name

REGISTRY = Registry.load()
PAIR = ImageSet(count=2, home="https://x", what="", terms="", names={"a": "8x6", r"b\d": r"\d+x5|5x\d+"})


def complaint(entry: ImageSet, found: dict[str, Size]) -> str:
    with pytest.raises(SrqError) as caught:
        entry.check("Pair", found)
    return str(caught.value)


def test_a_name_stands_for_one_thing():
    assert not REGISTRY.weights.keys() & REGISTRY.images.keys()


def test_the_published_counts():
    assert {name: entry.count for name, entry in REGISTRY.images.items()} == {
        "DIV2K": 800, "Flickr2K": 2650, "Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100, "Manga109": 109,
    }  # fmt: skip


def test_the_official_weights():
    assert file_name(REGISTRY.release("swinir-light-x3").url) == "002_lightweightSR_DIV2K_s64w8_SwinIR-S_x3.pth"
    assert [scale for scale in (2, 3, 4) if REGISTRY.release(f"swinir-light-x{scale}").sha256] == [2]


def test_every_url_names_a_file_of_its_own():
    entries = [(e.url, e.sha256) for e in REGISTRY.weights.values()]
    entries += [(e.archive, e.sha256) for e in REGISTRY.images.values() if e.archive]
    files = {file_name(url): (url, sha256) for url, sha256 in entries}
    assert set(entries) == set(files.values())
    assert all(re.fullmatch(r"[\w.-]+\.(pth|zip|tar)", file) for file in files)


@pytest.mark.parametrize("name", REGISTRY.images)
def test_names_and_sizes_are_regular_expressions(name):
    for pattern, size in REGISTRY.images[name].names.items():
        re.compile(pattern)
        re.compile(size)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("DIV2K", {f"{number:04}": Size(1356, 2040) for number in range(1, 801)}),
        ("Flickr2K", {f"{number:06}": Size(1200, 2040) for number in range(1, 2651)}),
        ("Urban100", {f"img_{number:03}": Size(1024, 804) for number in range(1, 101)}),
        ("Urban100", {f"img{number:03}": Size(1024, 804) for number in range(1, 101)}),
        ("Manga109", {f"Volume_{number}": Size(1170, 827) for number in range(109)}),
    ],
)
def test_sets_as_they_are_published(name, images):
    REGISTRY.images[name].check(name, images)


def test_b100_lists_a_hundred_photos():
    names = [name for pattern in REGISTRY.images["B100"].names for name in pattern.split("|")]
    assert len(set(names)) == len(names) == 100
    REGISTRY.images["B100"].check("B100", dict.fromkeys(names, Size(321, 481)))


@pytest.mark.data
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_the_benchmark_images_are_recognised(benchmark_data, name):
    from sr_ptq_bench.data.images.folder import list_images
    from sr_ptq_bench.data.images.header import check_image

    files = list_images(benchmark_data / name / "HR")
    REGISTRY.images[name].check(name, {path.stem: check_image(path) for path in files})


def test_a_complete_set_is_accepted():
    PAIR.check("Pair", {"a": Size(6, 8), "b1": Size(5, 9)})
    PAIR.check("Pair", {"a": Size(6, 8), "b2": Size(9, 5)})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": Size(6, 8), "c": Size(5, 5)}, r"Pair has no image 'c'; its images match a, b\d"),
        ({"a": Size(6, 8), "B1": Size(5, 5)}, r"Pair has no image 'B1'"),
        ({"a": Size(6, 8), "b1x": Size(5, 5)}, r"Pair has no image 'b1x'"),
        ({"a": Size(8, 6)}, "Pair: 'a' is 6x8 pixels, expected 8x6; this is another version of the set"),
        ({"a": Size(6, 8), "b1": Size(6, 6)}, "Pair: 'b1' is 6x6 pixels"),
        ({"a": Size(6, 8)}, "Pair has 2 images, found 1"),
        ({"b1": Size(5, 5)}, "Pair has 2 images, found 1; missing: a"),
        ({"a": Size(6, 8), "b1": Size(5, 5), "b2": Size(5, 5)}, "Pair has 2 images, found 3"),
        ({}, "Pair has 2 images, found 0; missing: a"),
    ],
)
def test_what_is_not_the_set_is_named(found, expected):
    assert complaint(PAIR, found).startswith(expected)


def test_an_unknown_name_has_a_nearest_one():
    with pytest.raises(SrqError, match="no image set 'set5'; did you mean 'Set5'"):
        REGISTRY.image_set("set5")
    with pytest.raises(SrqError, match="no published weights 'swinir-light-2'; did you mean 'swinir-light-x2'"):
        REGISTRY.release("swinir-light-2")
