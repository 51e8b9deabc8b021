"""Files of figures: their kinds, the same figure the same file, and no half-written ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sr_ptq_bench import SrqError
from sr_ptq_bench.plots.canvas import COLOURS, MARKERS, QUIET, check_suffix, colour, head, marker, panels, save, styled


@styled
def drawn():
    figure, (axes,) = panels(1, 1, 2, 2)
    axes.plot([0, 1], [0, 1], label="line")
    return figure


@pytest.mark.parametrize(
    ("name", "magic"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("A.PNG", b"\x89PNG")]
)
def test_the_suffix_says_the_kind_and_the_same_figure_is_the_same_file(tmp_path, name, magic):
    files = [tmp_path / folder / name for folder in "xy"]
    for path in files:
        save(drawn(), path)
    assert files[0].read_bytes().startswith(magic)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", ["a.jpg", "a", "png", ".png.txt"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(SrqError, match=r"expected a name that ends in \.png, \.pdf, \.svg"):
        check_suffix(tmp_path / name)


def test_nothing_is_left_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SrqError, match="cannot write"):
        save(drawn(), tmp_path / "file" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3)), (7, (3, 3))])
def test_panels_fill_rows(count, shape):
    figure, axes = panels(count, 3, 2, 1)
    assert len(axes) == len(figure.axes) == count
    assert tuple(figure.get_size_inches()) == (2 * shape[1], shape[0])


@pytest.mark.parametrize(
    ("label", "below"), [("dobi", False), ("2dquant (dobi.preset=official, dqc.preset=paper)", True)]
)
def test_a_legend_of_long_texts_stands_below_and_takes_no_width_from_the_panel(label, below):
    figure, (axes,) = panels(1, 1, 6, 3)
    axes.plot([0, 1], [0, 1], label=label)
    head(figure, "title", axes)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = axes.get_position()
    assert (legend.get_window_extent().y1 < axes.get_window_extent().y0) == below
    assert box.width > 0.6
    assert figure.get_size_inches()[1] == pytest.approx(3 + 0.2 * below)


@pytest.mark.parametrize("width", [4.6, 9.2])
def test_long_words_leave_neither_the_figure_nor_the_panel_without_room(width):
    long = "method_of_a_name_without_any_break_" * 4
    figure, (axes,) = panels(1, 1, width, 3)
    axes.plot([0, 1], [0, 1], label=long)
    head(figure, long, axes)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    for text in (legend, *figure.texts, figure._suptitle):
        box = text.get_window_extent()
        assert (box.x0 >= 0, box.x1 <= 100 * width) == (True, True)
    assert figure._suptitle.get_text().replace("\n", "") == long
    assert axes.get_window_extent().height > 150


def test_series_have_colours_and_markers_of_their_own():
    assert len(set(COLOURS)) == len(set(MARKERS)) == len(COLOURS) == 8
    assert (colour(8), marker(8)) == (COLOURS[0], MARKERS[1])


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["#ffffff", "#15181c"], ids=["light", "dark"])
def test_lines_stand_out_from_a_light_and_from_a_dark_page(page):
    for line in (*COLOURS, QUIET):
        darker, lighter = sorted((luminance(line), luminance(page)))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, line


def test_figures_change_no_setting_of_the_process():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_there_is_one_clear_line():
    code = (
        "import sys; sys.modules['matplotlib'] = None; from sr_ptq_bench.cli import main; "
        "sys.argv[1:] = 'plot psnr --scale 2 --out a.png'.split(); main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'srq: figures need matplotlib; install it with `pip install "sr_ptq_bench[plot]"`\n'


def test_no_two_of_64_series_look_alike():
    assert len({(colour(index), marker(index)) for index in range(64)}) == 64
