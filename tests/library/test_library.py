"""Weights and image sets by name: at hand, fetched, brought, or said how to get."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

import pytest
from refusals import error_of
from tiny import Heard, noise

from sr_ptq_bench.data.images.pixels import encode_png, write_image
from sr_ptq_bench.library.library import Library
from sr_ptq_bench.library.registry import ImageSet, Registry, Weights
from sr_ptq_bench.progress import SILENT
from sr_ptq_bench.protocol.suite import DataSource

NAMES = {"a": "17x14", "b": "12x24"}


@pytest.fixture
def told():
    return Heard()


@pytest.fixture
def library(web, tmp_path, told):
    """A library that knows weights `w`, and sets that are fetched (`Two`) or not (`Far`), from the local server."""
    common = {"count": 2, "home": "https://home", "what": "the images", "terms": "for research", "names": NAMES}
    registry = Registry(
        weights={"w": Weights(url=f"{web.url}/w.pth")},
        images={
            "Two": ImageSet(**common, archive=f"{web.url}/all.zip", folder="sets/Two"),
            "Far": ImageSet(**common),
        },
    )
    return Library(tmp_path / "home", told, registry)


def pngs() -> dict[str, bytes]:
    return {"a.png": encode_png(noise(14, 17)), "b.png": encode_png(noise(24, 12))}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    write_image(tmp_path / "mine" / "a.png", noise(14, 17))
    write_image(tmp_path / "mine" / "b.png", noise(24, 12))
    return tmp_path / "mine"


def test_weights_are_fetched_at_first_use_and_their_checksum_told(web, library, told):
    web.serve("/w.pth", b"weights")
    assert not library.is_available("w")
    path = library.weights("w")
    assert path.read_bytes() == b"weights"
    assert library.is_available("w")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert told.lines == [f"w.pth: no sha256 is published; recorded, and checked from now on: {sha256}"]
    assert library.weights("w") == path
    assert (told.stages, len(told.lines), len(web.requests)) == (["Fetch w"], 1, 1)


def test_without_a_network_the_file_the_url_and_the_command_are_named(web, library):
    message = error_of(library.weights, "w")
    assert message == (
        f"cannot fetch w.pth from {web.url}/w.pth: the server says 404 Not Found; "
        "get the file by other means, then `srq data import w FILE`"
    )


@pytest.mark.parametrize("as_folder", [True, False])
def test_weights_are_brought(library, told, tmp_path, as_folder):
    (tmp_path / "w.pth").write_bytes(b"weights")
    library.add("w", tmp_path if as_folder else tmp_path / "w.pth")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert told.lines == [
        f"w.pth: no sha256 is published; recorded, and checked from now on: {sha256}",
        f"w is available: {library.downloads / 'w.pth'}",
    ]
    assert library.weights("w").read_bytes() == b"weights"


def test_weights_that_are_not_there_are_named(library, tmp_path):
    assert f"cannot read {tmp_path / 'w.pth'}" in error_of(library.add, "w", tmp_path)


@pytest.mark.parametrize("inside", ["sets/Two/HR", "sets/Two"])
def test_an_image_set_is_fetched_and_imported(web, library, told, inside):
    others = {"sets/Other/HR/c.png": b"no image", "readme.txt": b"hello"}
    web.serve("/all.zip", zipped({f"{inside}/{name}": of for name, of in pngs().items()} | others))
    library.get("Two")
    assert library.is_available("Two")
    assert told.lines[0] == "Two: for research; see https://home"
    assert told.lines[-4:-1] == ["Two LR x2: made", "Two LR x3: made", "Two LR x4: made"]
    assert told.lines[-1] == f"Two is available: 2 images in {library.images / 'Two'}"
    assert told.stages == ["Fetch Two", "Unpack all.zip", "Import Two"]
    assert sorted(path.name for path in library.home.iterdir()) == ["downloads", "images"]
    told.lines.clear()
    library.get("Two")
    assert told.lines == [f"Two is available: 2 images in {library.images / 'Two'}"]
    assert len(web.requests) == 1


def test_an_archive_without_the_set_is_named(web, library):
    web.serve("/all.zip", zipped({"elsewhere/a.txt": b"x"}))
    message = error_of(library.get, "Two")
    assert f"{library.downloads / 'all.zip'}: no images in this folder, nor in one below it" in message
    assert not library.is_available("Two")


def test_an_archive_that_reaches_outside_is_refused(web, library):
    web.serve("/all.zip", zipped({f"sets/Two/{name}": of for name, of in pngs().items()} | {"../../x": b"evil"}))
    assert "all.zip is refused: it names the place '../../x'" in error_of(library.get, "Two")
    assert not list(library.home.parent.rglob("x"))
    assert sorted(path.name for path in library.home.iterdir()) == ["downloads"]


def test_a_set_that_must_be_asked_for_is_said_how_to_get(library):
    assert error_of(library.get, "Far") == (
        "Far cannot be fetched by srq: take the images from https://home (for research), then `srq data import Far DIR`"
    )


def test_an_image_set_is_brought_as_a_folder(library, folder, told):
    library.add("Far", folder)
    assert library.is_available("Far")
    assert told.stages == ["Import Far"]


def test_an_image_set_is_brought_as_an_archive(library, folder, tmp_path):
    with tarfile.open(tmp_path / "far.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")
    library.add("Far", tmp_path / "far.tar.gz")
    assert library.is_available("Far")


@pytest.mark.parametrize("kind", ["folder", "archive", "weights"])
def test_a_home_that_cannot_be_written_is_named(library, folder, tmp_path, kind):
    library.home.write_text("a file")
    (tmp_path / "far.zip").write_bytes(zipped({"a.png": b""}))
    path = {"folder": folder, "archive": tmp_path / "far.zip", "weights": folder / "a.png"}[kind]
    assert str(library.home) in error_of(library.add, "w" if kind == "weights" else "Far", path)


def test_nothing_to_bring_is_named(library, tmp_path):
    message = error_of(library.add, "Far", tmp_path / "nowhere")
    assert message == f"{tmp_path / 'nowhere'}: no such file or folder; expected the images of Far, or their archive"


@pytest.mark.parametrize("verb", ["get", "is_available"])
def test_an_unknown_name_has_a_nearest_one(library, verb):
    assert error_of(getattr(library, verb), "Twoo") == "no weights or image set 'Twoo'; did you mean 'Two'?"


def test_what_a_source_lacks(library, folder):
    both = DataSource(datasets=("Two", "Far"))
    assert library.missing(both) == ["Two", "Far"]
    library.add("Far", folder)
    assert library.missing(both) == ["Two"]
    assert library.missing(DataSource(photos=("coffee",))) == []
    assert error_of(library.missing, DataSource(datasets=("w",))) == "no image set 'w'; there is: Far, Two"


def test_the_names_of_the_registry(library):
    assert library.names() == ["w", "Two", "Far"]
    assert "swinir-light-x2" in Library(library.home, SILENT).names()
