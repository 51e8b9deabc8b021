"""Archives from the network: what is unpacked stays in its folder, and what is refused leaves nothing."""

from __future__ import annotations

import io
import stat
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.library import archives
from sr_ptq_bench.library.archives import unpack

KINDS = ["zip", "tar", "tar.gz"]
FILES = {"Set/HR/a.png": b"A" * 3000, "Set/HR/b.png": b"", "Set/LR/X2/a.png": b"a", "readme.txt": b"hello"}


def packed(path: Path, files: list[tuple[str, bytes]]) -> Path:
    """An archive of the kind that its name says, with any names."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                info = zipfile.ZipInfo("x")
                info.filename = name  # as it is, without zipfile's own cleaning
                with warnings.catch_warnings(action="ignore"):  # of a name that is there already
                    archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in files:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: Path, destination: Path) -> str:
    """The refusal of an archive that leaves nothing."""
    with pytest.raises(SrqError) as caught:
        unpack(archive, destination)
    assert not destination.exists()
    assert "\n" not in str(caught.value)
    assert str(archive) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_unpacked(tmp_path, kind):
    archive = packed(tmp_path / f"a.{kind}", list(FILES.items()))
    assert unpack(archive, tmp_path / "out") == 4
    assert files_of(tmp_path / "out") == FILES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inside", "expected"), [("Set/HR", 2), ("Set", 3), ("Se", 0), ("nowhere", 0)])
def test_one_folder_is_unpacked(tmp_path, kind, inside, expected):
    archive = packed(tmp_path / f"a.{kind}", list(FILES.items()))
    assert unpack(archive, tmp_path / "out", inside) == expected
    assert files_of(tmp_path / "out") == {name: of for name, of in FILES.items() if name.startswith(f"{inside}/")}


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_folders_as_tools_pack_them(tmp_path, kind):
    (tmp_path / "in" / "Set" / "empty").mkdir(parents=True)
    (tmp_path / "in" / "Set" / "a.png").write_bytes(b"A")
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in (tmp_path / "in").rglob("*"):
                file.write(path, path.relative_to(tmp_path / "in"))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "in", ".")
    assert unpack(archive, tmp_path / "out") == 1
    assert files_of(tmp_path / "out") == {"Set/a.png": b"A"}


def test_a_tar_file_that_ends_with_a_zip_file_is_a_tar_file(tmp_path):
    inner = packed(tmp_path / "inner.zip", [("x", b"x")])
    assert unpack(packed(tmp_path / "a.tar", [("inner.zip", inner.read_bytes())]), tmp_path / "out") == 1
    assert list(files_of(tmp_path / "out")) == ["inner.zip"]


ESCAPES = [
    "../evil", "a/../../evil", "/evil", "//evil", "..", "C:/evil", "C:evil", "..\\evil", "a\nb", "file:x", "",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, kind, name):
    archive = packed(tmp_path / f"a.{kind}", [("fine", b"1"), (name, b"2")])
    assert "is refused: it names the place " in refused(archive, tmp_path / "out" / "inner")
    assert not list(tmp_path.rglob("*evil*"))


def can_be_packed(name: str) -> bool:
    """Whether the libraries that write archives take this name as it is."""
    return len(name) < 60 and not any("\ud800" <= c <= "\udfff" for c in name)


parts = st.sampled_from(["..", ".", "", "a", "b", "/", "C:", "\\", "é", "~", " ", "\t", "CON"]) | st.text(max_size=4)
names = st.lists(parts, min_size=1, max_size=5).map("/".join).filter(can_be_packed)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(kind=st.sampled_from(KINDS), listed=st.lists(names, min_size=1, max_size=4), inside=st.sampled_from(["", "a"]))
@example("zip", [""], "")
@example("zip", ["../x"], "")
@example("tar", ["a", "a/b"], "")
@example("tar", ["a/b", "a"], "")
def test_no_names_reach_outside(tmp_path_factory, kind, listed, inside):
    folder = tmp_path_factory.mktemp("any")
    archive = packed(folder / f"archive.{kind}", [(name, b"content") for name in listed])
    before = set(folder.rglob("*"))
    try:
        count = unpack(archive, folder / "deep" / "out", inside)
    except SrqError as error:
        assert "\n" not in str(error)
        assert set(folder.rglob("*")) - before == {folder / "deep"}
        return
    new = set(folder.rglob("*")) - before - {folder / "deep", folder / "deep" / "out"}
    assert all(path.is_relative_to(folder / "deep" / "out" / inside) for path in new if path.is_file())
    assert sum(path.is_file() for path in new) == count
    assert not any(path.is_symlink() for path in new)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_device_in_a_tar_file_is_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("innocent")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert "'innocent' is a link or a device" in refused(tmp_path / "a.tar", tmp_path / "out")


def test_a_link_in_a_zip_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("innocent")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert "'innocent' is a link or a device" in refused(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", ["x/a", "x//a", "./x/a"])
def test_a_file_named_twice_is_refused(tmp_path, kind, again):
    archive = packed(tmp_path / f"a.{kind}", [("x/a", b"1"), (again, b"2")])
    assert f"it names '{again}' twice" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_absurd_size_is_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 10_000)
    archive = packed(tmp_path / f"a.{kind}", [("small", b"1"), ("zeros", bytes(10**6))])
    assert archive.stat().st_size < 5000
    assert "is refused: it unpacks to more than " in refused(archive, tmp_path / "out")


def test_many_files_of_an_absurd_sum_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 10_000)
    archive = packed(tmp_path / "a.tar.gz", [(f"zeros{i}", bytes(10**5)) for i in range(10)])
    assert "is refused: it unpacks to more than " in refused(archive, tmp_path / "out")


def test_a_zip_file_that_lies_about_a_size_is_damaged(tmp_path):
    archive = packed(tmp_path / "a.zip", [("zeros", bytes(10**6))])
    content = archive.read_bytes()
    archive.write_bytes(content.replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "damaged" in refused(archive, tmp_path / "out")


def test_an_encrypted_zip_file_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", [("a", b"content")])
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "encrypted" in refused(archive, tmp_path / "out")


def test_a_name_that_is_no_text_is_damage(tmp_path):
    archive = packed(tmp_path / "a.zip", [("é", b"content")])
    archive.write_bytes(archive.read_bytes().replace("é".encode(), b"\xff\xff"))
    assert "damaged" in refused(archive, tmp_path / "out")


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_damage_is_an_error_of_srq_or_does_no_harm(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("damaged")
    archive = packed(folder / f"a.{kind}", list(FILES.items()))
    content = bytearray(archive.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    try:
        unpack(archive, folder / "out")
    except SrqError as error:
        assert "\n" not in str(error)
        assert not (folder / "out").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04", b"\x1f\x8b garbage"])
def test_what_is_no_archive_is_named(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    assert "no zip or tar file, or damaged" in refused(tmp_path / "a.zip", tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    archive = packed(tmp_path / "a.zip", [("a", b"1"), ("a/b", b"2")])
    assert f"cannot unpack {archive} into {tmp_path / 'out'}: " in refused(archive, tmp_path / "out")
