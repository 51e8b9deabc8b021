"""Files and folders as users name and keep them: `~`, byte order marks, line ends of Windows, hidden files of macOS."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner

from sr_ptq_bench.cli.commands.run import run as run_command
from sr_ptq_bench.cli.commands.table import table
from sr_ptq_bench.protocol.request import with_tests
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.storage.home import default_home, expanded
from sr_ptq_bench.sweep.grid import SweepFile
from sr_ptq_bench.tables.published_scores import read_published

COMMITTED = Path(__file__).parents[2] / "leaderboards"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home of the user."""
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me").mkdir()
    return tmp_path / "me"


def test_the_home_of_srq(home, monkeypatch):
    monkeypatch.setenv("SRQ_HOME", "~/srq")
    assert default_home() == home / "srq"


def test_an_unknown_user_s_home_stays_as_it_is():
    assert expanded("~nobody-here/x") == Path("~nobody-here/x")
    assert with_tests(Suite.load("sample"), ("a=~nobody-here/x",)).test["a"].hr == Path("~nobody-here/x")


def test_paths_in_a_suite_and_in_a_sweep(home):
    suite = tiny.TinySuite.write(home / "suite")
    source = {"hr": "~/HR/{name}.png", "lr": "~/LR"}
    path = suite.change(weights={"2": "~/w.pth"}, networks={"other": {"4": "~/o.pth"}}, test={"mine": source})
    (home / "sweep.toml").write_text('suite = "~/suite/suite.toml"\nplugins = ["~/plugin.py"]\n')
    for loaded in (Suite.load(str(path)), Suite.load("~/suite/suite.toml")):
        assert loaded.weights == {2: home / "w.pth"}
        assert loaded.networks == {"other": {4: home / "o.pth"}}
        assert (loaded.test["mine"].hr, loaded.test["mine"].lr) == (home / "HR/{name}.png", str(home / "LR"))
    sweep = SweepFile.load(home / "sweep.toml")
    assert (sweep.suite, sweep.plugins) == (str(home / "suite/suite.toml"), (home / "plugin.py",))


def test_out_and_plugins_of_a_run(home):
    tiny.TinySuite.write(home / "suite")
    (home / "plugin.py").write_bytes(tiny.FILE.read_bytes())
    words = (
        "--method minmax --bits 4 --scale 2 --suite=~/suite/suite.toml --plugin=~/plugin.py --out=~/out --device cpu"
    )
    done = CliRunner().invoke(run_command, words.split(), catch_exceptions=False)
    assert done.exit_code == 0
    assert len(list((home / "out/results/tiny").glob("*.json"))) == 1
    assert sorted(path.name for path in home.parent.iterdir()) == ["home", "me"]


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_a_suite_and_a_sweep_with_a_byte_order_mark(tmp_path, mark):
    suite = tiny.TinySuite.write(tmp_path)
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-8"
    expected, text = Suite.load(str(suite.path)), suite.path.read_text()
    suite.path.write_bytes(mark + text.replace("\n", "\r\n").encode(encoding))
    assert Suite.load(str(suite.path)) == expected
    (tmp_path / "sweep.toml").write_bytes(mark + 'methods = ["minmax"]\r\n'.encode(encoding))
    assert SweepFile.load(tmp_path / "sweep.toml").methods == ("minmax",)


@pytest.mark.parametrize("delimiter", ["; BOM", "\t"])
def test_published_scores_that_a_spreadsheet_saved(tmp_path, delimiter):
    """With the decimal comma of half the world."""
    import csv

    expected = read_published(COMMITTED / "published.csv")
    with (COMMITTED / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / "published.csv"
    encoding = "utf-8-sig" if "BOM" in delimiter else "utf-16"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter[0])
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {key: row[key].replace(".", ",") for key in ("psnr", "ssim")})
        file.write(delimiter[0] * (len(rows[0]) - 1) + "\r\n")
    assert read_published(path) == expected


def copied(source: Path, destination: Path, change: bytes) -> None:
    """A checkout in which git has ended every line so."""
    for path in source.rglob("*"):
        if path.suffix in (".md", ".json", ".csv"):
            target = destination / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes().replace(b"\n", change))


@pytest.mark.parametrize("published", [[], ["--published"]])
def test_tables_of_a_checkout_on_windows_are_current(tmp_path, published):
    copied(COMMITTED, tmp_path / "boards", b"\r\n")
    done = CliRunner().invoke(table, ["--check", "--out", str(tmp_path / "boards"), *published], catch_exceptions=False)
    assert (done.exit_code, done.output[-10:]) == (0, "up to date\n"[-10:])


def test_hidden_files_beside_records_and_tables_do_not_matter(tmp_path):
    copied(COMMITTED, tmp_path / "boards", b"\n")
    for path in [*(tmp_path / "boards").rglob("*.json"), *(tmp_path / "boards").rglob("*.md")]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + b"<!-- Made by `srq table")
    for folder in (".ipynb_checkpoints", ".git"):
        (tmp_path / "boards/results" / folder).mkdir()
        (tmp_path / "boards/results" / folder / "x.json").write_text("{}")
    done = CliRunner().invoke(table, ["--check", "--out", str(tmp_path / "boards")], catch_exceptions=False)
    assert done.exit_code == 0
