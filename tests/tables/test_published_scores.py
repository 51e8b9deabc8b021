"""Published scores are read strictly, and those that come with the project are the papers'."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.tables.published_scores import OFFICIAL_WEIGHTS, Published, read_published

HEAD = "source,backbone,scale,bits,method,dataset,psnr,ssim,model,scope,row"
LINE = "A paper,SwinIR-light,2,4,MinMax,Set5,34.39,0.9202,swinir-light,linear+matmul,minmax"
COMMITTED = Path(__file__).parents[2] / "leaderboards/published.csv"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "published.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_line_is_a_score(tmp_path: Path) -> None:
    (score,) = read_published(written(tmp_path, HEAD, LINE))
    assert score == Published(
        source="A paper", backbone="SwinIR-light", scale=2, bits=4, method="MinMax", dataset="Set5", psnr=34.39,
        ssim=0.9202, model="swinir-light", scope="linear+matmul", row="minmax",
    )  # fmt: skip


def test_a_paper_may_print_no_ssim(tmp_path: Path) -> None:
    (score,) = read_published(written(tmp_path, HEAD, LINE.replace("0.9202", "")))
    assert score.ssim is None


def test_the_order_of_columns_is_free(tmp_path: Path) -> None:
    turned = (",".join(reversed(line.split(","))) for line in (HEAD, LINE))
    assert read_published(written(tmp_path, *turned)) == read_published(written(tmp_path, HEAD, LINE))


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([HEAD, LINE.replace("34.39", "high")], ", line 2: psnr: Input should be a valid number"),
        ([HEAD, LINE, LINE.replace("34.39", "nan")], ", line 3: psnr: Input should be a finite number"),
        ([HEAD, LINE.replace(",2,4,", ",5,4,")], ", line 2: scale: Input should be 2, 3 or 4"),
        ([HEAD, LINE.replace(",2,4,", ",x,4,")], ", line 2: scale: "),
        ([HEAD, LINE.replace(",2,4,", ",2,64,")], ", line 2: bits: Input should be less than or equal to 32"),
        ([HEAD, LINE.replace("A paper", "")], ", line 2: source: String should have at least 1 character"),
        ([HEAD, LINE.replace("0.9202", "n/a")], ", line 2: ssim: Input should be a valid number"),
        ([HEAD, LINE.replace("0.9202", "92.02")], ", line 2: ssim: Input should be less than or equal to 1"),
        ([HEAD, "", LINE, "", LINE.replace("34.39", "")], ", line 5: psnr: Input should be a valid number"),
        ([HEAD, LINE.replace(",2,4,", ",2.0,4,")], ", line 2: scale: Input should be 2, 3 or 4, got '2.0'"),
        ([HEAD, LINE, LINE.replace("34.39", "34")], ", line 3: the same score as in line 2; leave one out"),
        ([HEAD, LINE.replace("linear+matmul", "linear+matmull")], ", line 2: scope: "),
        ([HEAD, LINE + ",more"], ", line 2: it has more values than there are columns"),
        ([HEAD, LINE.rpartition(",")[0]], ", line 2: row: String should have at least 1 character"),
        ([HEAD, "A paper"], ", line 2: scale: "),
        ([HEAD.replace("psnr", "snr"), LINE], ": no column 'snr'; did you mean 'psnr'?"),
        ([HEAD.replace("ssim", "psnr"), LINE], ": column 'psnr' is there twice; leave one out"),
        ([HEAD.replace(",ssim", ""), LINE.replace(",0.9202", "")], ": its first line lacks the columns ssim"),
        ([LINE], ": no column 'A paper'; there is: "),
        ([], ": its first line lacks the columns source, "),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, lines: list[str], complaint: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(SrqError) as caught:
        read_published(path)
    assert str(caught.value).startswith(f"published scores {path}{complaint}")
    assert str(caught.value).isprintable()


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    with pytest.raises(SrqError, match=r"^cannot read published scores .*: No such file or directory$"):
        read_published(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SrqError, match=r"expected a CSV file in UTF-8$"):
        read_published(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.text())
def test_any_text_gives_scores_or_an_expected_failure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(f"{HEAD}\n{LINE}\n{text}", encoding="utf-8", errors="replace")
    try:
        assert len(read_published(path)) >= 1
    except SrqError as error:
        assert str(error).isprintable()


# What comes with the project


def test_table_3_is_there_in_full() -> None:
    scores = [score for score in read_published(COMMITTED) if score.source == "arXiv 2406.06649 Table 3"]
    sets, cells = 5, 3 * 3  # of scales and bit-widths
    assert Counter(score.row for score in scores if score.model == "swinir-light") == {
        "FP": 3 * sets,
        "bilinear": 3 * sets,
        **dict.fromkeys(["minmax", "percentile", "dbdc+pac", "dobi", "2dquant"], sets * cells),
    }
    assert Counter((score.row, score.scale) for score in scores if score.model == "edsr") == {
        ("dbdc+pac", 2): 4,
        ("dbdc+pac", 4): 4,
    }


def test_the_scores_that_the_ablation_prints() -> None:
    """Table 4, on Set5 x2 at 4 bits, of which all but one row are in Table 3 as well."""
    found = {
        score.row: score.psnr
        for score in read_published(COMMITTED)
        if (score.model, score.scale, score.bits, score.dataset) == ("swinir-light", 2, 4, "Set5")
    }
    assert found == {
        "minmax": 34.39, "percentile": 37.37, "dbdc+pac": 37.18, "dobi": 37.44, "minmax+dqc": 37.32, "2dquant": 37.87,
    }  # fmt: skip


def test_no_score_is_there_twice() -> None:
    keys = [(s.model, s.scale, s.bits, s.scope, s.row, s.dataset) for s in read_published(COMMITTED)]
    assert len(keys) == len(set(keys)) == 264 + 15


def test_the_row_called_bicubic_is_the_bilinear_one() -> None:
    scores = {
        s.scale: (s.psnr, s.ssim) for s in read_published(COMMITTED) if (s.row, s.dataset) == ("bilinear", "Set5")
    }
    assert scores == {2: (32.25, 0.9118), 3: (29.54, 0.8516), 4: (27.56, 0.7896)}
    assert {s.method for s in read_published(COMMITTED) if s.row == "bilinear"} == {"Bicubic (really bilinear)"}


def test_hashes_of_official_weights() -> None:
    assert all(len(sha) == 64 and set(sha) <= set("0123456789abcdef") for sha in OFFICIAL_WEIGHTS)
