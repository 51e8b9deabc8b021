"""The pages of the documentation and the code blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

from sr_ptq_bench.hooks import specs as hookspecs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOOKS_PAGE = (ROOT / "docs/hooks.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "sr_ptq_bench/weights/README.md"])
HOOKS = [name for name in dir(hookspecs) if name.startswith("srq_")]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def marked(name: str) -> str:
    """The code block that follows a comment, which one page has."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    found: list[str] = re.findall(rf"<!-- {re.escape(name)} -->\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, name
    return found[0]


def hook_sections() -> dict[str, str]:
    """The sections of docs/hooks.md about one hook, by its name."""
    parts = re.split(r"^## (.+)$", HOOKS_PAGE, flags=re.MULTILINE)
    sections = zip(parts[1::2], parts[2::2], strict=True)
    return {heading: text for heading, text in sections if heading.startswith("srq_")}
