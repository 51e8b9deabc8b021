"""`srq table --published` sets tables beside published scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from table_calls import call, record, refusal, store, written

PUBLISHED = """\
source,backbone,scale,bits,method,dataset,psnr,ssim,model,scope,row
A paper,SwinIR-light,2,4,MinMax,Set5,34.39,0.9202,swinir-light,linear,minmax
"""


def publish(text: str = PUBLISHED) -> Path:
    path = Path("leaderboards/published.csv")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_published_scores_have_a_page_of_their_own(home: Path) -> None:
    store(record(), record(scale=3))
    publish()
    result = call("--published")
    assert result.exit_code == 0, result.output
    assert written(home) == ["leaderboards/sample/swinir-light-x2-published.md"]
    text = (home / "leaderboards/sample/swinir-light-x2-published.md").read_text()
    assert result.stdout == f"leaderboards/sample/swinir-light-x2-published.md\n\n{text}\n"
    assert " 30.00 / 0.9000 |" in text
    assert "34.39 / 0.9202" in text
    assert "-4.39 / -0.0202" in text
    assert "Not a reproduction" in text


def test_published_scores_in_other_formats(home: Path) -> None:
    store(record())
    publish()
    line = next(line for line in json.loads(call("--published", "--format", "json").stdout) if line["scope"])
    assert line["psnr_measured"] == 30
    assert line["psnr_published"] == 34.39
    assert line["official_weights"] is False
    assert written(home) == []


def test_both_kinds_of_pages_are_checked_apart(home: Path) -> None:
    store(record())
    publish()
    call()
    assert call("--check").exit_code == 0
    name = "leaderboards/sample/swinir-light-x2-published.md"
    assert refusal("--check", "--published") == f"{name} is missing; renew with `srq table --published`"
    call("--published")
    assert call("--check").stdout == call("--check", "--published").stdout == "1 table up to date\n"
    publish(PUBLISHED.replace("34.39", "34.40"))
    assert call("--check").exit_code == 0
    assert refusal("--check", "--published") == f"{name} is stale; renew with `srq table --published`"


@pytest.mark.usefixtures("home")
def test_no_published_scores_of_what_was_measured() -> None:
    store(record(scale=4))
    publish()
    assert refusal("--published") == ("no published scores for these networks and test sets; published test sets: Set5")


@pytest.mark.usefixtures("home")
def test_published_scores_that_are_missing_or_wrong() -> None:
    store(record())
    assert "no published scores for these networks and test sets" not in call("--published").output
    path = publish(PUBLISHED.replace("34.39", "high"))
    assert refusal("--published").startswith(f"published scores {path}, line 2: psnr: Input should be a valid number")
