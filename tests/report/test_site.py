"""The site as text: what stands on its pages, and that nobody's name becomes a script."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from made_records import like, record
from pages import Page
from refusals import error_of

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.fields import LARGEST, LONGEST_TIME
from sr_ptq_bench.records.record import MostLevels
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.report import assets
from sr_ptq_bench.report.entries import measured_entries, published_entries, table_of
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


ONE = {"options": {"dobi": {"steps": 1}}}


@pytest.mark.parametrize(
    "other",
    [{"method": "minmax"}, {"options": {"dobi": {"steps": 2}}}, ONE | {"bits": "2"}, ONE | {"seed": 1}],
    ids=["method", "option", "bits", "seed"],
)
def test_an_address_does_not_depend_on_the_rest_of_the_board(other):
    def ids(*records: Any) -> list[str]:
        return [entry.row_id for entry in measured_entries(table_of("a/b", records)) if entry.kind == "measured"]

    one = record("dobi", **ONE)
    together = ids(one, record(**{"method": "dobi", "psnr": 31.0} | other))
    assert set(ids(one)) <= set(together)
    assert len(together) == (1 if "seed" in other else 2)
    assert len(set(together)) == len(together)


def test_rows_that_differ_in_code_alone_have_addresses_of_their_own():
    made = []
    for at in range(2):
        one = record("dobi", 30.0 + at)
        hashes = one.hashes.model_copy(update={"plugins": {"dobi": f"{at}" * 64}})
        made.append(one.model_copy(update={"hashes": hashes}))
    of_rows = [entry.row_id for entry in measured_entries(table_of("a/b", made)) if entry.kind == "measured"]
    assert len(set(of_rows)) == 2


@pytest.mark.parametrize("names", [("Net", "net"), ("net", "NET")])
def test_files_that_are_one_where_case_does_not_count_are_refused(names):
    made = [record(model=name) for name in names]
    assert "would be one file on some systems" in error_of(build, made, [], "srq report")


@pytest.mark.parametrize("suite", ["index.html", "leaderboard.csv", "version.txt", "Index.HTML"])
def test_a_suite_with_the_name_of_a_file_of_the_site_is_refused(suite):
    refused = error_of(build, [record(suite=suite)], [], "srq report")
    assert refused == f"suite '{suite}' has the name of a file of the site; rename the suite"


def test_a_table_that_does_not_compare_leaves_the_others():
    hashes = record().hashes.model_copy(update={"weights": "1" * 64})
    bad = [record("minmax", model="other"), record("dobi", model="other").model_copy(update={"hashes": hashes})]
    left_out: dict[str, str] = {}
    site = build([record(), *bad], [], "srq report", left_out=left_out)
    assert "sample/swinir-light-x2.html" in site
    assert "sample/other-x2.html" not in site
    assert list(left_out) == ["sample/other-x2"]
    assert left_out["sample/other-x2"].startswith("sample/other-x2: ")
    assert error_of(build, [record(), *bad], [], "srq report")


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
