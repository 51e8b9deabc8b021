"""The pages name what is there, and their links and commands lead somewhere."""

from __future__ import annotations

import hashlib
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from doc_pages import HOOKS, PAGES, README, ROOT, blocks, hook_sections

import sr_ptq_bench
from sr_ptq_bench import Bits
from sr_ptq_bench.cli import srq
from sr_ptq_bench.hooks import specs as hookspecs
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.library.registry import Registry
from sr_ptq_bench.protocol.run_spec import parse_options
from sr_ptq_bench.protocol.suite import suite_names

README_LINES = 120
INSTALLED = Plugins()


def commands() -> list[str]:
    """Every `srq` line of every shell block."""
    shell = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "shell")]
    lines = [part.strip() for block in shell for line in block.splitlines() for part in line.split("&&")]
    return sorted({line for line in lines if line.startswith("srq ")})


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


def test_the_flow_of_a_run_names_every_hook() -> None:
    flow = blocks((ROOT / "docs/design.md").read_text(encoding="utf-8"), "text")[0]
    assert {word for word in flow.split() if word.startswith("srq_")} == set(HOOKS)


def test_every_hook_has_a_section() -> None:
    assert set(hook_sections()) == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_section_names_every_argument(hook: str) -> None:
    code = getattr(hookspecs, hook).__code__
    for argument in code.co_varnames[: code.co_argcount]:
        assert re.search(rf"`{argument}\b", hook_sections()[hook]), argument


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = srq
    context = click.Context(srq)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    arguments = command.make_context(command.name, words).params
    if command.name == "run" and not arguments["plugin_files"]:
        Bits.parse(arguments["bits"])
        resolve_method(INSTALLED, arguments["method"], parse_options(arguments["options"]))


def test_readme_has_both_first_commands() -> None:
    assert blocks(README, "shell")[0].splitlines() == [
        "pip install . && srq run --method 2dquant --bits 2 --scale 2",
        'pip install ".[test]" && pytest',
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The addresses of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_site_once() -> None:
    _, _, nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")
    pages = [page.stem for page in ROOT.glob("docs/*.md")]
    assert sorted(re.findall(r" (\w+)\.md$", nav, re.MULTILINE)) == sorted([*pages, "index"])


def test_the_model_card_names_the_files() -> None:
    folder = ROOT / "sr_ptq_bench/weights"
    rows = dict(re.findall(r"`(\w+\.safetensors)` .*`([0-9a-f]{64})`", (folder / "README.md").read_text()))
    assert rows == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.safetensors")}


def test_the_data_page_names_every_suite_and_every_published_thing() -> None:
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    registry = Registry.load()
    for name in [*suite_names(), *registry.images]:
        assert f"`{name}`" in page, name
    for name in registry.weights:
        assert f"`{name}`" in page or f"`-{name.rpartition('-')[2]}`" in page, name


def test_every_place_has_the_same_version() -> None:
    version = sr_ptq_bench.__version__
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
