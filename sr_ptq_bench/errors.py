"""The exception that a user sees as one line of text, and helpers that word such lines. Imports nothing of ours."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel, ValidationError


LONGEST = 1000
PLAIN = {
    "missing": "is missing",
    "path_type": "Input should be a path",
    "tuple_type": "Input should be a list",
}
"""Words for complaints of pydantic, by their types, that speak of Python."""
DEBUG = "SRQ_DEBUG"
"""With this environment variable the traceback of every error is printed before its line."""


def printable(text: str) -> str:
    """The text as one line without control characters: spaces for white space, escapes for other invisible characters.

    >>> print(printable("a\\x1b[31m\\tb"))
    a\\x1b[31m b
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)


class SrqError(Exception):
    """An expected failure: `srq` prints it as one line on stderr and exits with status 2.

    Whatever a file, a name or a plugin puts into it, the message is one line of printable characters, at most LONGEST.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(printable(message).split())
        half = LONGEST // 2
        super().__init__(
            line if len(line) <= LONGEST else f"{line[: half - 3].rstrip()} ... {line[-half + 2 :].lstrip()}"
        )


class PluginError(SrqError):
    """Any exception that a plugin's code raised; the original is its `__cause__`."""


@contextmanager
def plugin_errors(what: str) -> Iterator[None]:
    """Turn any exception of a plugin, `SystemExit` too, into one line that begins with `what`."""
    try:
        yield
    except SrqError:
        raise
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except SystemExit as error:
        raise PluginError(f"{what}: it calls sys.exit({error.code!r})") from error
    except BaseException as error:  # such as the CancelledError of asyncio
        raise PluginError(f"{what}: {described(error)}; {DEBUG}=1 shows the traceback") from error


def described(error: BaseException) -> str:
    """Type and message of an exception, also of one whose message cannot be made."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__} without a message"


def unknown(kind: str, name: str, allowed: Iterable[str]) -> SrqError:
    """Name the unknown value and the nearest allowed one, or all allowed ones if none is near.

    >>> print(unknown("method", "minmx", ["minmax", "dobi"]))
    no method 'minmx'; did you mean 'minmax'?
    """
    names = sorted(allowed)
    near = nearest(name, names)
    hint = f"there is: {', '.join(names) or 'none'}" if near is None else f"did you mean '{near}'?"
    return SrqError(f"no {kind} '{name}'; {hint}")


def nearest(name: str, allowed: Iterable[str], likeness: float = 0.6) -> str | None:
    """The allowed value that a misspelt name stands for, most likely; None if none is so near: 1 is the same."""
    lower = {allowed.lower(): allowed for allowed in allowed}
    near = get_close_matches(name.lower(), lower, n=1, cutoff=likeness)
    return lower[near[0]] if near else None


@contextmanager
def prefix_error(what: str) -> Iterator[None]:
    """Put a name before an SrqError."""
    try:
        yield
    except SrqError as error:
        raise SrqError(f"{what}: {error}") from error


def _keys(model: type[BaseModel], path: Sequence[int | str]) -> Iterable[str]:
    """The keys that the table at `path` of the model may have."""
    at: Any = model
    for part in path:
        if not hasattr(at, "model_fields"):
            at = get_args(at)[-1]
        elif part in at.model_fields:  # else the name of a member of a union, whose model `at` is already
            at = at.model_fields[part].annotation
        at = next((member for member in get_args(at) if hasattr(member, "model_fields")), at) if _is_union(at) else at
    return list(getattr(at, "model_fields", ()))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _is_member(part: int | str) -> bool:
    """Whether pydantic's place of an error names one of the types that a value may have, and no key of a file."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "str") or part.startswith("lax-or-strict["))


def first_complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint of pydantic as one line, with the nearest name for an unknown key."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not _is_member(part))
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        return str(unknown("key", str(key), _keys(model, parents))).replace(str(key), where, 1)
    message = PLAIN.get(first["type"], first["msg"].removeprefix("Value error, "))
    given = first["input"]
    is_said = f"'{given}'" in message or not isinstance(given, str | int | float | bool)
    shown = "" if is_said else f", got {given!r}"
    if not where:
        return message
    return f"{where} {message}" if first["type"] == "missing" else f"{where}: {message}{shown}"
