"""The host's checks of the values that a plugin returns; every error names the plugin."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import chain
from math import inf, isfinite, isnan
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter, ValidationError

from ..errors import SrqError, plugin_errors, prefix_error, unknown
from ..quantization.quantizer import Bounds, Quantizer
from ..quantization.training import CalibrationLog
from ..records.fields import LARGEST, PORTABLE, Figure, Text
from .options import PluginOptions, option_values

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..quantization.distribution import Distribution
    from ..quantization.student import Student

LARGEST_FIGURES = 2**22
"""Bytes of JSON; a larger log would make the record too large to be read."""
_FIGURES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[Text, Figure])


def blame_plugin(plugin: str, site: str = "") -> AbstractContextManager[None]:
    """Name the plugin, and the site if there is one, in an SrqError about what the plugin returned."""
    return prefix_error(f"plugin '{plugin}'{site and f', site {site}'}")


def check_components(plugin: str, names: object) -> None:
    """Raise SrqError unless `srq_compose` returned None or names of plugins."""
    if names is not None and not (isinstance(names, tuple | list) and all(isinstance(name, str) for name in names)):
        raise SrqError(f"plugin '{plugin}': srq_compose returns {names!r}; expected names, such as ('dobi', 'dqc')")


def check_options(plugin: str, options: object) -> None:
    """Raise SrqError unless the attribute `Options` of a plugin is a class of options."""
    if not (isinstance(options, type) and issubclass(options, PluginOptions)):
        raise SrqError(f"plugin '{plugin}': Options is {options!r}; expected a class derived from PluginOptions")
    with plugin_errors(f"plugin '{plugin}' fails in Options"), prefix_error(f"plugin '{plugin}': Options"):
        taken = {"later", "parse", "parts", "presets"} & options.model_fields.keys()
        if taken:
            raise SrqError(f"an option cannot be called {min(taken)}; choose another name")
        if options.presets() and "preset" not in options.model_fields:
            names = ", ".join(f'"{name}"' for name in options.presets())
            raise SrqError(f"presets() needs an option to choose one: preset: Literal[{names}]")
        for name, field in options.model_fields.items():
            if field.alias or field.validation_alias:
                raise SrqError(f"option {name} has an alias, which no -o finds; give it one name")
        for name in options.later:
            if name not in options.model_fields:
                raise unknown("option", name, options.model_fields)
        defaults = options.parse({})
        for preset in options.presets():
            options.parse({"preset": preset})
        for values in options.parts().values():
            options.parse(values)
        for name, value in option_values(defaults).items():
            if not isinstance(value, bool | int | float | str | tuple | list | None):
                raise SrqError(f"option {name} is a {type(value).__name__}; expected a number, text, or true and false")


def check_finite(network: nn.Module) -> None:
    """Raise SrqError unless all parameters are finite, and the buffers of a quantizer."""
    own = network.named_buffers() if isinstance(network, Quantizer) else ()
    for name, parameter in chain(network.named_parameters(), own):
        if not torch.isfinite(parameter).all():
            whose = "quantizer" if isinstance(network, Quantizer) else "network"
            raise SrqError(f"the {whose}'s {name} has values that are not finite")


def check_nothing(hook: str, returned: object) -> None:
    """Raise SrqError if a hook that changes the student in place returns anything, such as changed weights."""
    if returned is not None:
        kind = type(returned).__name__
        raise SrqError(f"{hook} returns a {kind}, which would be lost; it changes the student in place")


def weights_of(student: Student) -> dict[str, tuple[Tensor, str]]:
    """The weights that a method may change in place, and their shapes and types, which it must keep."""
    return {name: (weight, _form(weight)) for name, weight in student.weights.items()}


def _form(v: Tensor) -> str:
    return f"{tuple(v.shape)} {v.dtype}"


def check_student(student: Student, before: Mapping[str, tuple[Tensor, str]]) -> None:
    """Raise SrqError unless these are the weights, in their shapes and types, in a network with the same quantizers.

    All parameters, also bounds, are finite.
    """
    now = {id(parameter) for parameter in student.network.parameters()}
    for name, (weight, form) in before.items():
        if student.weights.get(name) is not weight or id(weight) not in now:
            raise SrqError(f"weight {name} is replaced by another tensor; change student.weights['{name}'] in place")
        if _form(weight) != form:
            raise SrqError(f"weight {name} is {_form(weight)} now; expected {form}")
    modules = set(student.network.modules())
    for name, quantizer in student.quantizers.items():
        if quantizer not in modules:
            raise SrqError(f"the quantizer of site {name} is replaced by another; srq_make_quantizer makes a new kind")
    check_finite(student.network)


def check_bounds(bounds: object, distribution: Distribution) -> None:
    """Raise SrqError unless the bounds are finite, ordered, and two numbers or one pair per channel."""
    if not isinstance(bounds, Bounds):
        raise SrqError(f"expected Bounds, got a {type(bounds).__name__}")
    ends: tuple[Any, ...] = (bounds.lower, bounds.upper)
    if any(end is None for end in ends):
        raise SrqError("a bound is None; a site without channels has neither channel_minimum nor channel_maximum")
    lower, _ = bounds.tensors()
    channels = 0 if distribution.channel_minimum is None else distribution.channel_minimum.numel()
    if lower.ndim and lower.numel() != channels:
        numbers = "one pair of shape ()"
        expected = (
            f"{numbers}, or one for each of {channels} channels" if channels else f"{numbers}: it has no channels"
        )
        raise SrqError(f"{lower.numel()} pairs of bounds; expected {expected}")


def checked_log(plugin: str, log: CalibrationLog) -> CalibrationLog:
    """The log, if a record can hold it; raises SrqError that names the plugin and the entry."""
    if not isinstance(log, dict):
        raise SrqError(f"plugin '{plugin}' returns its log as a {type(log).__name__}; expected a dict")
    for key, value in log.items():
        items = value if isinstance(value, list | tuple) else [value]
        kinds = int | float if isinstance(value, list | tuple) else bool | int | float | str
        if not all(isinstance(item, kinds) for item in items):
            kind = next(type(item).__name__ for item in items if not isinstance(item, kinds))
            expected = "expected a number, text or a list of numbers"
            raise SrqError(f"plugin '{plugin}': log entry '{key}' holds a {kind}; {expected}")
        odd = [item for item in items if isinstance(item, float) and not isfinite(item)]
        if odd:
            raise SrqError(f"plugin '{plugin}': log entry '{key}' is {odd[0]}; expected finite numbers")
        try:
            size = len(json.dumps(_FIGURES.validate_python({key: tuple(items) if items is value else value})))
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise SrqError(f"plugin '{plugin}': log entry '{key}': {reason}") from error
        except ValueError as error:  # an integer with more digits than Python prints
            raise SrqError(f"plugin '{plugin}': log entry '{key}': {error}") from error
        if size > LARGEST_FIGURES:
            raise SrqError(f"plugin '{plugin}': log entry '{key}' takes {size} bytes; a record holds {LARGEST_FIGURES}")
    return log


def checked_scores(plugin: str, scores: object) -> dict[str, float]:
    """The scores of an image as floats; raises SrqError unless `srq_evaluate` returned numbers (or inf) by name."""
    if not isinstance(scores, Mapping):
        raise SrqError(f"plugin '{plugin}': srq_evaluate returns a {type(scores).__name__}; expected a mapping")
    for key in scores:
        if not isinstance(key, str) or not key or not key.isprintable() or not re.match(PORTABLE, key):
            raise SrqError(f"plugin '{plugin}': a metric is called {key!r}; expected a printable name and no path")
    return {key: _number(value, f"plugin '{plugin}': metric '{key}'") for key, value in scores.items()}


def _number(value: Any, what: str) -> float:
    """A score: a number or +inf (the PSNR of equal images); raises SrqError otherwise."""
    try:
        number = float(value + 0)
    except Exception as error:  # a tensor of two numbers raises RuntimeError, for example
        raise SrqError(f"{what} is {value!r}; expected a number") from error
    if isnan(number) or (number != inf and abs(number) > LARGEST):
        raise SrqError(f"{what} is {number}; expected a number up to {LARGEST:g}, or inf")
    return number
