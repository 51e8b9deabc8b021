"""`srq plot`: figures of records, and of runs looked into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .chosen import model_option, results_option, run_options, scale_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from ..data.images import Image
    from ..distribution import Distribution
    from ..plots.views import Box, View
    from ..quantizer import Bounds, Site
    from ..schema import Record
    from .chosen import Chosen

    Command = Callable[..., Any]

out_option = click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The picture: .png, .pdf or .svg."
)
methods_option = click.option(
    "--method", "-m", "methods", required=True, multiple=True, metavar="NAME", help="A method; give one or more."
)
some_methods_option = click.option(
    "--method", "-m", "methods", multiple=True, metavar="NAME", help="Only these methods; default: all found."
)


@click.group()
def plot() -> None:
    """Draw figures: PSNR over bits, losses, distributions, bounds, crops and error maps.

    Needs matplotlib: pip install "sr_ptq_bench[plot]". The suffix of --out chooses PNG, PDF or SVG. Where a run has
    its bounds beside its record, they are drawn; else its method chooses them now.
    """


def of_records(command: Command) -> Command:
    """The options of figures that need nothing but records."""
    suite = click.option("--suite", default="sample", metavar="NAME", show_default=True, help="Of which suite.")
    for option in (out_option, results_option, some_methods_option, model_option, suite, scale_option):
        command = option(command)
    return command


@plot.command()
@of_records
@click.option("--lowest", type=float, metavar="DB", help="Where the axis begins; what is below leaves the figure.")
def psnr(methods: tuple[str, ...], out: Path, lowest: float | None, **where: Any) -> None:
    """PSNR over bits: a line per method; FP and bicubic as horizontal lines.

    Example: srq plot psnr --scale 2 --out psnr.png
    """
    save = _saver(out)
    from ..fit import fitting
    from ..labels import labels
    from ..plots.psnr import draw
    from ..rows import rows_of

    records = fitting(_records(methods, **where))
    save(draw(rows_of(records, labels(records)), records[0].references, _place(records[0]), lowest))


@plot.command()
@of_records
@click.option("--bits", "-b", metavar="BITS", help="Only runs of these bits: 4, or w4a8; default: all found.")
def loss(methods: tuple[str, ...], out: Path, bits: str | None, **where: Any) -> None:
    """The loss over the steps of a calibrator, such as DQC or Pac, a line per run.

    Example: srq plot loss --scale 2 --bits 2 --out loss.png
    """
    save = _saver(out)
    from ..errors import SrqError
    from ..labels import labels
    from ..plots.loss import draw
    from ..spec import Bits

    wanted = Bits.parse(bits) if bits else None
    found = [record for record in _records(methods, **where) if wanted in (None, record.spec.bits)]
    kept = [record for record in found if isinstance(record.figures.get("losses"), tuple)]
    if not kept:
        raise SrqError(f"of the {len(found)} records chosen none holds losses; measure a calibrator: see `srq methods`")
    kept.sort(key=lambda record: (record.spec.method, str(record.spec.bits), record.spec.seed, record.key))
    named = labels(kept)
    seeds = len({record.spec.seed for record in kept}) > 1
    losses = {}
    for record in kept:
        seed = f", seed {record.spec.seed}" if seeds else ""
        losses[f"{named[record.key]} {record.spec.bits}{seed}"] = record.figures["losses"]
    save(draw(losses, _place(kept[0])))  # type: ignore[arg-type]  # checked above


@plot.command()
@methods_option
@run_options
@click.option(
    "--site",
    "sites",
    multiple=True,
    metavar="PATTERN",
    help="Sites by name, such as '*fc2.input'; default: one a kind.",
)
@out_option
def distributions(methods: tuple[str, ...], sites: tuple[str, ...], out: Path, **choice: Any) -> None:
    """Histograms of weights and activations from the calibration pass, with the bounds of methods as vertical lines.

    Example: srq plot distributions --method minmax --method dobi --bits 2 --scale 2 --out distributions.png
    """
    save = _saver(out)
    from ..plots.distributions import chosen as chosen_sites
    from ..plots.distributions import draw

    chosen, known, observed, bounds = _bounds(methods, choice, lambda known: chosen_sites(known, sites))
    save(draw(known, observed, bounds, chosen.title))


@plot.command()
@methods_option
@run_options
@out_option
def bounds(methods: tuple[str, ...], out: Path, **choice: Any) -> None:
    """Percentiles of the bounds within the distribution of their site, in network order.

    Example: srq plot bounds --method dobi --method 2dquant --bits 2 --scale 2 --out bounds.png
    """
    save = _saver(out)
    from ..plots.bounds import draw

    chosen, known, observed, of = _bounds(methods, choice, lambda known: known)
    save(draw(known, observed, of, chosen.title))


def of_images(command: Command) -> Command:
    """The options of figures that show a part of a test image."""
    for option in (
        out_option,
        click.option("--side", default=64, show_default=True, type=click.IntRange(8), help="Pixels of the crop found."),
        click.option("--crop", metavar="X,Y,W,H", help="In HR pixels; default: where the methods differ most."),
        click.option("--image", metavar="NAME", help="An image of a test set; default: the first."),
        run_options,
        methods_option,
    ):  # fmt: skip
        command = option(command)
    return command


@plot.command()
@of_images
def crops(out: Path, **choice: Any) -> None:
    """A crop of a test image: HR, bicubic, FP and each method, with their PSNR.

    Example: srq plot crops --method dobi --method 2dquant --bits 2 --scale 2 --image coffee --out crops.png
    """
    save = _saver(out)
    from ..plots.crops import draw

    save(draw(*_views(**choice)))


@plot.command()
@of_images
def errors(out: Path, **choice: Any) -> None:
    """Maps of |SR - HR| within a crop of a test image: bicubic, FP and each method.

    Example: srq plot errors --method dobi --method 2dquant --bits 2 --scale 2 --image coffee --out errors.png
    """
    save = _saver(out)
    from ..plots.errors import draw

    save(draw(*_views(**choice)))


def _saver(out: Path) -> Callable[[Figure], None]:
    """What writes a figure to `out`; raises SrqError now where matplotlib is missing or the name is no picture's."""
    from ..plots.canvas import check_suffix, save

    check_suffix(out)

    def write(figure: Figure) -> None:
        save(figure, out)
        click.echo(f"wrote {out}", err=True)

    return write


