"""Names of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_ptq_bench.upscaling.results import results_of


@pytest.mark.parametrize(
    ("photo", "written_as", "result"),
    [
        ("a.jpg", "JPEG", "a.jpg"),
        ("a.JPG", "JPEG", "a.JPG"),
        ("a.bmp", "PNG", "a.png"),
        ("a.b.png", "PNG", "a.b.png"),
        ("IMG.2024", "PNG", "IMG.2024.png"),
        ("IMG.2025", "PNG", "IMG.2025.png"),
        ("photo", "WEBP", "photo.webp"),
    ],
)
def test_only_the_suffix_of_an_image_is_replaced(photo, written_as, result):
    assert results_of(Path("in") / photo, written_as, Path("out"), compare=False) == {"": Path("out") / result}
