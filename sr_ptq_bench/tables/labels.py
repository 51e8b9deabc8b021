"""The names of a table's rows, and the notes below the table."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .formats import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..records.record import Record

REFERENCES = {"fp": "FP", "bicubic": "bicubic (MATLAB)", "bilinear": "bilinear"}
"""The rows above those of methods."""

NOT_BOUNDED = "levels not bounded"
"""Marks a row with more than 2^bits levels at a site, which is no result of these bits."""

Option = tuple[str, str]
"""A plugin and the name of one of its options."""

_JSON = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` makes one for each call


def _options(record: Record) -> dict[Option, Any]:
    options = {(part, key): value for part, of in record.spec.options.items() for key, value in of.items()}
    return {("", "parts"): "+".join(record.spec.parts), **options}


def labels(ordered: Sequence[Record]) -> dict[str, str]:
    """The label of each record (by key): its method, and the options that differ from others of the same method."""
    methods: dict[str, list[Record]] = {}
    for record in ordered:
        methods.setdefault(record.spec.method, []).append(record)
    said: dict[str, list[str]] = {}
    rows: dict[tuple[str, ...], list[Record]] = {}
    for method, namesakes in methods.items():
        telling = _differing_options([_options(record) for record in namesakes])
        for record in namesakes:
            options = _format_options(record, telling)
            said[record.key] = [*([options] if options else []), *([NOT_BOUNDED] if record.most_levels else [])]
            rows.setdefault((method, str(record.spec.bits), record.scope.short, options), []).append(record)
    for alike in rows.values():
        for record in alike:
            said[record.key] += _differing_software(record, alike)
    return {
        record.key: f"{record.spec.method} ({', '.join(said[record.key])})" if said[record.key] else record.spec.method
        for record in ordered
    }


def _differing_software(record: Record, alike: Sequence[Record]) -> Iterator[str]:
    """What else tells a record from others with the same options: code, and the threads of a training.

    Such records are not repetitions with other seeds, so their scores are not averaged.
    """
    if len({_code(other) for other in alike}) > 1:
        yield f"code={_code(record)}"
    if any(other.figures for other in alike) and len({other.environment.threads for other in alike}) > 1:
        yield f"threads={record.environment.threads}"


def _code(record: Record) -> str:
    """Eight digits for the code of a record: of this package, of the method, of networks and metrics."""
    code = {**record.current_code, **record.hashes.plugins}
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:8] if code else "unknown"


def _differing_options(variants: Sequence[Mapping[Option, Any]]) -> list[Option]:
    """The options that differ between variants, without those that follow from their plugin's `preset`."""

    def differs(option: Option) -> bool:
        preset = (option[0], "preset")
        values: dict[str, set[str]] = {}
        for variant in variants:
            group = "" if option == preset else _format_value(variant, preset)
            values.setdefault(group, set()).add(_format_value(variant, option))
        return any(len(of) > 1 for of in values.values())

    return [option for option in sorted({o for variant in variants for o in variant}) if differs(option)]


def _format_value(options: Mapping[Option, Any], option: Option) -> str:
    """A value as text, different for different values: quoted unless it is a plain word."""
    if option not in options:
        return NONE
    value = options[option]
    return _JSON.encode(value) if isinstance(value, tuple) else _text(value)


@lru_cache(maxsize=4096, typed=True)  # thousands of records share a few values
def _text(value: bool | float | str | None) -> str:
    if isinstance(value, str) and value.isidentifier() and value not in ("true", "false", "null"):
        return value
    return _JSON.encode(value)


def _format_options(record: Record, options: Iterable[Option]) -> str:
    """Options as a reader writes them: `dqc.lr=0.01`, without the plugin's name if there is only one.

    An option that the record lacks, because it came later and has its default, is not named.
    """
    alone, known = len(record.spec.parts) == 1, _options(record)
    return ", ".join(
        f"{key if alone or not part else f'{part}.{key}'}={_format_value(known, (part, key))}"
        for part, key in options
        if (part, key) in known
    )


