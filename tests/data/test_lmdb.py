"""LMDB folders: what is written, and which ones are refused."""

from __future__ import annotations

import lmdb
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import noise, write_images

from sr_ptq_bench.data import lmdb as lmdb_store
from sr_ptq_bench.data.images.header import Size
from sr_ptq_bench.data.images.pixels import decode, encode_png, read_image
from sr_ptq_bench.data.lmdb import check_lmdb, parse_meta, read_entry, write_lmdb
from sr_ptq_bench.errors import SrqError


def put(folder, key, value):
    """Replace one entry of an LMDB."""
    with lmdb.open(str(folder), map_size=2**24) as env, env.begin(write=True) as transaction:
        transaction.put(key.encode(), value)


@pytest.fixture
def store(tmp_path):
    """An LMDB of three images."""
    write_lmdb(write_images(tmp_path / "images", a=(8, 6), b=(10, 12), c=(5, 5)), tmp_path / "s.lmdb")
    return tmp_path / "s.lmdb"


def test_what_is_written_is_read_back(store, tmp_path):
    assert check_lmdb(store) == {"a": Size(8, 6), "b": Size(10, 12), "c": Size(5, 5)}
    assert (store / "meta_info.txt").read_text() == "a.png (8,6,3) 1\nb.png (10,12,3) 1\nc.png (5,5,3) 1\n"
    for key in "abc":
        assert np.array_equal(decode(read_entry(store, key), key), read_image(tmp_path / "images" / f"{key}.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "s.lmdb"]


def test_grey_images_and_jpegs_are_packed_as_rgb(tmp_path):
    (tmp_path / "images").mkdir()
    PIL.Image.fromarray(noise(6, 4)[:, :, 0]).save(tmp_path / "images" / "grey.png")
    PIL.Image.fromarray(noise(6, 4)).save(tmp_path / "images" / "photo.jpg")
    assert write_lmdb(tmp_path / "images", tmp_path / "s.lmdb") == 2
    for name in ("grey.png", "photo.jpg"):
        pixels = decode(read_entry(tmp_path / "s.lmdb", name.partition(".")[0]), name)
        assert np.array_equal(pixels, read_image(tmp_path / "images" / name))


def test_the_map_holds_images_far_larger_than_the_first(tmp_path):
    sizes = {"a": (1, 1)} | {f"b{number}": (900, 900) for number in range(9)}
    assert write_lmdb(write_images(tmp_path / "mixed", **sizes), tmp_path / "s.lmdb") == 10
    assert len(check_lmdb(tmp_path / "s.lmdb")) == 10


def test_more_images_than_one_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_store, "_IMAGES_PER_COMMIT", 2)
    write_lmdb(write_images(tmp_path / "images", **{f"i{number}": (4, 4) for number in range(5)}), tmp_path / "s.lmdb")
    assert len(check_lmdb(tmp_path / "s.lmdb")) == 5


def test_an_existing_destination_is_an_error_and_stays(tmp_path):
    source = write_images(tmp_path / "images", a=(4, 4))
    (tmp_path / "s.lmdb").mkdir()
    (tmp_path / "s.lmdb" / "mine").touch()
    with pytest.raises(SrqError, match=r"s\.lmdb exists already"):
        write_lmdb(source, tmp_path / "s.lmdb")
    assert [path.name for path in (tmp_path / "s.lmdb").iterdir()] == ["mine"]


def test_equal_base_names_are_named(tmp_path):
    for name in ("a.png", "a.bmp"):
        PIL.Image.fromarray(noise(4, 4)).save(tmp_path / name)
    with pytest.raises(SrqError, match=r"a\.bmp and a\.png have the same base name"):
        write_lmdb(tmp_path, tmp_path / "s.lmdb")


@pytest.mark.parametrize("name", ["a.b", "größe", "a\\b", "a\tb"])
def test_names_that_basicsr_would_mangle_are_refused(tmp_path, name):
    with pytest.raises(SrqError, match="cannot be an LMDB key"):
        write_lmdb(write_images(tmp_path / "images", **{name: (4, 4)}), tmp_path / "s.lmdb")


def test_destinations_that_cannot_be_are_refused(tmp_path):
    source = write_images(tmp_path / "images", a=(4, 4))
    with pytest.raises(SrqError, match=r"use out\.lmdb"):
        write_lmdb(source, tmp_path / "out")
    with pytest.raises(SrqError, match="no such folder"):
        write_lmdb(source, tmp_path / "missing" / "out.lmdb")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), lmdb.MapFullError])
