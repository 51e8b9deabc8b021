"""Options that fail their own checks."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from mistaken import minmax
from pydantic import Field
from refusals import error_of
from tiny import plugin, plugins

from sr_ptq_bench import PluginOptions


class BadDefault(PluginOptions):
    width: float = -1.0
    count: int = "three"  # type: ignore[assignment]


class Required(PluginOptions):
    width: float


with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # pydantic sees it too

    class Taken(PluginOptions):
        later: int = 3  # type: ignore[assignment, misc]


class NoPreset(PluginOptions):
    width: float = 1.0

    @classmethod
    def presets(cls):
        return {"wide": {"width": 2.0}}


class NoPart(PluginOptions):
    width: float = 1.0

    @classmethod
    def parts(cls):
        return {"clipping": {"widht": 0.0}}


class Alias(PluginOptions):
    width: float = Field(1.0, alias="w")


class Folder(PluginOptions):
    folder: Path = Path("here")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (BadDefault, "option count: Input should be a valid integer"),
        (Required, "option width is missing"),
        (Taken, "an option cannot be called later"),
        (NoPreset, "presets() needs an option to choose one: preset: Literal["),
        (Alias, "option width has an alias, which no -o finds; give it one name"),
        (Folder, "option folder is a PosixPath; expected a number, text, or true and false"),
        (NoPart, "no option 'widht'; did you mean 'width'?"),
    ],
)
def test_options_that_fail_their_own_check(options, expected):
    said = error_of(plugins, plugin("mine", options, init_bounds=minmax))
    assert said.startswith("plugin 'mine': Options: ")
    assert expected in said


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_options_are_finite(value):
    assert "option width: Input should be a finite number" in error_of(NoPart.parse, {"width": value})
