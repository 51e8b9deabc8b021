"""`srq report`: a site of records and their images."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from made_records import record
from tiny import FILE

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.files import write_record


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "leaderboards" / "results"
    write_record(record(), folder / "sample")
    return folder


def test_a_site_is_written_and_nothing_else(srq, results, tmp_path):
    outcome = srq("report", "-o", "site")
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err.endswith("wrote site/index.html\n")
    made = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*") if path.is_file()}
    assert made == {
        "index.html", "leaderboard.csv", "leaderboard.json", "sample/swinir-light-x2.html", "assets/report.css",
        "assets/report.js", "assets/datatables.js",
    }  # fmt: skip
    assert "version.txt" not in (tmp_path / "site/index.html").read_text()


def test_the_site_says_with_which_words_it_was_made(srq, results, tmp_path):
    (tmp_path / "leaderboards").rename(tmp_path / "mine")
    words = ("report", "--out", "here", "--results", "mine/results", "--suite", "sample", "--skip-bad")
    assert srq(*words).status == 0
    said = "srq report --out here --results mine/results --suite sample --skip-bad"
    assert said in (tmp_path / "here/index.html").read_text()


def test_all_missing_libraries_are_named_at_once(srq, results, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    outcome = srq("report")
    assert outcome.status == 2
    assert "itables, jinja2, matplotlib" in outcome.err
    assert 'pip install "sr_ptq_bench[report]"' in outcome.err


@pytest.fixture
def measured(srq, tiny_suite, tmp_path, monkeypatch):
    """Records of the tiny suite with their states: their paths."""
    monkeypatch.chdir(tmp_path)
    for method in ("minmax", "percentile"):
        words = ("--suite", tiny_suite.path, "--plugin", FILE, "-m", method, "-b", 4, "-s", 2)
        assert srq("run", *words).status == 0
    return sorted((tmp_path / "leaderboards/results/tiny").glob("*.json"))


def test_images_come_from_the_states_beside_the_records(srq, measured, tiny_suite, tmp_path):
    call = ("report", "--images", "--suite", tiny_suite.path, "--plugin", FILE)
    outcome = srq(*call)
    assert outcome.status == 0, outcome.err
    assert "left out" not in outcome.err
    below = tmp_path / "site/tiny/tiny-x2"
    pages = {path.name.rpartition("-")[0] for path in below.glob("*.html")}
    assert pages == {"noise-first", "noise-second", "sites"}
    times = {path: path.stat().st_mtime_ns for path in below.glob("*/hr.png")}
    assert len(times) == 2
    assert "--images" in (tmp_path / "site/index.html").read_text()
    for picture in below.glob("*/*.png"):
        assert picture.read_bytes()[1:4] == b"PNG"
    assert srq(*call).status == 0
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_a_damaged_picture_is_made_again(srq, measured, tiny_suite, tmp_path):
    call = ("report", "--images", "--suite", tiny_suite.path, "--plugin", FILE)
    assert srq(*call).status == 0
    whole = {path: path.read_bytes() for path in tmp_path.glob("site/tiny/*/*/*.png")}
    assert whole
    for path, content in whole.items():
        path.write_bytes(content[: len(content) // 2])
    outcome = srq(*call)
    assert outcome.status == 0, outcome.err
    assert {path: path.read_bytes() for path in whole} == whole


def test_pictures_of_an_interrupted_call_are_kept(srq, measured, tiny_suite, tmp_path, monkeypatch):
    from sr_ptq_bench.gallery.pictures import ImageFolder

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    call = ("report", "--images", "--suite", tiny_suite.path, "--plugin", FILE)
    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "view", interrupt)
        assert srq(*call).status == 130
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("site/*/*/*/*.png")}
    assert len(times) == 2 * len(("hr", "bicubic", "fp", "minmax", "percentile"))
    assert srq(*call).status == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_record_without_a_state_is_left_out_of_the_images_by_name(srq, measured, tiny_suite, tmp_path):
    first = measured[0]
    next(first.parent.glob(f"{first.stem}.*.safetensors")).unlink()
    outcome = srq("report", "--images", "--suite", tiny_suite.path, "--plugin", FILE)
    assert outcome.status == 0
    assert f"left out: {first.name}: " in outcome.err
    assert "minmax" in (tmp_path / "site/index.html").read_text()


def test_a_suite_that_is_not_known_has_no_images(srq, measured, tmp_path):
    outcome = srq("report", "--images", "--plugin", FILE)
    assert outcome.status == 0
    assert "left out: images of tiny/tiny-x2: suite 'tiny' of the record is not built in; give its file" in outcome.err
    assert (tmp_path / "site/tiny/tiny-x2.html").is_file()


def test_sensitivities_are_kept_beside_the_record_and_shown(srq, measured, tiny_suite, tmp_path):
    words = ("-m", "minmax", "-b", 4, "-s", 2, "--suite", tiny_suite.path, "--plugin", FILE)
    outcome = srq("analyze", *words, "--keep")
    assert outcome.status == 0, outcome.err
    assert srq("analyze", *words, "--keep", "--by", "layer").status == 2
    assert "there is no record" in srq("analyze", *words, "--keep", "--seed", 5).err
    srq("report", "--images", "--suite", tiny_suite.path, "--plugin", FILE)
    assert "Sensitivity: minmax" in (tmp_path / "site/tiny/tiny-x2/sites-w4a4.html").read_text()


def test_published_scores_beside_the_records(srq, results, tmp_path):
    shutil.copy(Path(__file__).parents[3] / "leaderboards" / "published.csv", tmp_path / "leaderboards")
    assert srq("report").status == 0
    assert "<td>published<td>arXiv 2406.06649" in (tmp_path / "site/index.html").read_text()


def test_no_records_are_refused(srq, results):
    outcome = srq("report", "--suite", "none")
    assert outcome.status == 2
    assert outcome.err.startswith("srq: no records in ")


def test_a_damaged_record_is_refused_or_left_out(srq, results, tmp_path):
    (results / "sample" / "bad.json").write_text("{")
    assert srq("report").status == 2
    assert not (tmp_path / "site").exists()
    outcome = srq("report", "--skip-bad")
    assert outcome.status == 0
    assert "left out: record" in outcome.err


def test_a_table_that_does_not_compare_leaves_the_others(srq, results, tmp_path):
    one, other = record("minmax", model="other"), record("dobi", model="other")
    write_record(one, results / "sample")
    hashes = other.hashes.model_copy(update={"weights": "1" * 64})
    write_record(other.model_copy(update={"hashes": hashes}), results / "sample")
    refused, skipped = srq("report"), srq("report", "--skip-bad")
    assert (refused.status, skipped.status) == (2, 0)
    for outcome in (refused, skipped):
        assert "left out: sample/other-x2: no table of both " in outcome.err
    assert (tmp_path / "site/sample/swinir-light-x2.html").exists()
    assert not (tmp_path / "site/sample/other-x2.html").exists()


def test_where_all_is_left_out_nothing_is_said_to_be_written(srq, results, tmp_path):
    (results / "sample").rename(results / "another")
    outcome = srq("report", "--skip-bad")
    assert outcome.status == 0
    assert "wrote" not in outcome.err
    assert not (tmp_path / "site").exists()


def test_a_port_that_is_taken_is_refused_before_any_work(srq, results, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = srq("report", "--serve", "--port", taken.getsockname()[1])
    assert outcome.status == 2
    assert "choose another --port" in outcome.err
    assert not (tmp_path / "site").exists()


def test_a_site_replaces_no_files_of_others(srq, results, tmp_path):
    """Neither a person's page, nor the records, among which its leaderboard.json would be one."""
    own = tmp_path / "mine" / "index.html"
    own.parent.mkdir()
    own.write_text("my page")
    refused = srq("report", "--results", results, "-o", own.parent)
    assert (refused.status, own.read_text()) == (2, "my page")
    assert "has files that are not from `srq report`; choose an empty folder or another -o" in refused.err
    own.with_name("leaderboard.json").write_text('{"rows": []}')
    assert srq("report", "--results", results, "-o", own.parent).status == 2
    assert srq("report", "--results", results, "-o", tmp_path / "site").status == 0
    shutil.copy(tmp_path / "site" / "leaderboard.json", own.parent)
    refused = srq("report", "--results", results, "-o", own.parent)
    assert (refused.status, own.read_text()) == (2, "my page")
    for inside in (results, results / "site", results / "tiny"):
        refused = srq("report", "--results", results, "-o", inside)
        assert refused.status == 2
        assert "is inside the records folder" in refused.err
    assert srq("report", "--results", results, "-o", tmp_path / "site").status == 0
