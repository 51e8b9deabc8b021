"""The options of a plugin: typed, checked, with presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import SrqError, first_complaint, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..protocol.types import OptionValue


class PluginOptions(BaseModel):
    """Base of the class `Options` of a plugin: immutable, unknown keys are refused with the nearest name.

    A subclass may name `presets`, sets of values. It then has an option `preset` that chooses one of them; values that
    are given too replace those of the preset.
    It may name `parts`, which an ablation leaves out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    later: ClassVar[tuple[str, ...]] = ()
    """Options that came after the first records: at their default they stand in no record, so it keeps its name."""

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, OptionValue]]:
        """Named sets of values; none by default."""
        return {}

    @classmethod
    def parts(cls) -> Mapping[str, Mapping[str, OptionValue]]:
        """The parts that `srq ablate parts` leaves out, each with the values that do so; none by default."""
        return {}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate `values` over the chosen preset; raises SrqError that names the key and what was expected."""
        presets = cls.presets()
        chosen: Mapping[str, Any] = {}
        if presets:
            name = str(values.get("preset", next(iter(presets))))
            if name not in presets:
                raise unknown("preset", name, presets)
            chosen = {"preset": name, **presets[name]}
        for key in values:
            if key not in cls.model_fields:
                raise unknown("option", key, cls.model_fields)
        try:
            parsed = cls.model_validate({**chosen, **values})
        except ValidationError as error:
            raise SrqError(f"option {first_complaint(error, cls)}") from error
        for key, value in values.items():  # pydantic takes true for 1
            truth = isinstance(getattr(parsed, key), bool)
            if isinstance(value, bool | int | float) and isinstance(value, bool) != truth:
                raise SrqError(f"option {key}: expected {'true or false' if truth else 'a number'}, got {value!r}")
        return parsed


def option_values(options: PluginOptions | None) -> dict[str, Any]:
    """The values of options by key; none of a plugin without options."""
    return {name: getattr(options, name) for name in type(options).model_fields} if options else {}


def recorded_values(options: PluginOptions | None) -> dict[str, Any]:
    """The values that stand in a record: without later options at their default, which the preset has too."""
    values = option_values(options)
    if options and options.later:
        kind = type(options)
        defaults = [kind.parse({}), kind.parse({"preset": values["preset"]} if "preset" in values else {})]
        for name in options.later:
            if all(getattr(default, name) == values[name] for default in defaults):
                del values[name]
    return values
