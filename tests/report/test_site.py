"""The site as text: what stands on its pages, and that nobody's name becomes a script."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_gallery import gallery
from made_records import like, record, scored
from pages import Page
from refusals import error_of

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.protocol.suite import Tiles
from sr_ptq_bench.records.fields import LARGEST, LONGEST_TIME
from sr_ptq_bench.records.record import MostLevels
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.report import assets
from sr_ptq_bench.report.entries import measured_entries, published_entries, table_of
from sr_ptq_bench.report.figures import MOST
from sr_ptq_bench.report.provenance import command
from sr_ptq_bench.report.site import build, write
from sr_ptq_bench.tables.bootstrap import interval
from sr_ptq_bench.tables.published_scores import Published

STATIC = Path(assets.__file__).parent / "static"


def images(**psnr: float) -> dict[str, DatasetScores]:
    return {"Set5": DatasetScores.of({name: {"psnr": value, "ssim": 0.9} for name, value in psnr.items()})}


def two_methods() -> list[Any]:
    better, worse = images(baby=31.0, bird=33.0, head=35.5), images(baby=30.0, bird=32.5, head=34.0)
    of = {name: like(better, psnr) for name, psnr in (("fp", 36.0), ("bicubic", 29.0), ("bilinear", 28.0))}
    return [record("minmax", scores=worse, references=of), record("dobi", scores=better, references=of)]


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    losses = {"losses": (0.5, 0.25, 0.125)}
    return build([*two_methods()[:1], record("dobi+dqc", scores=images(baby=1.0, bird=2.0, head=3.0),
        references=dict(two_methods()[0].references), figures=losses)], [], "srq report")  # fmt: skip


def test_a_row_per_method_and_reference_best_first():
    board = Page(build(two_methods(), [], "srq report")["index.html"]).board
    assert [row["Method"] for row in board] == ["FP", "bicubic (MATLAB)", "bilinear", "dobi", "minmax"]
    assert [row["PSNR (dB)"] for row in board] == ["36.00", "29.00", "28.00", "33.17", "32.17"]
    assert [row["Kind"] for row in board] == ["reference"] * 3 + ["measured"] * 2


def test_the_best_is_bold_and_the_other_is_not():
    text = build(two_methods(), [], "srq report")["index.html"]
    assert "<b>33.17</b>" in text
    assert "<b>32.17</b>" not in text


def test_a_row_whose_levels_are_not_bounded_is_never_the_best():
    most = MostLevels(site="fc2.input", bits=4, levels=37)
    minmax, dobi = two_methods()
    table = table_of("a/b", [minmax, dobi.model_copy(update={"most_levels": most})])
    entries = {entry.method.split()[0]: entry for entry in measured_entries(table)}
    assert entries["dobi"].psnr > entries["minmax"].psnr
    assert (entries["dobi"].psnr_best, entries["minmax"].psnr_best) == (False, True)
    assert (entries["dobi"].against, entries["minmax"].against) == ("minmax", "")


def test_a_row_whose_levels_are_not_bounded_takes_no_place_in_a_figure():
    most = MostLevels(site="fc2.input", bits=4, levels=37)
    bounded = [record(f"method{index}", 30.0) for index in range(MOST)]
    text = build([*bounded, record("loose", 35.0, most_levels=most)], [], "srq report")["sample/swinir-light-x2.html"]
    (numbers, *_) = re.findall(r"<details.*?</details>", text, re.DOTALL)
    assert "method7" in numbers
    assert "loose" not in numbers


def test_the_gap_to_fp_has_the_paired_interval():
    import numpy as np

    (_, _, _, dobi, _) = measured_entries(table_of("a/b", two_methods()))
    differences = np.array([31.0, 33.0, 35.5]) - 36.0
    assert dobi.less_fp is not None
    assert math.isclose(dobi.less_fp.mean, differences.mean())
    assert dobi.less_fp.interval == interval(differences)


def test_cost_is_of_all_parameters_and_of_the_method_alone():
    timings = {"observe": 100.0, "bounds": 2.0, "calibrate": 5.0, "evaluate": 100.0, "total": 300.0}
    entry = list(measured_entries(table_of("a/b", [record(timings=timings)])))[-1]
    assert entry.weight_bytes == (4 * (910152 - 691200)) + 691200 / 2
    assert (entry.calibration_seconds, entry.total_seconds) == (7.0, 300.0)


def test_the_largest_numbers_of_a_record_have_a_page():
    timings = dict.fromkeys(("bounds", "calibrate", "total"), LONGEST_TIME)
    figures = {"losses": (LARGEST, -LARGEST, 1.0)}
    largest = record("dobi", timings=timings, figures=figures, peak_memory_bytes=2**63 - 1)
    seeds = [largest, largest.model_copy(update={"spec": largest.spec.model_copy(update={"seed": 1})})]
    text = build([record(), *seeds], [], "srq report")["sample/swinir-light-x2.html"]
    assert "bounds 1e+09" in text


def test_seeds_share_a_row_and_each_has_a_section():
    site = build([record(psnr=30.0, seed=0), record(psnr=31.0, seed=1)], [], "srq report")
    (row,) = (row for row in Page(site["index.html"]).board if row["Kind"] == "measured")
    assert row["PSNR (dB)"] == "30.50 ± 0.71"
    assert row["Seeds"] == "0 1"
    assert site["sample/swinir-light-x2.html"].count("<pre>srq run") == 2


def test_every_link_leads_somewhere(site):
    for name, text in site.items():
        if not name.endswith(".html"):
            continue
        folder = Path(name).parent
        for _, attributes in Page(text).elements:
            for link in filter(None, (attributes.get(key) for key in ("href", "src", "href"))):
                path, _, anchor = link.partition("#")
                if link.startswith("data:"):
                    continue
                target = (folder / path).as_posix() if path else name
                parts: list[str] = []
                for part in target.split("/"):
                    parts = parts[:-1] if part == ".." else [*parts, part]
                content = site["/".join(parts)]
                assert not anchor or f'id="{anchor}"' in content, link


def test_nothing_is_fetched_from_elsewhere(site):
    for text in (site["index.html"], site["sample/swinir-light-x2.html"], site["assets/report.css"]):
        assert set(re.findall(r"https?://[^\s\"')]+", text)) == set()
        assert "default-src 'none'" in text or "{" in text[:10]


def test_no_element_of_a_page_has_the_name_of_another_but_shapes(site):
    elements = Page(site["sample/swinir-light-x2.html"]).elements
    names = [of["id"] for tag, of in elements if "id" in of and tag not in ("path", "clippath")]
    assert sorted(names) == sorted(set(names))


def test_figures_have_their_numbers(site):
    text = site["sample/swinir-light-x2.html"]
    for heading in ("PSNR over bits", "PSNR over bytes", "PSNR over calibration time", "Loss over steps, w4a4"):
        assert f'aria-label="{heading}"' in text
    assert text.count("<summary>The numbers") == 2  # of the figures of PSNR, which share theirs, and of the loss
    lines = list(csv.reader(io.StringIO(site["sample/swinir-light-x2-loss.csv"])))
    assert lines == [["step", "dobi+dqc w4a4"], ["1", "0.5"], ["2", "0.25"], ["3", "0.125"]]


def test_a_long_loss_has_the_means_of_its_steps():
    """Of 80 steps each line has two."""
    values = tuple(float(step) for step in range(80, 0, -1))
    made = build([record("dobi+dqc", figures={"losses": values}), record("minmax+dqc", figures={"losses": values[:3]})],
        [], "srq report")  # fmt: skip
    head, *lines = csv.reader(io.StringIO(made["sample/swinir-light-x2-loss.csv"]))
    assert head == ["step", "dobi+dqc w4a4", "minmax+dqc w4a4"]
    assert lines[:3] == [["2", "79.5", "79.5"], ["4", "77.5", "78"], ["6", "75.5", ""]]
    assert lines[-1] == ["80", "1.5", ""]


def test_csv_and_json_hold_the_same(site):
    lines = list(csv.DictReader(io.StringIO(site["leaderboard.csv"])))
    data = json.loads(site["leaderboard.json"])
    assert list(lines[0]) == data["columns"]
    column = data["columns"].index("psnr")
    assert [float(line["psnr"]) for line in lines] == pytest.approx([row[column] for row in data["rows"]])
    assert [line["id"] for line in lines] == [row[0] for row in data["rows"]]
    assert all(f'id="{line["id"]}"' in site["index.html"] for line in lines)


def test_published_scores_stand_beside():
    score = Published(
        source="A paper", backbone="X", scale=2, bits=4, method="Theirs", dataset="Set5", psnr=37.5, ssim=None,
        model="swinir-light", scope="", row="2dquant",
    )  # fmt: skip
    row = Page(build(two_methods(), [score], "srq report")["index.html"]).board[-1]
    assert (row["Method"], row["PSNR (dB)"], row["SSIM"], row["Kind"]) == ("Theirs", "37.50", "–", "published")
    assert row["Suite or source"] == "A paper"
    (entry,) = published_entries([score])
    assert entry.table == ""


def test_the_same_records_give_the_same_site(site):
    assert build(two_methods(), [], "srq report") == build(two_methods()[::-1], [], "srq report")


def test_an_address_does_not_depend_on_the_rest_of_the_board():
    def ids(records: list[Any]) -> set[str]:
        return {entry.row_id for entry in measured_entries(table_of("a/b", records)) if entry.kind == "measured"}

    alone, together = ids(two_methods()[:1]), ids(two_methods())
    assert alone < together


def test_only_what_changed_is_written(tmp_path):
    write({"a/b.html": "old", "c.html": "same"}, tmp_path)
    before = (tmp_path / "c.html").stat().st_mtime_ns
    write({"a/b.html": "new", "c.html": "same"}, tmp_path)
    assert (tmp_path / "a/b.html").read_text() == "new"
    assert (tmp_path / "c.html").stat().st_mtime_ns == before


def test_infinite_and_missing_scores_have_cells():
    scores = {"A": DatasetScores.of({"x": {"psnr": math.inf}}), "B": DatasetScores.of({"x": {"ssim": 0.5}})}
    of = dict.fromkeys(("fp", "bicubic", "bilinear"), scores)
    site = build([record(scores=scores, references=of)], [], "srq report")
    rows = [row for row in Page(site["index.html"]).board if row["Kind"] == "measured"]
    assert [(row["Test set"], row["PSNR (dB)"], row["SSIM"]) for row in rows] == [
        ("A", "inf", "–"),
        ("B", "–", "0.5000"),
    ]
    json.loads(site["leaderboard.json"], parse_constant=pytest.fail)


def test_the_script_is_short():
    lines = [line for path in STATIC.glob("*.js") for line in path.read_text().splitlines()]
    assert len(lines) < 300
    assert not any("innerHTML" in line or "eval(" in line for line in lines)


def test_another_itables_is_refused(monkeypatch, tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "dt_bundle.js").write_text("nothing")
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(assets, "find_spec", lambda _: spec)
    assert "unknown form" in error_of(assets.assets)
    monkeypatch.setattr(assets, "find_spec", lambda _: None)
    assert 'pip install "sr_ptq_bench[report]"' in error_of(assets.assets)


# The command that repeats a record


def test_the_command_gives_back_the_recorded_run():
    """For every committed record, read by the command line's own parsers and plugins."""
    from sr_ptq_bench.cli.commands.run import run
    from sr_ptq_bench.hooks.options import recorded_values
    from sr_ptq_bench.hooks.plugins import Plugins
    from sr_ptq_bench.hooks.resolve import resolve_method
    from sr_ptq_bench.protocol.run_spec import parse_options
    from sr_ptq_bench.records.files import read_records

    folder = Path(__file__).parents[2] / "leaderboards" / "results" / "sample"
    plugins = Plugins()
    for each in read_records(folder):
        program, name, *words = shlex.split(command(each))
        given = run.make_context(name, words).params
        assert program == "srq"
        spec = each.spec
        told = (given["method"], given["scale"], given["suite"], given["model"], given["scope"])
        assert told == (spec.method, spec.scale, spec.suite, spec.model, spec.scope)
        method = resolve_method(plugins, given["method"], parse_options(given["options"]))
        assert {part: recorded_values(method.options[part]) for part in method.components} == spec.options


def test_the_command_names_photos_and_not_the_suite_that_they_make():
    made = command(record("minmax", suite="sample-holiday", scores=scored(30.0, names=("holiday",))))
    assert "--suite sample --model" in made
    assert "--test holiday=HR_DIR" in made
    assert "--test" not in command(record("minmax"))


def test_the_command_names_tiles_unless_they_are_those_of_the_suite():
    tiles = Tiles(size=96, overlap=16)
    assert "--suite mine --model" in command(record("minmax", suite="mine-tile96-16", tiles=tiles))
    assert "--tile 96 --tile-overlap 16" in command(record("minmax", suite="mine-tile96-16", tiles=tiles))
    assert "--tile" not in command(record("minmax", suite="mine", tiles=tiles))


def test_a_value_with_spaces_is_one_word():
    made = command(record("minmax", options={"minmax": {"word": "a b; rm -rf"}}))
    assert shlex.split(made)[-1] == "minmax.word=a b; rm -rf"


# Names from anybody

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
