"""Maps of the absolute error of each upscaler within a crop, on one scale of colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .canvas import head, panels, picture, styled
from .crops import caption
from .views import luma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from ..data.images.pixels import Image
    from .views import Box, View

TOP = 99.5
"""Percentile of all errors at which the scale of colours ends."""


@styled
def draw(hr: Image, views: Sequence[View], box: Box, title: str) -> Figure:
    """|SR - HR| on the Y channel in grey levels of 255, a panel per view."""
    maps = [np.abs(box.of(luma(view.sr)) - box.of(luma(hr))) for view in views]
    top = max(float(np.percentile(maps, TOP)), 1.0)
    figure, axes = panels(len(views), math.ceil(len(views) / math.ceil(len(views) / 4)), 1.9, 2.15)
    for axis, view, errors in zip(axes, views, maps, strict=True):
        picture(axis)
        shown = axis.imshow(errors, vmin=0, vmax=top, cmap="magma", interpolation="nearest")
        axis.set_xlabel(caption(view, hr, box), fontsize=8)
    bar = figure.colorbar(shown, ax=axes, extend="max", shrink=0.8)
    bar.set_label("|SR - HR|, Y channel (grey levels)", fontsize=8)
    head(figure, f"{title}\nbelow each: PSNR of the crop (of the image)")
    return figure
