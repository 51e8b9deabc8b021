"""`srq data`: fetch or import weights and images, and prepare image folders for your own benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import options as declared

if TYPE_CHECKING:
    from ...library.library import Library

_PATH = declared.FILE


@click.group()
def data() -> None:
    """Fetch or import the weights and images of suites, make LR images, pack a folder into an LMDB."""


@data.command()
@click.argument("name", required=False)
@declared.loudness
@declared.as_json
def get(name: str | None, as_json: bool) -> None:
    """Fetch the published weights or the image set NAME; without NAME, list what there is.

    Files are fetched once, into SRQ_HOME (default: the platform's cache folder), and checked by SHA-256.
    An interrupted download continues. If the site needs a request or a login, this says what to download and from
    where; then use `srq data import`.

    Example: srq data get swinir-light-x2
    """
    library = _library(lines_on_stdout=not as_json)
    if as_json:
        names = library.names() if name is None else [name]
        if name is not None:
            library.get(name)
        click.echo(json.dumps([{"name": known, "available": library.is_available(known)} for known in names], indent=1))
        return
    if name is not None:
        library.get(name)
        return
    width = max(map(len, library.names()))
    for known in library.names():
        state = "available" if library.is_available(known) else _how_to_get(library, known)
        click.echo(f"{known:<{width}}  {state}")


def _how_to_get(library: Library, name: str) -> str:
    if name in library.registry.weights:
        return f"`srq data get {name}` fetches it, as does its first use"
    return library.how_to_get(name)


@data.command("import")
@click.argument("name")
@click.argument("path", metavar="DIR", type=_PATH)
@declared.loudness
def import_(name: str, path: Path) -> None:
    """Import the image set or the weights NAME from your own files in the folder DIR.

    Images: DIR is a folder, or a zip or tar file, with the HR images in any folder and, if you have them, LR images
    in LR_bicubic/X2, X3 and X4 beside them. Names, number and sizes are checked, missing LR images are made, and all
    is packed into LMDBs. Weights: DIR holds the published file, or is the file; its SHA-256 is checked.

    Example: srq data import Set5 ~/datasets/Set5
    """
    _library().add(name, path)


def _library(lines_on_stdout: bool = True) -> Library:
    from ...library.library import Library
    from ...storage.home import default_home
    from ..display import Display

    return Library(default_home(), Display(lines_on_stdout))


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
    from ...data.lmdb import write_lmdb

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
    from ...data.make_lr import write_lr

    written = write_lr(hr, dst, scale, force=force)
    click.echo(f"wrote {len(written)} images to {dst}")
