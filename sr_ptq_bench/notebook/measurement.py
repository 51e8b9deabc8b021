"""The result of a run as a notebook shows it: a table, and the crop of an image where methods differ most."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from ..data.images.pixels import encode_png
from ..errors import printable
from ..evaluation.score import interpolations, network_upscaler
from ..hooks.guard import fresh_settings
from ..plots.views import crop_psnr, most_different
from ..quantization.student import cached_quantized_weights
from ..records.summary import lost, score_table
from ..runs.restore import restore_student
from ..runs.stages.references import FP_SEED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..data.images.pixels import Image
    from ..records.files import RunResult
    from ..records.record import Record
    from ..runs.prepare import PreparedRun

SIDE = 64
"""HR pixels of a crop."""
SHOWN = 192
"""CSS pixels of a crop."""


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """A record, and the path of its file if one was asked for."""

    record: Record
    path: Path | None
    _run: PreparedRun
    _result: RunResult

    @property
    def psnr(self) -> dict[str, float]:
        """The mean PSNR in dB by test set."""
        return {name: of.mean["psnr"] for name, of in self.record.scores.items() if "psnr" in of.mean}

    @cached_property
    @fresh_settings()
    def pictures(self) -> dict[str, Image]:
        """HR, bicubic, FP and the student on the image that loses most against FP: (H, W, 3) uint8 by name."""
        dataset, image = self._worst()
        pair = self._run.tests[dataset][self._run.tests[dataset].names.index(image)]
        tiles, spec = self._run.tiles, self._run.spec
        student = restore_student(self._run, self._result)
        with cached_quantized_weights(student, spec.seed):
            sr = network_upscaler(student.model, tiles, spec.seed)(pair.lr)
        return {
            "HR": pair.hr,
            "bicubic": interpolations(spec.scale)["bicubic"](pair.lr),
            "FP": network_upscaler(self._run.teacher, tiles, FP_SEED)(pair.lr),
            f"{spec.method} {spec.bits}": sr,
        }

    def _worst(self) -> tuple[str, str]:
        """Test set and name of the image whose PSNR is farthest below that of the FP network."""
        record = self.record

        def loss(place: tuple[str, str]) -> float:
            dataset, image = place
            fp, own = (of[dataset].images[image].get("psnr") for of in (record.references.fp, record.scores))
            known = fp is not None and own is not None and math.isfinite(fp) and math.isfinite(own)
            return fp - own if known and fp is not None and own is not None else -math.inf

        return max(((dataset, image) for dataset, of in record.scores.items() for image in of.images), key=loss)

    def __repr__(self) -> str:
        spec = self.record.spec
        scores = ", ".join(f"{name} {psnr:.2f} dB" for name, psnr in self.psnr.items())
        return printable(f"Measurement({spec.method} {spec.bits}, {spec.model} x{spec.scale}: {scores})")

    def _repr_html_(self) -> str:
        return "".join(self._html())

    def _html(self) -> Iterator[str]:
        title, heads, rows = score_table(self.record)
        yield f"<table><caption>{_text(title)}</caption><tr><th></th>"
        yield "".join(f"<th>{_text(head)}</th>" for head in heads)
        for label, *cells in rows:
            yield f'</tr><tr><th scope="row">{_text(label)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}'
        yield f"</tr></table>{''.join(f'<p>{_text(line)}</p>' for line in lost(self.record))}"
        pictures = self.pictures
        hr, _, full, student = pictures.values()
        box = most_different([full, student], SIDE)  # with bicubic: where it is blurred, whatever quantization does
        _, image = self._worst()
        yield f"<p>{_text(image)}, {box.width}x{box.height} pixels at {box.left}, {box.top}:</p>"
        for name, picture in pictures.items():
            note = "" if name == "HR" else f", {crop_psnr(picture, hr, box):.2f} dB"
            data = base64.b64encode(encode_png(box.of(picture))).decode()
            style = f"width:{SHOWN}px;image-rendering:pixelated;margin:0"
            yield '<figure style="display:inline-block;margin:0 8px 8px 0">'
            yield f'<img style="{style}" alt="{_text(name)}" src="data:image/png;base64,{data}">'
            yield f"<figcaption>{_text(name + note)}</figcaption></figure>"


def _text(text: str) -> str:
    return escape(printable(text))
