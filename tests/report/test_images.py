"""The pages of images and sites as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_gallery import TABLE, gallery, records
from pages import Page

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.report.entries import table_of
from sr_ptq_bench.report.images import WIDTH, lines, outline, pictures, sites_pages
from sr_ptq_bench.report.site import build


@pytest.fixture(scope="module")
def made():
    of = records()
    return of, gallery(of)


@pytest.fixture(scope="module")
def site(made):
    of, shown = made
    return build(of, [], "srq report --images", {TABLE: shown})


IMAGE = f"{TABLE}/photos-0-0123abcd.html"


def test_there_is_a_page_per_image_and_per_bit_width(site):
    pages = sorted(name for name in site if name.startswith(f"{TABLE}/"))
    assert pages == [
        f"{TABLE}/photos-0-0123abcd.html", f"{TABLE}/photos-1-0123abcd.html", f"{TABLE}/sites-w2a2.html",
        f"{TABLE}/sites-w4a4.html",
    ]  # fmt: skip
    for page in pages:
        assert f'href="{page.removeprefix("sample/")}"' in site[f"{TABLE}.html"]


def test_without_galleries_the_site_has_neither_these_pages_nor_their_script(made):
    site = build(made[0], [], "srq report")
    assert not any("photos-" in name or "sites-" in name or "images.js" in name for name in site)
    assert "Images:" not in site[f"{TABLE}.html"]


def test_scores_of_all_methods_for_the_image(made):
    of, shown = made
    found = list(lines(table_of(TABLE, of), shown, shown.images[1]))
    assert [(f"{line.label} {line.bits}".strip(), line.psnr, line.less_fp) for line in found] == [
        ("FP 32/32", 36.0, 0.0), ("bicubic (MATLAB)", 29.0, -7.0), ("bilinear", 28.0, -8.0),
        ("dobi+dqc 4/4", 33.0, -3.0), ("dobi 4/4", 32.0, -4.0), ("minmax 4/4", 31.0, -5.0), ("minmax 2/2", 26.0, -10.0),
    ]  # fmt: skip
    assert [line.picture for line in found[:4]] == ["fp", "bicubic", "", ""]


def test_seeds_share_a_line_and_its_mean():
    of = [each for seed in (0, 1) for each in records(seed=seed)]
    shown = gallery(of)
    found = [line for line in lines(table_of(TABLE, of), shown, shown.images[0]) if line.label.startswith("minmax")]
    assert [line.bits for line in found] == ["4/4", "2/2"]


def test_each_seed_has_a_picture_with_its_own_psnr():
    of = [*records(), *(each.model_copy(update={"scores": better(each)}) for each in records(seed=1))]
    shown = gallery(of)
    table = table_of(TABLE, of)
    found = [each for each in pictures(table, shown, shown.images[0]) if each.name.startswith("minmax")]
    assert [(each.name, each.psnr) for each in found] == [
        ("minmax 4/4", 30.0), ("minmax [seed 1] 4/4", 32.0), ("minmax 2/2", 25.0), ("minmax [seed 1] 2/2", 27.0),
    ]  # fmt: skip
    (line, _) = [each for each in lines(table, shown, shown.images[0]) if each.label.startswith("minmax")]
    assert (line.psnr, line.picture) == (31.0, found[0].file)
    text = build(of, [], "srq report --images", {TABLE: shown})[IMAGE]
    assert f'<option value="{found[1].file}">minmax [seed 1] 4/4</option>' in text
    assert re.search(r"minmax \[seed 1\] 4/4</a><br>28.50 \(32.00\)", text)


def better(record):
    sets = record.scores.items()
    return {
        name: DatasetScores.of({image: of | {"psnr": of["psnr"] + 2} for image, of in scores.images.items()})
        for name, scores in sets
    }


def test_pages_hold_plain_pictures_for_readers_without_javascript(site):
    elements = Page(site[IMAGE]).elements
    pictures = [of["src"] for tag, of in elements if tag == "img" and "src" in of]
    assert pictures[0] == "photos-0-0123abcd/hr.png"
    assert "photos-0-0123abcd/w4a4-000000000001.png" in pictures
    (form,) = [of for tag, of in elements if tag == "form"]
    assert "hidden" in form


def test_every_picture_has_a_text_and_every_id_is_its_own(site):
    for page in (IMAGE, f"{TABLE}/sites-w4a4.html"):
        elements = Page(site[page]).elements
        assert all("alt" in of for tag, of in elements if tag == "img")
        names = [of["id"] for tag, of in elements if "id" in of and tag not in ("path", "clippath")]
        assert len(names) == len(set(names))


def test_links_lead_somewhere(site):
    for page in [name for name in site if name.startswith(f"{TABLE}/")]:
        for tag, attributes in Page(site[page]).elements:
            link = attributes.get("href") or attributes.get("src") or ""
            if tag not in ("a", "script", "link") or link.endswith(".png") or link.startswith("data:"):
                continue
            path, _, anchor = link.partition("#")
            target = page
            if path:
                parts = list(Path(page).parent.parts)
                for part in path.split("/"):
                    parts = parts[:-1] if part == ".." else [*parts, part]
                target = "/".join(parts)
            assert target in site, link
            first = anchor.partition("&")[0]
            assert not first or f'id="{first}"' in site[target] or not path.startswith("#"), link


def test_sites_show_bounds_shares_changes_and_sensitivity(site):
    text = site[f"{TABLE}/sites-w4a4.html"]
    rows = Page(text).rows
    changed = [row for row in rows if row[0].startswith("dobi") and len(row) == 6]
    assert [cell.strip() for cell in changed[0]] == [
        "dobi",
        "weights",
        "3 of 96",
        "0.012",
        "layers.0.fc1.weight",
        "0.25",
    ]
    (weight,) = [row for row in rows if row[0].startswith("layers.0.fc1.weight") and len(row) > 4]
    assert "31.50" in weight[3]
    assert weight[-1].split() == ["-1", "…", "1.5"]
    assert "Bounds as percentiles" in text


def test_a_scope_of_its_own_has_pages_of_its_own():
    all_sites = {"short": "all", "description": "all layers"}
    of = [*records(), *records(scope=all_sites, seed=1)[:1]]
    shown = gallery(of[:4])
    other = gallery(of[4:])
    both = type(shown)(shown.images, shown.sites | other.sites, shown.students | other.students)
    names = [page.name for page in sites_pages(table_of(TABLE, of), both)]
    assert sorted(names) == ["sites-w2a2-0-linear-matmul", "sites-w4a4-0-linear-matmul", "sites-w4a4-1-all"]


def test_an_outline_is_a_closed_path_over_the_width():
    path = outline((0.0, 1.0, 0.5, 0.0))
    assert path == "M0 40V40h32V1h32V20h32V40h32V40z"
    assert sum(map(float, re.findall(r"h([\d.]+)", path))) == WIDTH
