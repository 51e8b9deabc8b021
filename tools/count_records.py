"""Complete records made before networks were counted: parameters and multiply-accumulates by bits, nothing else.

The count needs the network and the method, not its bounds: what `srq run` would write today is added to each record
that lacks it, after a check that the weights are those of the record.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_ptq_bench import SrqError, Suite
from sr_ptq_bench.bench import with_count
from sr_ptq_bench.files import sha256_of
from sr_ptq_bench.manager import Plugins
from sr_ptq_bench.model import with_scope
from sr_ptq_bench.records import read_records, record_name, write_record

if TYPE_CHECKING:
    from sr_ptq_bench.schema import Record


@click.command()
@click.option("--suite", required=True, help="The suite of the records: a built-in one, or a .toml file.")
@click.option(
    "--plugin", "files", multiple=True, type=click.Path(path_type=Path), help="A plugin that is not installed."
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(suite: str, files: tuple[Path, ...], folder: Path) -> None:
    """Add the count of the network to the records in FOLDER that have none."""
    try:
        plugins, of = Plugins(files), Suite.load(suite)
        for record in read_records(folder):
            if record.complexity is None:
                click.echo(f"completed {write_record(completed(record, of, plugins), folder)}")
    except SrqError as error:
        raise click.ClickException(str(error)) from error


def completed(record: Record, suite: Suite, plugins: Plugins) -> Record:
    """The record with its count; raises SrqError where suite or plugins make another student today."""
    spec = record.spec
    weights = suite.with_model(spec.model).weights.get(spec.scale)
    if not isinstance(weights, Path) or sha256_of(weights) != record.hashes.weights:
        raise SrqError(f"{record_name(spec, record.hashes)} is of other weights than suite '{suite.name}' has")
    options = {f"{part}.{key}": value for part, values in spec.options.items() for key, value in values.items()}
    method = plugins.method(spec.method, {}, options)  # type: ignore[arg-type]
    model = with_scope(plugins.load_model(spec.model, spec.scale, weights), record.spec.scope)
    return with_count(record, model, method)


if __name__ == "__main__":
    main()
