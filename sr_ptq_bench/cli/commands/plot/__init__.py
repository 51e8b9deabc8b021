"""`srq plot`: figures of records and of runs."""

from __future__ import annotations

import click

from .bounds import bounds, distributions
from .images import crops, errors
from .records import loss, pareto, psnr


@click.group()
def plot() -> None:
    """Draw figures: PSNR over bits and over cost, losses, distributions, bounds, crops and error maps.

    Needs matplotlib: pip install "sr_ptq_bench[plot]". The suffix of --out chooses PNG, PDF or SVG. The quantized
    network is the one of `srq run` if there is a record, else the method is run now.
    """


for command in (psnr, pareto, loss, distributions, bounds, crops, errors):
    plot.add_command(command)
