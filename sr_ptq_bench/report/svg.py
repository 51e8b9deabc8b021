"""Figures as short SVG within a page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, fromstring, register_namespace, tostring

from ..plots.canvas import content

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENLARGED = 1.3
"""How much wider than on paper a figure may become."""
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_COLOURS = {"#ffffff": "none", "#000000": "currentColor", "#262626": "currentColor", "#4d4d4d": "currentColor"}
_COLOUR = re.compile("|".join(_COLOURS))
_LEFT_OUT = re.compile(r"(font-family|stroke-linecap|stroke-linejoin): [^;]*;? ?")
_DEFAULTS = {"fill:none", "stroke-dashoffset:0", "font-size:9px", "text-anchor:middle"}
_GRID = "stroke:var(--line);stroke-width:.6"
_ID = re.compile(r"#\w+")
_LINE = re.compile(r"M [-\d.]+ [-\d.]+( L [-\d.]+ [-\d.]+| [-\d.]+ [-\d.]+)+( z)?")
"""A path of straight lines from one place to the next."""
_DECIMALS = re.compile(r"(?<=\.\d)\d+")


def svg(figure: Figure, name: str, prefix: str) -> Element:
    """A figure as an element of a page: black and white become the colours of the page, places have one decimal.

    What is the same in most figures stands in report.css. Ids begin with `prefix`, which differs within a page.
    """
    root = fromstring(content(figure, ".svg"))
    box = root.attrib["viewBox"]
    width = ENLARGED * float(box.split()[2])
    _strip(root)
    _rename(root, prefix)
    _share_styles(root)
    root.attrib.clear()
    root.attrib |= {"role": "img", "aria-label": name, "viewBox": box, "style": f"max-width:{width:.0f}pt"}
    return root


def _strip(element: Element) -> None:
    """Leave out, below an element, what no page needs, and groups that say nothing."""
    kept: list[Element] = []
    for child in element:
        _strip(child)
        if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
            continue
        if child.tag in (f"{_SVG}g", f"{_SVG}text"):
            child.attrib.pop("id", None)
        if child.tag == f"{_SVG}text" and "text-anchor" not in child.attrib.get("style", ""):  # a line of several
            child.attrib["style"] = f"{child.attrib.get('style', '')};text-anchor:start"
        _shorten(child)
        if set(child.attrib) <= {"d"} and child.tag in (f"{_SVG}path", f"{_SVG}defs") and not len(child):
            continue  # neither line nor colour
        if child.attrib.get("style") == _GRID:
            child.attrib = {"d": child.attrib["d"]}  # it ends where the panel does; its look stands in report.css
        kept += list(child) if child.tag == f"{_SVG}g" and not child.attrib else [child]
    element[:] = kept
    element.tail = None
    if not (element.text or "").strip():
        element.text = None


def _rename(root: Element, prefix: str) -> None:
    """Give what is used elsewhere in the figure a short id."""
    short: dict[str, str] = {}
    for element in root.iter():
        if "id" in element.attrib:
            element.attrib["id"] = short.setdefault(element.attrib["id"], f"{prefix}{len(short)}")
    for element in root.iter():
        for name in ("href", "clip-path"):
            if name in element.attrib:
                element.attrib[name] = _ID.sub(lambda found: f"#{short[found[0][1:]]}", element.attrib[name])


def _share_styles(root: Element) -> None:
    """The style of a marker stands once, in its shape."""
    shapes = {f"#{of.attrib['id']}": of for of in root.iter(f"{_SVG}path") if "id" in of.attrib}
    styles: dict[str, str] = {}
    for use in root.iter(f"{_SVG}use"):
        name = use.attrib["href"]
        style = styles.setdefault(name, use.attrib.get("style", ""))
        if use.attrib.get("style") == style:
            del use.attrib["style"]
    for name, style in styles.items():
        own = shapes[name].attrib.get("style", "")
        known = {each.split(":")[0] for each in own.split(";")}
        more = [each for each in style.split(";") if each.split(":")[0] not in known]
        shapes[name].attrib["style"] = ";".join(filter(None, [own, *more]))


def _style(style: str) -> str:
    """A style without what is the default or stands in report.css."""
    coloured = _COLOUR.sub(lambda found: _COLOURS[found[0]], _LEFT_OUT.sub("", style)).replace("#e3e3e3", "var(--line)")
    parts = (part.strip().replace(": ", ":").replace(":0.", ":.") for part in coloured.split(";"))
    return ";".join(part for part in parts if part and part not in _DEFAULTS)


def _shorten(element: Element) -> None:
    if _XLINK in element.attrib:
        element.attrib["href"] = element.attrib.pop(_XLINK)
    for name, value in element.attrib.items():
        if name == "style":
            element.attrib[name] = _style(value)
        elif name in ("d", "x", "y", "transform"):
            short = " ".join(_DECIMALS.sub("", value).split())
            faint = "stroke-opacity" in element.attrib.get("style", "")
            element.attrib[name] = (
                _steps_of(short, 1 if faint else 10) if name == "d" and _LINE.fullmatch(short) else short
            )
    element.attrib = {
        name: value
        for name, value in element.attrib.items()
        if (name, value) != ("style", "") and not value.startswith("rotate(-0 ")
    }


def _steps_of(path: str, parts: int) -> str:
    """The same path with the steps from place to place, in whole `parts` of a point; steps are shorter than places.

    >>> _steps_of("M 10 20 L 11.5 18 L 11 18.5 z", 10)
    'M10 20l1.5-2-.5 .5z'
    """
    numbers = [round(parts * float(number)) for number in re.findall(r"-?[\d.]+", path)]  # whole: no error adds up
    steps = [now - before for before, now in zip(numbers, numbers[2:], strict=False)]
    start, *words = (_text(number / parts) for number in (*numbers[:1], *numbers[1:2], *steps))
    first, *words = words
    spaced = (text if text.startswith("-") else f" {text}" for text in words)
    return f"M{start} {first}l{''.join(spaced).lstrip()}{'z' * path.endswith('z')}"


def _text(number: float) -> str:
    return f"{number:g}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:g}"


def html(svg: Element) -> str:
    """The element as text that stands within HTML, which knows the names of SVG by themselves."""
    register_namespace("", _SVG[1:-1])
    return tostring(svg, encoding="unicode").replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
