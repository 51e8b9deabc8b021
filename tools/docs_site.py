"""The part of the documentation site that is made when it is built; a hook of mkdocs (see `mkdocs.yml`).

- README.md is the first page.
- The pages of `reference/` are made from the code: hooks, classes, commands, methods.
- Files outside docs/ that a page links to become part of the site, and a folder becomes the list of its tables.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import TYPE_CHECKING, Any

import click

import sr_ptq_bench
from sr_ptq_bench.cli import srq
from sr_ptq_bench.hooks import specs
from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugins import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)(?P<path>[^)#\s]+)")
WIDTH = 100
LEADERBOARD = "leaderboard/index.html"


def on_config(config: MkDocsConfig) -> None:
    """Name the site of the records, if `srq report -o docs/leaderboard` has made it."""
    if (Path(config.docs_dir) / LEADERBOARD).exists():
        assert config.nav is not None
        config.nav.append({"Leaderboard": LEADERBOARD})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    from mkdocs.structure.files import File

    for uri, text in reference_pages().items():
        files.append(File.generated(config, uri, content=text))
    for path in sorted(outside_docs()):
        source = ROOT / path
        if source.is_dir():
            files.append(File.generated(config, site_uri(path), content=list_of_tables(source)))
        elif source.suffix == ".md":
            text = rewritten(source.read_text(encoding="utf-8"), path)
            files.append(File.generated(config, site_uri(path), content=text))
        else:
            files.append(File.generated(config, site_uri(path), abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the pages in docs/, as they are in the site."""
    generated = page.file.generated_by is not None
    return markdown if generated else rewritten(markdown, f"docs/{page.file.src_uri}")


def site_uri(path: str) -> str:
    """Where a file or folder of the repository is in the site."""
    if path == "README.md":
        return "index.md"
    if (ROOT / path).is_dir():
        return f"{path}/index.md"
    return path.removeprefix("docs/")


def linked(text: str, page: str) -> Iterator[str]:
    """The paths in the repository that the page at `page` links to."""
    for match in LINK.finditer(text):
        yield normpath(str(PurePosixPath(page).parent / match["path"]))


def rewritten(text: str, page: str) -> str:
    """The page with the links of the site."""
    here = str(PurePosixPath(site_uri(page)).parent)

    def target(match: re.Match[str]) -> str:
        return relpath(site_uri(normpath(str(PurePosixPath(page).parent / match["path"]))), here)

    return LINK.sub(target, text)


def outside_docs() -> set[str]:
    """README, and all that it and the pages in docs/ link to, directly or not, outside docs/."""
    found: set[str] = set()
    left = ["README.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
    left += [str(path.relative_to(ROOT).as_posix()) for path in ROOT.glob("leaderboards/*/*.md")]
    while left:
        path = left.pop()
        if path in found or not (ROOT / path).exists():
            continue
        found.add(path)
        if path.endswith(".md"):
            left += linked((ROOT / path).read_text(encoding="utf-8"), path)
    return {path for path in found if not path.startswith("docs/")}


def list_of_tables(folder: Path) -> str:
    """A page with links to all tables in a folder and the folders in it."""
    pages = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.md"))
    lines = [f"- [{page.removesuffix('.md')}]({page})" for page in pages]
    return "\n".join([f"# Tables in {folder.name}", "", *lines, ""])


def reference_pages() -> dict[str, str]:
    """The pages of the reference by their places in the site."""
    return {
        "reference/hooks.md": hooks(),
        "reference/classes.md": classes(),
        "reference/commands.md": commands(),
        "reference/methods.md": methods(),
    }


def hooks() -> str:
    """Every hook: its arguments with their types, and its docstring."""
    found = [value for name, value in vars(specs).items() if name.startswith("srq_")]
    return _page("Hooks", ((hook.__name__, _described(hook.__name__, hook)) for hook in found))


def classes() -> str:
    """Every public name: its arguments, its docstring, and its public methods."""
    return _page("Classes and functions", map(_class, sr_ptq_bench.__all__))


def _class(name: str) -> tuple[str, str]:
    value = getattr(sr_ptq_bench, name)
    text = _described(name, value)
    if not inspect.isclass(value) or not value.__module__.startswith(sr_ptq_bench.__name__):
        return name, text
    for key, member in vars(value).items():
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if not key.startswith("_") and inspect.isfunction(function) and function.__doc__:
            call = "" if isinstance(member, property) else _signature(function)
            text += f"\n\n**`{key}{call}`**\n\n{inspect.cleandoc(function.__doc__)}"
    return name, text


def commands() -> str:
    """Every command with its help."""
    return _page("Commands", ((name, f"```text\n{text}\n```") for name, text in _helps(srq)))


def _helps(command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    settings = dict(command.context_settings) | {"terminal_width": WIDTH}
    context = click.Context(command, parent, command.name, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from _helps(found, context)


def methods() -> str:
    """Every built-in method: its docstring, and its options with their defaults by preset."""
    plugins = Plugins()
    names = [name for name in plugins.method_names() if plugins.plugins[name].is_built_in()]
    return _page("Methods", ((name, _method(plugins, name)) for name in names))


def _method(plugins: Plugins, name: str) -> str:
    plugin = plugins.plugins[name]
    text = inspect.cleandoc(plugin.module.__doc__ or "") + f"\n\nHooks: {', '.join(f'`{h}`' for h in plugin.hooks())}."
    of = plugin.options_class
    if of is None:
        return text
    presets = list(of.presets()) or ["default"]
    parsed = [option_values(of.parse({"preset": preset} if of.presets() else {})) for preset in presets]
    heads = [f"`{preset}`" if of.presets() else preset for preset in presets]
    rows = [["option", *heads, "meaning"], ["---"] * (2 + len(heads))]
    for key, field in of.model_fields.items():
        if key != "preset":
            values = [f"`{_cell(values[key])}`" for values in parsed]
            rows.append([f"`{name}.{key}`", *values, _cell(field.description or "")])
    return "\n".join([text, "", *(f"| {' | '.join(row)} |" for row in rows)])


def _described(name: str, value: Any) -> str:
    """Signature and docstring."""
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return f"```python\n{name} = {value}\n```"
    return f"```python\n{name}{_signature(value)}\n```\n\n{inspect.cleandoc(value.__doc__ or '')}"


def _signature(function: Any) -> str:
    """Without the quotes of postponed annotations."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _page(title: str, sections: Any) -> str:
    parts = [f"# {title}", *(f"## {name}\n\n{text}" for name, text in sections)]
    return "\n\n".join(parts) + "\n"
