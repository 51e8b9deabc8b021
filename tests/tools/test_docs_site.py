"""The pages of the documentation that are made from the code."""

from __future__ import annotations

import importlib.util
from inspect import signature
from pathlib import Path
from typing import Any

import click
import pytest

import sr_ptq_bench
from sr_ptq_bench.cli import COMMANDS, srq
from sr_ptq_bench.hooks import specs
from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugins import Plugins

ROOT = Path(__file__).parents[2]
HOOKS = [name for name in dir(specs) if name.startswith("srq_")]


@pytest.fixture(scope="module")
def site() -> Any:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "tools/docs_site.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(site: Any) -> dict[str, str]:
    return site.reference_pages()


def sections(page: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}


def test_every_hook_with_its_arguments_and_docstring(pages: dict[str, str]) -> None:
    found = sections(pages["reference/hooks.md"])
    assert set(found) == set(HOOKS)
    for name in HOOKS:
        hook = getattr(specs, name)
        assert all(f"{argument}: " in found[name] for argument in signature(hook).parameters)
        assert hook.__doc__.split("\n")[0] in found[name]
    assert "srq_evaluate(sr: np.ndarray, hr: np.ndarray, scale: int)" in found["srq_evaluate"]


def test_every_command_with_its_help(pages: dict[str, str]) -> None:
    found = sections(pages["reference/commands.md"])
    expected = {"srq"}
    for name in COMMANDS:
        command = srq.get_command(click.Context(srq), name)
        expected |= {f"srq {name}"}
        expected |= {f"srq {name} {sub}" for sub in getattr(command, "commands", ())}
    assert set(found) == expected
    assert all(f"Usage: {name} " in text for name, text in found.items())
    assert "--since COMMIT" in found["srq verify"]
    assert all("--help " in text for text in found.values())
    assert "\n  -h, --help " in found["srq"]  # click keeps the first help option of a command, with or without a parent


def test_every_method_with_its_options_and_presets(pages: dict[str, str]) -> None:
    found, plugins = sections(pages["reference/methods.md"]), Plugins()
    assert set(found) == set(plugins.method_names())
    for name in plugins.method_names():
        values = option_values(plugins.options(name, {}))
        for key in set(values) - {"preset"}:
            assert f"| `{name}.{key}` | `{values[key]}` |" in found[name]
    assert "| `dqc.iterations` | `3000` | `4000` | Adam steps |" in found["dqc"]


def test_every_public_name(pages: dict[str, str]) -> None:
    assert list(sections(pages["reference/classes.md"])) == sr_ptq_bench.__all__


def test_the_readme_is_the_first_page_and_links_stay(site: Any) -> None:
    assert site.rewritten("[a](docs/data.md#x) [b](leaderboards) [c](LICENSE)", "README.md") == (
        "[a](data.md#x) [b](leaderboards/index.md) [c](LICENSE)"
    )
    assert site.rewritten("[a](../README.md) [b](../benchmarks/RESULTS.md) [c](#here)", "docs/speed.md") == (
        "[a](index.md) [b](benchmarks/RESULTS.md) [c](#here)"
    )
    assert site.rewritten("[a](../docs/speed.md)", "benchmarks/RESULTS.md") == "[a](../speed.md)"
    assert site.rewritten("[a](https://example.org/x)", "README.md") == "[a](https://example.org/x)"


def test_what_pages_link_to_is_in_the_site(site: Any) -> None:
    found = site.outside_docs()
    assert {"README.md", "LICENSE", "leaderboards", "benchmarks/RESULTS.md"} <= found
    assert all((ROOT / path).exists() for path in found)