def _records(methods: tuple[str, ...], *, scale: int, suite: str, model: str | None, results: Path) -> list[Record]:
    """The records of one network and scale, by default the first of a built-in suite.

    Raises SrqError where there are none, or several networks.
    """
    from ..errors import SrqError, unknown
    from ..records import read_records
    from ..spec import Suite, parse_scale, suite_names

    factor = parse_scale(scale)
    records = [record for record in read_records(results / suite) if record.spec.scale == factor]
    models = sorted({record.spec.model for record in records})
    if not records:
        ask = f"srq run --method minmax --bits 4 --scale {scale} --suite {suite}"
        raise SrqError(f"no records of x{scale} in {results / suite}; make one: `{ask}`")
    if model is None and suite in suite_names() and Suite.load(suite).model in models:
        model = Suite.load(suite).model
    if model is None and len(models) > 1:
        raise SrqError(f"{results / suite} holds records of {', '.join(models)}; choose one with --model")
    if model is not None and model not in models:
        raise unknown("model", model, models)
    of_model = [record for record in records if model in (None, record.spec.model)]
    known = {record.spec.method for record in of_model}
    for method in methods:
        if method not in known:
            raise unknown("method", method, known)
    return [record for record in of_model if not methods or record.spec.method in methods]


def _place(record: Record) -> str:
    spec = record.spec
    return f"{spec.model} x{spec.scale}, suite {spec.suite}"


def _bounds(
    methods: tuple[str, ...], choice: Mapping[str, Any], choose: Callable[[list[Site]], list[Site]]
) -> tuple[Chosen, list[Site], dict[str, Distribution], dict[str, dict[str, Bounds]]]:
    """The chosen sites with their distributions, and the bounds of every method."""
    from ..errors import SrqError
    from .chosen import Chosen

    chosen = Chosen(methods, **choice)
    for run in chosen.runs:
        if run.method.transforms() and len(chosen.runs) > 1:
            raise SrqError(
                f"method '{run.spec.method}' rewrites weights, so its distributions are its own; draw it alone"
            )
    known: list[Site] = []
    observed: dict[str, Distribution] = {}
    bounds: dict[str, dict[str, Bounds]] = {}
    for run, (name, student) in zip(chosen.runs, chosen.students(), strict=True):
        if not known:
            known = choose([quantizer.site for quantizer in student.quantizers.values()])
            observed = chosen.distributions(run, student)
        bounds[name] = {site.name: student.quantizers[site.name].bounds for site in known}
    return chosen, known, observed, bounds


def _views(
    methods: tuple[str, ...], image: str | None, crop: str | None, side: int, **choice: Any
) -> tuple[Image, list[View], Box, str]:
    """An HR image, what each upscaler makes of it, the box to show, and a title."""
    from ..plots.views import Box, View, most_different

    box = Box.parse(crop) if crop else None

    from ..errors import unknown
    from ..evaluate import interpolations, of_network
    from ..model import weights_quantized_once
    from .chosen import Chosen

    chosen = Chosen(methods, **choice)
    run = chosen.runs[0]
    places = {name: (of, index) for of in reversed(run.tests.values()) for index, name in enumerate(of.names)}
    name = image or next(iter(run.tests.values())).names[0]
    if name not in places:
        raise unknown("image", name, places)
    dataset, index = places[name]
    pair = dataset[index]
    if box:
        box.check(pair.hr, name)
    scale = run.spec.scale
    made: dict[str, Image] = {
        "bicubic": interpolations(scale)["bicubic"](pair.lr),
        "FP": of_network(run.model)(pair.lr),
    }
    for method, student in chosen.students():
        with weights_quantized_once(student):
            made[method] = of_network(student)(pair.lr)
    views = [View(label, sr, run.plugins.evaluate(sr, pair.hr, scale)["psnr"]) for label, sr in made.items()]
    differing = {label: made[label] for label in methods} if len(methods) > 1 else made
    return pair.hr, views, box or most_different(differing, side), f"{name}, {chosen.title}"
