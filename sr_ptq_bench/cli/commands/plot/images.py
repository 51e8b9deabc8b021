"""`srq plot crops` and `srq plot errors`: parts of test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ... import options as declared
from .writer import picture_writer

if TYPE_CHECKING:
    from ....data.images.pixels import Image
    from ....plots.views import Box, View


image_selection = declared.together(
    declared.methods,
    declared.selection,
    click.option("--image", metavar="NAME", help="An image of a test set; default: the first."),
    click.option("--crop", metavar="X,Y,W,H", help="In HR pixels; default: where the methods differ most."),
    click.option("--side", default=64, show_default=True, type=click.IntRange(8), help="Pixels of the crop found."),
    declared.picture,
)
"""The options of figures that show a part of a test image."""


@click.command()
@image_selection
def crops(out: Path, **choice: Any) -> None:
    """A crop of a test image: HR, bicubic, FP and each method, with their PSNR.

    Example: srq plot crops --method dobi --method 2dquant --bits 2 --scale 2 --image coffee --out crops.png
    """
    save = picture_writer(out)
    from ....plots.crops import draw

    save(draw(*_views(**choice)))


@click.command()
@image_selection
def errors(out: Path, **choice: Any) -> None:
    """Maps of |SR - HR| within a crop of a test image: bicubic, FP and each method.

    Example: srq plot errors --method dobi --method 2dquant --bits 2 --scale 2 --image coffee --out errors.png
    """
    save = picture_writer(out)
    from ....plots.errors import draw

    save(draw(*_views(**choice)))


def _views(
    methods: tuple[str, ...], image: str | None, crop: str | None, side: int, **choice: Any
) -> tuple[Image, list[View], Box, str]:
    """An HR image, the output of each upscaler, the box to show, and a title."""
    from ....plots.views import Box, View, most_different

    if crop and declared.is_given("side"):
        raise click.UsageError("--crop says the size; leave out --side.")
    box = Box.parse(crop) if crop else None

    from ....errors import unknown
    from ....evaluation.score import interpolations, network_upscaler, psnr_of
    from ....quantization.student import cached_quantized_weights
    from ....runs.stages.references import FP_SEED
    from ...selected import SelectedRuns

    selected = SelectedRuns(methods, **choice)
    run = selected.runs[0]
    places = {name: (of, index) for of in reversed(run.tests.values()) for index, name in enumerate(of.names)}
    name = image or next(iter(run.tests.values())).names[0]
    if name not in places:
        raise unknown("image", name, places)
    dataset, index = places[name]
    pair = dataset[index]
    if box:
        box.check(pair.hr, name)
    scale = run.spec.scale

    def view(label: str, sr: Image) -> View:
        return View(label, sr, psnr_of(run.plugins.evaluate(sr, pair.hr, scale)))

    made: dict[str, Image] = {
        "bicubic": interpolations(scale)["bicubic"](pair.lr),
        "FP": network_upscaler(run.teacher, run.tiles, FP_SEED)(pair.lr),
    }
    views = [view(label, sr) for label, sr in made.items()]
    for method, student in selected.students():
        with cached_quantized_weights(student, run.spec.seed):
            made[method] = network_upscaler(student.model, run.tiles, run.spec.seed)(pair.lr)
        views.append(view(method, made[method]))
    differing = [made[label] for label in (methods if len(methods) > 1 else ("FP", *methods))]
    return pair.hr, views, box or most_different(differing, side), f"{name}, {selected.title}"