def test_nothing_is_left_behind_by_a_failure(tmp_path, monkeypatch, error):
    source = write_images(tmp_path / "images", a=(4, 4), b=(4, 4))

    def fail(image, level):
        raise error

    monkeypatch.setattr(lmdb_store, "encode_png", fail)
    expected = KeyboardInterrupt if error is KeyboardInterrupt else SrqError
    with pytest.raises(expected):
        write_lmdb(source, tmp_path / "s.lmdb")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_damaged_image_leaves_nothing_behind(tmp_path):
    source = write_images(tmp_path / "images", a=(40, 40), b=(40, 40))
    whole = (source / "b.png").read_bytes()
    (source / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SrqError, match=r"b\.png: not an image or damaged"):
        write_lmdb(source, tmp_path / "s.lmdb")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a.png",
        "a.png (4,4,3)",
        "a.png (4,4,4) 1",
        "a.png (4,4) 1",
        "a.png (-4,4,3) 1",
        "a.png (4, 4, 3) 1",
        "../a.png (4,4,3) 1",
        "/etc/passwd (4,4,3) 1",
        "b/a.png (4,4,3) 1",
        "b\\a.png (4,4,3) 1",
        "ä.png (4,4,3) 1",
        ".png (4,4,3) 1",
        "a.b.png (4,4,3) 1",
        "a.png (٤,4,3) 1",
        "a" * 300 + ".png (4,4,3) 1",
        "a.png (" + "9" * 5000 + ",4,3) 1",
        "a.png (4,4,3) 1 ",
    ],
)
def test_bad_meta_lines_are_shown(line):
    with pytest.raises(SrqError, match=r"meta: line 2 is .*; expected 'key.png"):
        parse_meta(f"ok.png (4,4,3) 1\n{line}\n", "meta")


def test_bad_sizes_repeated_keys_and_nothing_are_refused():
    with pytest.raises(SrqError, match="line 1 says 0x4 pixels"):
        parse_meta("a.png (4,0,3) 1\n", "meta")
    with pytest.raises(SrqError, match="line 1 says 9999999x9999999 pixels"):
        parse_meta("a.png (9999999,9999999,3) 1", "meta")
    with pytest.raises(SrqError, match="line 2 repeats the key 'a'"):
        parse_meta("a.png (4,4,3) 1\na.png (4,4,3) 1\n", "meta")
    with pytest.raises(SrqError, match="names no images"):
        parse_meta("", "meta")


@given(st.text(st.sampled_from("ab.png (),0123/\\\n\r\0é")))
def test_meta_lines_are_sizes_or_one_line_of_error(text):
    try:
        sizes = parse_meta(text, "meta")
    except SrqError as error:
        assert "\n" not in str(error)
    else:
        assert list(sizes) == [line.split(".")[0] for line in text.removesuffix("\n").split("\n")]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9_ -]{1,20}", fullmatch=True),
        st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    )
)
def test_meta_lines_of_basicsr_are_understood(sizes):
    text = "".join(f"{key}.png ({height},{width},3) 1\n" for key, (height, width) in sizes.items())
    if sizes:
        assert parse_meta(text, "meta") == sizes


def test_folders_that_are_no_lmdb_are_refused(tmp_path):
    with pytest.raises(SrqError, match="no readable meta_info"):
        check_lmdb(tmp_path)
    (tmp_path / "meta_info.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SrqError, match="no readable meta_info"):
        check_lmdb(tmp_path)
    (tmp_path / "meta_info.txt").write_text("a.png (4,4,3) 1\n")
    with pytest.raises(SrqError, match=r"no data\.mdb"):
        check_lmdb(tmp_path)
    for content in (b"", b"x" * 10000):
        (tmp_path / "data.mdb").write_bytes(content)
        with pytest.raises(SrqError, match=r"not an LMDB or damaged|truncated"):
            check_lmdb(tmp_path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_truncated_store_is_refused_instead_of_killing_the_process(tmp_path, keep):
    write_lmdb(write_images(tmp_path / "images", a=(100, 100), b=(100, 100)), tmp_path / "s.lmdb")
    data = (tmp_path / "s.lmdb" / "data.mdb").read_bytes()
    (tmp_path / "s.lmdb" / "data.mdb").write_bytes(data[: int(keep * len(data))])
    with pytest.raises(SrqError, match=r"truncated|damaged"):
        check_lmdb(tmp_path / "s.lmdb")


def test_entries_that_differ_from_their_line_are_refused(store):
    put(store, "b", encode_png(noise(4, 4)))
    with pytest.raises(SrqError, match=r"s\.lmdb\[b\]: 4x4 pixels, meta_info.txt says 12x10"):
        check_lmdb(store)


def test_missing_entries_are_named(store):
    with (store / "meta_info.txt").open("a") as file:
        file.write("d.png (4,4,3) 1\n")
    with pytest.raises(SrqError, match=r"meta_info\.txt names 'd', data\.mdb lacks it"):
        check_lmdb(store)


def test_entries_without_a_line_are_refused(store):
    meta = store / "meta_info.txt"
    first, *others = meta.read_text().splitlines(keepends=True)
    assert others
    meta.write_text(first)
    count = 1 + len(others)
    with pytest.raises(SrqError, match=rf"data\.mdb has {count} images, meta_info\.txt names 1; write it again$"):
        check_lmdb(store)


@pytest.mark.parametrize(("mode", "what"), [("RGBA", "alpha"), ("P", "palette"), ("I;16", "16-bit")])
def test_other_modes_are_refused_inside_too(store, tmp_path, mode, what):
    image = (
        PIL.Image.fromarray(noise(8, 6)) if mode != "I;16" else PIL.Image.fromarray(noise(8, 6)[..., 0] * np.uint16(9))
    )
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "odd.png")
    put(store, "a", (tmp_path / "odd.png").read_bytes())
    with pytest.raises(SrqError, match=rf"s\.lmdb\[a\]: .*{what}"):
        check_lmdb(store)
