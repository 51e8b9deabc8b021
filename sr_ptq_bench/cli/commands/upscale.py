"""`srq upscale`: people's own photos through a quantized network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...storage.writable import check_writable
from .. import complete
from .. import options as declared
from ..loudness import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...protocol.bits import Bits
    from ...protocol.run_spec import RunSpec
    from ...protocol.suite import Tiles
    from ...protocol.types import Scale
    from ...quantization.network import SRModel
    from ...upscaling.picture import Header
    from ..display import Display

TILE, OVERLAP = 64, 16


@click.command()
@click.argument("photos", metavar="IMAGE|FOLDER...", nargs=-1, required=True, type=declared.FILE)
@click.option(
    "--out",
    "-o",
    default=Path("upscaled"),
    show_default=True,
    type=declared.FOLDER,
    metavar="DIR",
    help="Folder for the results.",
)
@click.option(
    "--record", type=declared.FILE, metavar="RECORD", help="The network of this record; its state lies beside it."
)
@click.option(
    "--method",
    "-m",
    metavar="NAME",
    shell_complete=complete.methods,
    help="A method, as for `srq run`; it is calibrated if it was not yet.",
)
@click.option("--bits", "-b", metavar="BITS", help="With --method; default: 4.")
@click.option("--scale", "-s", type=int, metavar="SCALE", help="2, 3 or 4; default: 2.")
@click.option("--fp", is_flag=True, help="The full-precision (FP) network instead of a quantized one.")
@declared.suite
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=complete.models,
    help="Network of the suite; default: dat-light, with --method the suite's first.",
)
@click.option(
    "--compare", is_flag=True, help="Write NAME-compare as well: bicubic at the left, the network at the right."
)
@click.option("--force", is_flag=True, help="Replace files in DIR.")
@click.option("--resume", is_flag=True, help="Write only what is missing in DIR; keep what any network has made there.")
@click.option(
    "--tile",
    default=TILE,
    show_default=True,
    metavar="N",
    type=click.IntRange(8, 2**12),
    help=f"Tiles of NxN pixels, plus {OVERLAP} on every side; a smaller N needs less memory.",
)
@declared.plugin_files
@declared.device
@declared.loudness
def upscale(
    photos: tuple[Path, ...],
    out: Path,
    record: Path | None,
    method: str | None,
    bits: str | None,
    scale: int | None,
    fp: bool,
    suite: str,
    model: str | None,
    compare: bool,
    force: bool,
    resume: bool,
    tile: int,
    plugin_files: tuple[Path, ...],
    device: str,
) -> None:
    """Upscale photos by a quantized network, into DIR under the same names.

    \b
    srq upscale photo.jpg
    srq upscale ~/holiday -o large --scale 2 --compare
    srq upscale photo.png --record leaderboards/results/sample/2dquant-w4a4-x2-s0-7026ab597248.json
    srq upscale photo.png --method percentile --bits 4 --scale 2
    srq upscale photo.png --fp --scale 4

    Without a choice the network is DAT-light at 4 bits by `cotrain`, which is installed with srq. Photos are 8-bit
    PNG, JPEG, WebP, TIFF, BMP or PPM: RGB, grey or palette. Transparency is upscaled by bicubic; colour profile,
    resolution (DPI) and EXIF data, with the orientation, are kept. BMP and PPM become PNG. The suffix is that of the
    format, whatever the photo is called. A truncated photo is named, and the others are done.
    """
    _check_together(record, method, bits, scale, fp, suite, model, force, resume)
    from ...upscaling.photos import headers_of, wanted_of

    headers = headers_of(photos, note)
    factor = _factor(record, scale)
    wanted = wanted_of(headers, out, compare, force, factor if resume else None)
    check_writable(out)
    if not wanted:
        click.echo(f"nothing is left to do: all results are in {out}", err=True)
        return

    from ..display import Display

    display = Display()
    with display.preparing():
        from ...protocol.bits import Bits
        from ...protocol.suite import Tiles
        from ...runs.session import Session
        from ...upscaling.networks import calibrated, full_precision, installed, recorded

        width = Bits.parse(bits or "4")
        tiles = Tiles(size=tile, overlap=OVERLAP)
        suits = partial(_check, {photo: headers[photo] for photo in wanted}, compare, tiles)
        session = Session.open(display, plugin_files, device)
        if record:
            network = recorded(record, suite if suite.endswith(".toml") else None, session)
        else:
            spec = _spec(method, width, factor, suite, model)
            if method:
                network = calibrated(spec, suits, session, Path("leaderboards/results") / spec.suite.name)
            else:
                network = full_precision(spec, session) if fp else installed(spec, session)
    suits(network)
    _upscale(wanted, network, tiles, display)


def _check_together(
    record: Path | None,
    method: str | None,
    bits: str | None,
    scale: int | None,
    fp: bool,
    suite: str,
    model: str | None,
    force: bool,
    resume: bool,
) -> None:
    if sum(map(bool, (record, method, fp))) > 1:
        raise click.UsageError("give one of --record, --method and --fp.")
    if record and (scale is not None or model):
        raise click.UsageError("--record says network and scale; leave out --scale and --model.")
    if record and declared.is_given("suite") and not suite.endswith(".toml"):
        raise click.UsageError("--record says the suite; --suite is for the .toml file of one that is not built in.")
    if bits and (record or fp):
        raise click.UsageError("--bits goes with --method; --record and --fp say what the network is.")
    if force and resume:
        raise click.UsageError("--force replaces results and --resume keeps them; give one.")


def _factor(record: Path | None, scale: int | None) -> Scale:
    from ...protocol.types import parse_scale
    from ...records.files import read_record

    return read_record(record).spec.scale if record else parse_scale(2 if scale is None else scale)


def _spec(method: str | None, bits: Bits, scale: Scale, suite: str, model: str | None) -> RunSpec:
    from ...protocol.run_spec import RunSpec
    from ...protocol.suite import Suite

    protocol = Suite.load(suite)
    chosen = protocol.with_model(model or (protocol.model if method else "dat-light"))
    return RunSpec(method=method or "cotrain", bits=bits, scale=scale, suite=chosen)


def _check(headers: Mapping[Path, Header], compare: bool, tiles: Tiles, network: SRModel) -> None:
    """Raise SrqError unless the network can take the tiles and the photos, and formats can hold the results."""
    from ...errors import prefix_error
    from ...evaluation.tiles import check_tiles
    from ...upscaling.upscale import check

    check_tiles(tiles, network)
    for photo, header in headers.items():
        with prefix_error(str(photo)):
            check(header, network, compare)


def _upscale(wanted: Mapping[Path, Mapping[str, Path]], network: SRModel, tiles: Tiles, display: Display) -> None:
    """Write the files of each photo; names one that is damaged behind its header, and raises SrqError at the end."""
    from ...errors import SrqError
    from ...upscaling.picture import Picture
    from ...upscaling.results import COMPARISON
    from ...upscaling.upscale import side_by_side
    from ...upscaling.upscale import upscale as through

    damaged = 0
    written: list[Path] = []
    say = written.append if display.out.is_terminal else click.echo  # between bars a path would spoil both
    with display.stage("Upscale") as progress:
        for photo, files in wanted.items():
            try:
                picture = Picture.read(photo)
            except SrqError as error:
                if len(wanted) == 1:
                    raise
                display.warn(f"srq: {error}")
                damaged += 1
                continue
            larger = through(picture, network, tiles, progress, photo.name)
            for added, path in files.items():
                (side_by_side(picture, larger, network.scale) if added == COMPARISON else larger).write(path)
            say(next(iter(files.values())))
    for path in written:
        click.echo(path)
    if damaged:
        raise SrqError(f"{damaged} of {len(wanted)} photos are damaged and have no result; they are named above")
