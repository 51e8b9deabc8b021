"""`srq data`: prepare image folders for a benchmark of one's own."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.group()
def data() -> None:
    """Prepare image folders: make LR images, pack a folder into an LMDB."""


@data.command()
@click.argument("src", type=_PATH)
@click.argument("dst", type=_PATH)
def lmdb(src: Path, dst: Path) -> None:
    """Pack the images of folder SRC into the new LMDB folder DST.

    An LMDB holds a whole dataset in one file, which is faster to read than many small ones. The format is
    BasicSR's. DST must end in .lmdb and must not exist yet. Pack HR and LR images in one LMDB each, with the
    same file names in both.

    Example: srq data lmdb Set5/HR Set5/HR.lmdb
    """
    from ..data.lmdb_store import write_lmdb

    click.echo(f"wrote {write_lmdb(src, dst)} images to {dst}")


@data.command()
@click.argument("hr", type=_PATH)
@click.argument("dst", type=_PATH)
@click.option("--scale", type=click.IntRange(2, 4), required=True, help="How many times smaller the LR images are.")
@click.option("--force", is_flag=True, help="Replace files that exist in DST.")
def lr(hr: Path, dst: Path, scale: int, force: bool) -> None:
    """Make low-resolution (LR) images in folder DST from the high-resolution images in folder HR.

    Each image is cropped to a multiple of the scale and shrunk as MATLAB's imresize does (bicubic,
    antialiased), which is how the LR images of the usual benchmarks were made. The files are PNGs named as
    their HR images.

    Example: srq data lr Set5/HR Set5/LR_bicubic/X2 --scale 2
    """
    from ..data.generate import write_lr

    written = write_lr(hr, dst, scale, force=force)
    click.echo(f"wrote {len(written)} images to {dst}")
