"""A gallery that no student made, with its pictures, for tests of pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from made_records import like, record
from tiny import noise

from sr_ptq_bench.data.images.pixels import write_image
from sr_ptq_bench.gallery.views import BoundsView, Change, Crop, Gallery, ImageView, SiteView, StudentView
from sr_ptq_bench.plots.views import Box
from sr_ptq_bench.records.scores import DatasetScores

HEIGHT, WIDTH = 120, 160
TABLE = "sample/swinir-light-x2"


def records(names: Sequence[str] = ("one", "two"), dataset: str = "photos", **words: Any) -> list[Any]:
    """Three methods at 4 bits and one at 2, on these images; `words` are further entries of a record."""
    made = []
    for psnr, method, bits in ((30, "minmax", "4"), (31, "dobi", "4"), (32, "dobi+dqc", "4"), (25, "minmax", "2")):
        images = {name: {"psnr": float(psnr + index), "ssim": 0.9} for index, name in enumerate(names)}
        scores = {dataset: DatasetScores.of(images)}
        of = {name: like(scores, full) for name, full in (("fp", 36.0), ("bicubic", 29.0), ("bilinear", 28.0))}
        made.append(record(method, bits=bits, scores=scores, references=of, **words))
    return made


def gallery(of: Sequence[Any], below: Path | None = None, site: str = "layers.0.fc1.weight") -> Gallery:
    """Pictures of all but the third record, written into the folder `below` of a site, if it is given."""
    shown = [each for index, each in enumerate(of) if index != 2]
    dataset = next(iter(shown[0].scores))
    pictures = {each.key: f"{index:012x}" for index, each in enumerate(shown)}
    images = []
    for index, name in enumerate(shown[0].scores[dataset].images):
        folder = f"photos-{index}-0123abcd"
        crops = {}
        for bits in dict.fromkeys(str(each.spec.bits) for each in shown):
            names = [pictures[each.key] for each in shown if str(each.spec.bits) == bits]
            crops[bits] = Crop(Box(40, 30, 64, 64), dict.fromkeys(("bicubic", "fp", *names), 28.5))
        images.append(ImageView(dataset, name, folder, WIDTH, HEIGHT, crops))
        if below:
            _write(below / TABLE / folder, list(pictures.values()), crops)
    histogram = tuple(np.hanning(128).tolist())
    sites = [
        SiteView(site, "weight", "weight", -1.5, 2.0, histogram),
        SiteView("layers.0.fc1.input", "activation", "input, made by gelu", -0.2, 9.0, histogram),
    ]
    bounds = {each.name: BoundsView(-1.0, 1.5, 1.0, 2.5) for each in sites}
    changed = [Change("weights", 3, 96, 0.012, site, 0.25), Change("norms", 1, 50, 0.5, "norm.weight", 0.75)]
    students = {
        each.key: StudentView(
            pictures[each.key], bounds, changed if index else [], {site: 31.5} if index else {},
            "PSNR against FP output",
        )
        for index, each in enumerate(shown)
    }  # fmt: skip
    return Gallery(images, {shown[0].scope.short: sites}, students)


def _write(folder: Path, pictures: Sequence[str], crops: dict[str, Crop]) -> None:
    hr = noise(HEIGHT, WIDTH) // 2 + 60
    made = {name: hr + np.uint8(8 * (index + 1)) for index, name in enumerate(("bicubic", "fp", *pictures))}
    for name, picture in {"hr": hr, **made}.items():
        write_image(folder / f"{name}.png", picture)
        for bits, crop in crops.items():
            write_image(folder / f"{bits}-{name}.png", crop.box.of(picture))
