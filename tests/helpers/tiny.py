"""A network of a few hundred parameters as a backbone plugin, and a suite of noise: a run takes a fraction of a second.

The file is both a module that tests import and a plugin that they give to `--plugin`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from sr_ptq_bench import Operand, SRModel, fill, hookimpl

FILE = Path(__file__)
WINDOW = 4
PRODUCERS = {"head": "image", "fc1": "conv", "fc2": "gelu", "tail": "value"}
SITES = ["fc1.weight", "fc1.input", "fc2.weight", "fc2.input", "query", "key"]


@hookimpl
def srq_load_model(name, scale, weights):
    """Load `tiny`."""
    if name != "tiny":
        return None
    network = Tiny(scale)
    fill(network, weights)
    network.eval().requires_grad_(False)
    return SRModel("tiny", scale, network, PRODUCERS, ("tail",), ("head", "tail"), size_multiple=WINDOW, scope="linear")


class Tiny(nn.Module):
    """A convolution, an MLP per pixel, channel attention and pixel shuffle; it upscales (N, 3, H, W)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 4)
        self.query, self.key = Operand("query"), Operand("key")
        self.tail = nn.Conv2d(4, 3 * scale**2, 3, padding=1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x).permute(0, 2, 3, 1)
        y = y + self.fc2(F.gelu(self.fc1(y)))
        rows = y.flatten(1, 2)
        mixing = self.query(rows).transpose(1, 2) @ self.key(rows) / rows.shape[1]
        y = (rows @ torch.softmax(mixing, -1)).view(y.shape).permute(0, 3, 1, 2)
        return F.pixel_shuffle(self.tail(y), self.scale) + F.interpolate(x, scale_factor=self.scale)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A random (height, width, 3) uint8 image, the same for the same arguments."""
    return np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_images(folder: Path, **sizes: tuple[int, int]) -> Path:
    """A folder of PNGs, from names with (height, width)."""
    from sr_ptq_bench.data.images.pixels import write_image

    for seed, (stem, (height, width)) in enumerate(sizes.items()):
        write_image(folder / f"{stem}.png", noise(height, width, seed))
    return folder


def write_weights(path: Path, scale: int = 2) -> Path:
    """Random weights of `Tiny`, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(Tiny(scale).state_dict(), path)
    return path


@dataclass(frozen=True)
class TinySuite:
    """A folder with `suite.toml`, `weights.safetensors` and the images in `calibration` and `test`."""

    folder: Path
    table: dict[str, Any]

    @classmethod
    def write(cls, folder: Path) -> TinySuite:
        """Write all files of the suite, for x2."""
        write_images(folder / "calibration", a=(40, 44), b=(48, 40))
        write_images(folder / "test", first=(24, 28), second=(33, 25))
        write_weights(folder / "weights.safetensors")
        table = {
            "name": "tiny",
            "model": "tiny",
            "weights": {"2": "weights.safetensors"},
            "calibration": {"source": {"hr": "calibration"}, "patches": 4, "size": 8},
            "test": {"noise": {"hr": "test"}},
        }
        suite = cls(folder, table)
        suite.path.write_text(toml(table))
        return suite

    @property
    def path(self) -> Path:
        """The suite's file."""
        return self.folder / "suite.toml"

    def change(self, **values: Any) -> Path:
        """Replace top-level keys of the suite's file; None removes one."""
        table = {key: value for key, value in {**self.table, **values}.items() if value is not None}
        self.path.write_text(toml(table))
        return self.path

    def spec(
        self, method: str = "minmax", bits: str = "4", seed: int = 0, scope: str | None = None, **options: Any
    ) -> Any:
        """A RunSpec at x2."""
        from sr_ptq_bench import Bits, RunSpec, Suite

        suite = Suite.load(str(self.path))
        bits = Bits.parse(bits)
        return RunSpec(method=method, bits=bits, scale=2, suite=suite, scope=scope, seed=seed, options=options)


def toml(table: dict[str, Any]) -> str:
    """A TOML file with nested tables inline."""
    return "".join(f"{json.dumps(key)} = {_toml_value(value)}\n" for key, value in table.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(v)}" for key, v in value.items()) + "}"
    return json.dumps(value)


def plugin(name: str, options: Any = None, **hooks: Any) -> Any:
    """A plugin called `name` with these functions as its hooks (`compose=...` is `srq_compose`), and its `Options`."""
    from sr_ptq_bench.hooks.plugin import Plugin

    module = ModuleType(name)
    if options is not None:
        module.Options = options
    for hook, function in hooks.items():
        setattr(module, f"srq_{hook}", hookimpl(function))
    return Plugin(name, "a-test", "1.0", module, hashlib.sha256(name.encode()).hexdigest())


def plugins(*more: Any) -> Any:
    """All installed plugins, `tiny` and `more`."""
    from sr_ptq_bench.hooks.plugins import Plugins

    found = Plugins([FILE])
    for one in more:
        found.add(one)
    return found


def session(
    *more: Any, known: Any = None, home: Path | None = None, reporter: Any = None, interval_s: float = 2.0
) -> Any:
    """A session on the CPU with `known` plugins, or all installed ones, `tiny` and `more`; its home is the test's."""
    from sr_ptq_bench.cache.shared import Cache
    from sr_ptq_bench.library.library import Library
    from sr_ptq_bench.progress import SILENT
    from sr_ptq_bench.runs.session import Session
    from sr_ptq_bench.storage.home import default_home

    reporter, home = reporter or SILENT, home or default_home()
    cache = Cache(home, reporter.say, interval_s)
    return Session(known or plugins(*more), cache, Library(home, reporter), "cpu", reporter)


def prepare(spec: Any, plugins: Any = None, library: Any = None) -> Any:
    """A run, prepared with these plugins in a session of its own."""
    from sr_ptq_bench.runs.prepare import prepare as prepared

    own = session(known=plugins)
    own = replace(own, library=library or own.library)
    return prepared(spec, own)


def ready(suite: TinySuite, *more: Any, **spec: Any) -> Any:
    """A prepared run of the tiny network, with these plugins too."""
    return prepare(suite.spec(**spec), plugins(*more))


def measured(prepared: Any, home: Path | None = None, reporter: Any = None) -> Any:
    """The result of a prepared run, in a session of its own with this home; a run that follows continues nothing."""
    from sr_ptq_bench.runs.run import measure

    own = session(known=prepared.plugins, home=home, reporter=reporter)
    result = measure(prepared, own)
    shutil.rmtree(own.cache.folder / "states", ignore_errors=True)
    return result


def run(suite: TinySuite, *more: Any, home: Path | None = None, method: str = "minmax", **spec: Any) -> Any:
    """Measure a method on the tiny suite with `more` plugins; the record."""
    return measured(prepare(suite.spec(method, **spec), plugins(*more)), home or suite.folder / "home").record


def comparable(record: Any) -> dict[str, Any]:
    """What must be equal when the same run is repeated: all but times, memory and the machine."""
    machine = {"device", "threads", "platform", "cpu"}
    exclude = {"timings": True, "created": True, "peak_memory_bytes": True, "environment": machine}
    return record.model_dump(mode="json", exclude=exclude)


class Heard:
    """A reporter that remembers the lines and the names of the stages."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []

    def say(self, line: str) -> None:
        """Remember a line."""
        self.lines.append(line)

    @contextmanager
    def stage(self, name: str) -> Iterator[Any]:
        """Remember a stage."""
        self.stages.append(name)
        yield lambda *_: None
