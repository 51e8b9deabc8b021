"""What Python code does, apart from how it is written. Imports nothing of ours."""

from __future__ import annotations

import ast
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_SOME_VERSIONS = {"type_params", "type_comment", "kind"}
_BODIES = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def meaning(source: bytes) -> str:
    """The syntax tree of a file without docstrings, as text; the hash of bytes that are no Python source.

    Comments and formatting are not in it, and every version of Python gives the same text.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, _BODIES) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return "".join(_written(tree))


def _written(node: object) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if name not in _OF_SOME_VERSIONS and value is not None and value != []:
                yield f"{name}="
                yield from _written(value)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            yield from _written(item)
            yield ","
    else:
        yield repr(node)
