"""Nobody's name becomes a script."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_gallery import gallery
from made_records import record, scored
from pages import Page

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.report.site import build
from sr_ptq_bench.tables.published_scores import Published

HOSTILE = st.one_of(
    st.sampled_from([
        "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; alert(1); //", "</svg><script>x</script>",
        "{{ 7*7 }}", "$\\frac{", "]]>", "<!--", "a\u202eb", "javascript:alert(1)", "&lt;b&gt;", "=1+1", "a$b$c",
    ]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
).filter(lambda text: not re.match(r"[/~\\]|[A-Za-z]:[/\\]", text))  # fmt: skip

OURS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "header", "h1", "h2", "h3", "p", "code", "nav",
    "main", "details", "summary", "form", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "b", "ul",
    "li", "section", "figure", "figcaption", "svg", "defs", "path", "use", "g", "text", "tspan", "clippath", "rect",
    "dl", "dt", "dd", "pre", "label", "select", "option", "input", "img", "small", "span", "br",
}  # fmt: skip


@settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)  # an example takes a second, so shrinking one would take minutes
@given(st.tuples(*[HOSTILE] * 6))
def test_no_name_becomes_an_element_or_an_attribute(names):
    dataset, image, option, scope, version, source = names
    scores = scored(30.0, names=(dataset,))
    scores = {dataset: DatasetScores.of({image: {"psnr": 30.0, "ssim": 0.9}})}
    made = [
        record(
            scores=scores, options={"minmax": {"word": word}}, scope={"short": scope, "description": source},
            figures={option: source, "losses": (0.5, 0.4)}, timings={"total": 1.0, option: 2.0},
            calibrated_on={dataset: (image,)},
        )
        for word in (option, option + "x")
    ]  # fmt: skip
    score = Published(
        source=source, backbone=version, scale=2, bits=4, method=option, dataset=dataset, psnr=37.5, ssim=None,
        model=image, scope="all", row="x",
    )  # fmt: skip
    table, pages = "sample/swinir-light-x2", gallery(made, site=version)
    site = build(made, [score], source, {table: pages})
    scripts = {"index.html": 2, f"{table}.html": 0, f"{table}/sites-w4a4.html": 0, f"{table}/photos-0-0123abcd.html": 1}
    for name, count in scripts.items():
        elements = Page(site[name]).elements
        assert {tag for tag, _ in elements} <= OURS
        assert sum(tag == "script" for tag, _ in elements) == count
        assert not any(key.startswith("on") for _, attributes in elements for key in attributes)
        links = [attributes.get(key) or "" for _, attributes in elements for key in ("href", "src")]
        assert not any(re.match(r"\s*(javascript|vbscript|data:text)", link, re.IGNORECASE) for link in links)
        pictures = [of["src"] for tag, of in elements if tag == "img" and "src" in of]
        assert all(re.fullmatch(r"photos-0-0123abcd/[a-z0-9-]+\.png", picture) for picture in pictures)
    json.loads(site["leaderboard.json"])
