"""A crop of an image: HR and the output of each upscaler."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .canvas import COLOURS, broken, head, panels, picture, styled
from .views import crop_psnr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from ..data.images.pixels import Image
    from .views import Box, View

WIDTH = 1.75
"""Inches of a panel."""


@styled
def draw(hr: Image, views: Sequence[View], box: Box, title: str) -> Figure:
    """The HR image with the crop marked, then the crop of HR and of each view with its PSNR in dB.

    The first number is the PSNR of the crop, the number in brackets that of the whole image.
    """
    columns = math.ceil((len(views) + 2) / 2)
    figure, axes = panels(len(views) + 2, columns, WIDTH, 2.1)
    for axis in axes:
        picture(axis)
    whole, truth, *rest = axes
    whole.imshow(hr)
    right, bottom = box.left + box.width, box.top + box.height
    outline = [box.left, right, right, box.left, box.left], [box.top, box.top, bottom, bottom, box.top]
    whole.plot(*outline, color=COLOURS[1], linewidth=1.4)
    whole.set_xlabel("HR, whole", fontsize=8)
    truth.imshow(box.of(hr), interpolation="nearest")
    truth.set_xlabel("HR\nPSNR of crop (image)", fontsize=8)
    for axis, view in zip(rest, views, strict=True):
        axis.imshow(box.of(view.sr), interpolation="nearest")
        axis.set_xlabel(caption(view, hr, box), fontsize=8)
    head(figure, title)
    return figure


def caption(view: View, hr: Image, box: Box) -> str:
    """The name of a view, above its PSNR of the crop and, in brackets, of the image."""
    return f"{broken(view.label, WIDTH)}\n{crop_psnr(view.sr, hr, box):.2f} dB ({view.psnr:.2f} dB)"
