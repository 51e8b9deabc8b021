"""Archives as people and tools pack them, and those that are meant to exhaust."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from refusals import error_of
from tiny import noise

from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.pixels import encode_png
from sr_ptq_bench.data.make_lr import write_lr
from sr_ptq_bench.data.resize import downscale
from sr_ptq_bench.library.archives import unpack
from sr_ptq_bench.library.library import Library
from sr_ptq_bench.library.registry import ImageSet, Registry
from sr_ptq_bench.progress import SILENT
from sr_ptq_bench.protocol.suite import DataSource

NAMES = {"a": "17x14", "b": "12x24"}


@pytest.fixture
def library(tmp_path):
    common = {"count": 2, "home": "https://home", "what": "the images", "terms": "for research", "names": NAMES}
    two = ImageSet(**common, archive="https://home/all.zip", folder="benchmark/Two")
    return Library(tmp_path / "home", SILENT, Registry(weights={}, images={"Two": two}))


@pytest.fixture
def images() -> dict[str, bytes]:
    return {"a.png": encode_png(noise(14, 17)), "b.png": encode_png(noise(24, 12))}


@pytest.fixture
def small() -> dict[str, bytes]:
    """LR images under the names of HR images."""
    pixels = {"a.png": noise(14, 16), "b.png": noise(24, 12)}
    return {name: encode_png(downscale(image, 2)) for name, image in pixels.items()}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is, without zipfile's own cleaning
            archive.writestr(info, content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    modes = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}
    with tarfile.open(path, modes.get(path.suffix, "w"), format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


PACKED: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "zip": zipped, "tar": tarred, "tar.gz": tarred, "tar.bz2": tarred, "tar.xz": tarred,
}  # fmt: skip
PLACES = ["", "Two/", "Two/HR/", "benchmark/Two/HR/", "benchmark/Two/", "my photos/Two_HR/", "./", "Two\\HR\\", "HR\\"]


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("place", PLACES)
def test_a_set_is_found_by_the_names_of_its_images(tmp_path, library, images, kind, place):
    files = {place + name: content for name, content in images.items()}
    beside = {f"__MACOSX/{place}._a.png": b"\0\5\x16\7", "readme.txt": b"hello"}
    library.add("Two", PACKED[kind](tmp_path / f"x.{kind}", files | beside))
    (tmp_path / "plain").mkdir()
    for name, content in images.items():
        (tmp_path / "plain" / name).write_bytes(content)
    there = load_dataset("x", DataSource(datasets=("Two",)), 2, library.images)
    assert there.sha256 == load_dataset("x", DataSource(hr=tmp_path / "plain"), 2).sha256
    assert sorted(path.name for path in library.home.iterdir()) == ["images"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_lr_images_of_the_same_names_are_told_by_their_sizes(tmp_path, library, images, small, kind):
    files = {f"a small/{name}": content for name, content in small.items()}
    files |= {f"ground truth/{name}": content for name, content in images.items()}
    library.add("Two", PACKED[kind](tmp_path / f"x.{kind}", files))
    assert load_dataset("x", DataSource(datasets=("Two",)), 2, library.images).lr_sizes == ((7, 8), (12, 6))


def test_a_folder_is_searched_as_an_archive_is(tmp_path, library, images):
    for name, content in images.items():
        path = tmp_path / "mine" / "Two" / "GT" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_lr(tmp_path / "mine" / "Two" / "GT", tmp_path / "mine" / "Two" / "LR_bicubic" / "X2", 2)
    said: list[str] = []
    reporter = type("", (), {"say": staticmethod(said.append), "stage": staticmethod(SILENT.stage)})()
    Library(library.home, reporter, library.registry).add("Two", tmp_path / "mine")
    assert said[0] == "Two LR x2: as given, all MATLAB's bicubic to the bit"


def test_an_archive_of_something_else_is_named_and_leaves_nothing(tmp_path, library, images):
    archive = zipped(tmp_path / "x.zip", {"notes/readme.txt": b"hello"})
    assert error_of(library.add, "Two", archive).startswith(f"{archive}: no images in this folder, nor in one below it")
    archive = zipped(tmp_path / "y.zip", {"c.png": images["a.png"]})
    assert error_of(library.add, "Two", archive) == "Two has no image 'c'; its images match a, b"
    assert not list(library.home.rglob("*.png"))
    assert not list(library.home.glob(".srq-*"))


@pytest.mark.parametrize("name", ["..\\evil", "a\\..\\..\\evil", "\\evil", "C:\\evil", "\\\\host\\evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_backslashes_lead_nowhere_else(tmp_path, kind, name):
    archive = PACKED[kind](tmp_path / f"x.{kind}", {name: b"evil"})
    assert "is refused: it names the place" in error_of(unpack, archive, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*evil*"))


# Archives that are meant to exhaust


def packed_header(path: Path, kind: bytes, size: int) -> None:
    """A member whose header goes on for `size` bytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    with gzip.open(path, "wb", 1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size // 2**20):
            file.write(b"a" * 2**20)
        file.write(tarfile.TarInfo("x").tobuf() + bytes(1024))


def packed_chain(path: Path, kind: bytes, size: int) -> None:
    """Many headers of 64 KiB before one member, each a sound one of its kind."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 2**16
    content = b"65536 comment=".ljust(2**16 - 1, b"a") + b"\n"  # a name, and a record of pax
    with gzip.open(path, "wb", 1) as file:
        for _ in range(size // 2**16):
            file.write(info.tobuf(tarfile.GNU_FORMAT) + content)
        file.write(tarfile.TarInfo("x").tobuf() + bytes(1024))


def packed_each(path: Path, _kind: bytes, size: int) -> None:
    """A megabyte of pax headers, with keys of their own, before each member."""
    with gzip.open(path, "wb", 1) as file:
        for number in range(size // 2**20):
            record = b"1000000 key%06d=" % number
            record += b"a" * (1_000_000 - len(record) - 1) + b"\n"
            info = tarfile.TarInfo("x")
            info.type, info.size = tarfile.XHDTYPE, len(record)
            file.write(info.tobuf(tarfile.GNU_FORMAT) + record + bytes(-len(record) % 512))
            file.write(tarfile.TarInfo(f"x{number}").tobuf())
        file.write(bytes(1024))


def unpacked_in(archive: Path, destination: Path) -> tuple[str, int]:
    """The refusal, and the bytes of memory that it took at most."""
    tracemalloc.start()
    try:
        message = error_of(unpack, archive, destination)
        return message, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("write", [packed_header, packed_chain, packed_each])
@pytest.mark.parametrize(
    "kind",
    [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE],
)
def test_no_header_claims_memory(tmp_path, write, kind):
    write(tmp_path / "x.tar.gz", kind, 80 * 2**20)
    message, memory = unpacked_in(tmp_path / "x.tar.gz", tmp_path / "out")
    assert "is refused" in message
    assert memory < 8 * 2**20
    assert not (tmp_path / "out").exists()


def test_the_list_of_a_zip_file_claims_no_memory(tmp_path):
    """The end of the file says that the list of members is nearly all of it."""
    archive = zipped(tmp_path / "x.zip", {"a": bytes(30 * 2**20)})
    content = bytearray(archive.read_bytes())
    end = content.rindex(b"PK\5\6")
    content[end + 12 : end + 20] = (end - 8).to_bytes(4, "little") + (8).to_bytes(4, "little")
    archive.write_bytes(content)
    del content
    message, memory = unpacked_in(archive, tmp_path / "out")
    assert "it claims headers that are larger than any of their kind" in message
    assert memory < 8 * 2**20


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_the_number_of_members_is_limited(tmp_path, kind):
    archive = PACKED[kind](tmp_path / f"x.{kind}", {f"f{number}": b"" for number in range(50_000)})
    message, memory = unpacked_in(archive, tmp_path / "out")
    assert "is refused: it has more than " in message
    assert memory < 64 * 2**20
    assert not (tmp_path / "out").exists()


def test_many_members_of_some_size_are_unpacked(tmp_path):
    files = {f"f{number}.png": os.urandom(200) for number in range(2000)}
    assert unpack(tarred(tmp_path / "x.tar", files), tmp_path / "out") == 2000


def test_long_names_and_attributes_of_honest_tools_are_read(tmp_path):
    name = "/".join(["folder" * 10] * 4) + "/a.png"
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for each in (name, "é" * 60 + ".png"):
            info = tarfile.TarInfo(each)
            info.pax_headers = {"SCHILY.xattr.user.comment": "x" * 5000}
            archive.addfile(info, io.BytesIO(b""))
    assert unpack(tmp_path / "x.tar", tmp_path / "out") == 2
    assert (tmp_path / "out" / name).is_file()


# A killed import


SCRIPT = """
import sys, time
from pathlib import Path
from sr_ptq_bench.library import import_set
from sr_ptq_bench.library.library import Library
from sr_ptq_bench.library.registry import ImageSet, Registry
from sr_ptq_bench.progress import SILENT
names = {"a": "17x14", "b": "12x24"}
two = ImageSet(count=2, home="https://home", what="", terms="", names=names)
def stop(*_):
    print("there", flush=True)
    time.sleep(60)
import_set._pack_lr = stop
home, source = map(Path, sys.argv[1:])
Library(home, SILENT, Registry(weights={}, images={"Two": two})).add("Two", source)
"""


def test_what_a_killed_import_left_is_removed_by_the_next(tmp_path, library, images):
    archive = zipped(tmp_path / "x.zip", images)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, library.home, archive], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        places = [library.home, library.images]
        left = [path for place in places for path in place.glob(".srq-*") if path.is_dir()]
        assert len(left) == 2
        # While the process lives, its folders stay.
        assert "is damaged" not in error_of(library.add, "Two", tmp_path / "nothing")
        assert all(path.is_dir() for path in left)
        process.send_signal(signal.SIGKILL)
    start = time.monotonic()
    library.add("Two", archive)
    assert time.monotonic() - start < 30
    assert not [path for place in places for path in place.glob(".srq-*")]
    assert library.is_available("Two")
    shutil.rmtree(library.images)
