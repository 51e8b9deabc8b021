"""Complete records made before networks were counted: parameters and multiply-accumulates by bits, nothing else.

The count needs the network and the method, not its bounds: what `srq run` would write today is added to each record
that lacks it, after a check that the weights are those of the record.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_ptq_bench import SrqError, Suite
from sr_ptq_bench.accounting import count
from sr_ptq_bench.files import sha256_of
from sr_ptq_bench.manager import Plugins
from sr_ptq_bench.model import quantize
from sr_ptq_bench.records import read_records, record_name, write_record
from sr_ptq_bench.schema import Record

if TYPE_CHECKING:
    from sr_ptq_bench.complexity import Complexity


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
                whole = record.model_dump() | {"complexity": complexity(record, of, plugins)}
                click.echo(f"completed {write_record(Record.model_validate(whole), folder)}")
    except SrqError as error:
        raise click.ClickException(str(error)) from error


def complexity(record: Record, suite: Suite, plugins: Plugins) -> Complexity:
    """Count the student of a record; raises SrqError where suite or plugins make another one today."""
    spec = record.spec
    weights = suite.weights.get(spec.scale)
    if weights is None or sha256_of(weights) != record.hashes.weights:
        raise SrqError(f"{record_name(spec, record.hashes)} is of other weights than suite '{suite.name}' has")
    options = {f"{part}.{key}": value for part, values in spec.options.items() for key, value in values.items()}
    method = plugins.method(spec.method, {}, options)  # type: ignore[arg-type]
    student = quantize(plugins.load_model(spec.model, spec.scale, weights), spec.bits, method.make_quantizer)
    if (method.parts, len(student.quantizers), student.scope) != (spec.parts, record.scope.sites, record.scope.short):
        raise SrqError(f"{record_name(spec, record.hashes)} quantizes other sites than its method does today")
    return count(student)


if __name__ == "__main__":
    main()