def notes(ordered: Sequence[Record], labels: Mapping[str, str], *, variants: bool = True) -> Iterator[str]:
    """Notes that a reader needs to compare the rows with other tables; `variants`: also the options of each method."""
    yield "PSNR in dB and SSIM, each the mean over the images; per bit-width and column the best is in bold."
    if any(record.most_levels for record in ordered):
        yield f"A row with {NOT_BOUNDED} is no result of its bits: it is not in bold, and no row is compared with it."
    if len({record.spec.seed for record in ordered}) > 1:
        yield "Of several seeds: the mean ± the sample standard deviation. The seed is 0 where none is named."
    yield from scopes(ordered)
    yield from _theory(ordered)
    yield from protocol(ordered)
    yield from _classes(ordered, labels)
    if variants:
        yield from sorted({_variant_note(record, labels[record.key]) for record in ordered} - {""})


def scopes(ordered: Sequence[Record]) -> Iterator[str]:
    """What is quantized."""
    scopes = {record.scope.short: record.scope for record in ordered}
    for short, scope in sorted(scopes.items()):
        yield (
            f"Scope {short}: {scope.description}; {scope.sites:,} sites, "
            f"{scope.quantized_weights:,} weights of {scope.parameters:,} parameters."
        )


def protocol(ordered: Sequence[Record]) -> Iterator[str]:
    """The data of the measurement, which are the same for all records except for seeds."""
    spec, hashes = ordered[0].spec, ordered[0].hashes
    patches = spec.calibration
    yield f"Weights: sha256 `{hashes.weights[:12]}`. Padding at test time: {spec.padding}."
    if spec.tiles:
        yield (
            f"Networks see images in tiles of {spec.tiles.size} x {spec.tiles.size} LR pixels with "
            f"{spec.tiles.overlap} more on every side; scores differ from those of whole images (docs/limits.md)."
        )
    by_seed = {record.spec.seed: f"`{record.hashes.calibration[:12]}`" for record in ordered}
    drawn = dict.fromkeys(by_seed[seed] for seed in sorted(by_seed))
    side = f"{patches.size} x {patches.size}"
    yield f"Calibration: {patches.patches} LR patches of {side} pixels, sha256 {', '.join(drawn)}."
    for dataset, scores in ordered[0].scores.items():
        count = len(scores.images)
        yield f"{dataset}: {count} image{'s' * (count > 1)}, sha256 `{hashes.test[dataset][:12]}`."


def _classes(ordered: Sequence[Record], labels: Mapping[str, str]) -> Iterator[str]:
    """What the column of classes says, and what each training took."""
    if not any(record.learned for record in ordered):
        return
    yield (
        "Class: whether a method changes bounds alone or weights, biases and norms too, and whether optimizers made "
        "steps; counted while it ran."
    )
    for label in sorted(set(labels.values())):
        of = [record for record in ordered if labels[record.key] == label]
        known = [record.known_learned for record in of if record.known_learned]
        if any(learned.steps for learned in known):
            minutes = [record.timings["calibrate"] / 60 for record in of if "calibrate" in record.timings]
            counts = [
                f"{_range([learned.steps for learned in known])} steps",
                f"{_range([learned.patches for learned in known if learned.patches])} LR patches",
                f"{_range([round(each, 1) for each in minutes])} minutes",
            ]
            yield f"{label} trains: {', '.join(count for count in counts if not count.startswith(NONE))}."


def _range(numbers: Sequence[float]) -> str:
    """`3`, or `3 to 7` for several; a dash for none."""
    low, high = (f"{of(numbers):,}" if numbers else NONE for of in (min, max))
    return low if low == high else f"{low} to {high}"


def _theory(ordered: Sequence[Record]) -> Iterator[str]:
    """What the theoretical columns are, and how many numbers they count."""
    closed = "closed forms of the bits, not measurements"
    counted = ordered[0].complexity
    macs = sum(counted.macs.values()) / counted.lr_pixels
    yield (
        f"Theoretical compression and speedup: {closed}, of all parameters and of {macs:,.0f} multiply-accumulates "
        "per LR pixel (docs/efficiency.md)."
    )


def _variant_note(record: Record, label: str) -> str:
    """The plugins and options of a method; empty if its name says all."""
    parts = "+".join(record.spec.parts)
    options = _format_options(record, [option for option in _options(record) if option[0]])
    checkpoint = record.figures.get("checkpoint")
    most = record.most_levels
    said = [
        f"is {parts}" if parts != record.spec.method else "",
        f"options {options}" if options else "",
        f"checkpoint kept: {checkpoint}" if checkpoint is not None else "",
        f"site {most.site} has {most.levels} levels on the test images at {most.bits} bits" if most else "",
    ]
    return f"{label}: {'; '.join(filter(None, said))}." if any(said) else ""
