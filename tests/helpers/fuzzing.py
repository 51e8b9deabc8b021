"""Fuzz the readers of files: `python tests/helpers/fuzzing.py --minutes 50 --seed 1`.

Files of every kind are changed at random and read. A reader may give a value or raise SrqError with one printable
line. Anything else is a finding, whose input is kept: another exception, more than 20 s for a file, something left on
disk, a process that ends.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import shutil
import signal
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from safetensors.torch import save

from sr_ptq_bench.data.images.header import Size
from sr_ptq_bench.data.images.pixels import decode, portable
from sr_ptq_bench.data.lmdb import check_lmdb, pack
from sr_ptq_bench.errors import LONGEST, SrqError
from sr_ptq_bench.library.archives import unpack
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.storage.weights import read_weights
from sr_ptq_bench.tables.formats import markdown, render
from sr_ptq_bench.tables.leaderboard import page
from sr_ptq_bench.tables.published_scores import read_published

SAMPLE = Path(__file__).parents[2] / "leaderboards/results/sample"
SLOWEST_S = 20
ROUND_S = 60
STORE = "set.lmdb"
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
EXIF = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""Orientation 6, big endian."""
ODD_NUMBERS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x80\0\0\0")
ODD_BYTES = (0, 1, 127, 128, 255)
ODD_VALUES = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    "",
    "x" * 5000,
    "\x1b[31m",
    [],
    {},
)


@dataclass(frozen=True)
class Reader:
    """A kind of file: whole files from which the changed ones are made, and what reads one in a folder."""

    seeds: list[bytes]
    read: Callable[[bytes, Path, random.Random], object]


@dataclass
class Findings:
    """What became of the inputs, and the first input of each kind of unexpected exception."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    unexpected: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)

    def add(self, other: Findings) -> None:
        """Count what another round has found."""
        self.counts.update(other.counts)
        self.unexpected = other.unexpected | self.unexpected
        self.slowest |= {kind: max(took, self.slowest.get(kind, 0.0)) for kind, took in other.slowest.items()}


def _bytes_of(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _image(kind: str, **options: Any) -> bytes:
    return _bytes_of(lambda buffer: PIL.Image.fromarray(PIXELS).save(buffer, kind, **options))


def _tar(mode: str, kind: int) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with tarfile.open(fileobj=buffer, mode=mode, format=kind) as archive:
            for name in ("Set/HR/a.png", "x" * 150, "é.png"):
                info = tarfile.TarInfo(name)
                info.size = 30
                archive.addfile(info, io.BytesIO(bytes(30)))

    return _bytes_of(write)


def _zip() -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("Set/a.png", "b\\c.png"):
                archive.writestr(name, b"a" * 300)

    return _bytes_of(write)


def _read_image(content: bytes, _folder: Path, _random: random.Random) -> None:
    decode(content, "image")
    portable(content, "image")


def _read_weights(content: bytes, folder: Path, random: random.Random) -> None:
    path = folder / f"weights.{random.choice(('pth', 'safetensors', 'ckpt'))}"
    path.write_bytes(content)
    try:
        read_weights(path)
    finally:
        path.unlink()


def _read_archive(content: bytes, folder: Path, _random: random.Random) -> None:
    (folder / "archive").write_bytes(content)
    shutil.rmtree(folder / "unpacked", ignore_errors=True)
    try:
        unpack(folder / "archive", folder / "unpacked")
    except SrqError:
        assert not (folder / "unpacked").exists()
        raise
    finally:
        assert {path.name for path in folder.iterdir()} <= {"archive", "unpacked", STORE, "last-input"}


def _read_lmdb(content: bytes, folder: Path, _random: random.Random) -> None:
    (folder / STORE / "meta_info.txt").write_bytes(content)
    for key in check_lmdb(folder / STORE):
        assert set(key).isdisjoint("/\\.\0")


def _read_suite(content: bytes, folder: Path, _random: random.Random) -> None:
    (folder / "suite.toml").write_bytes(content)
    try:
        Suite.load(str(folder / "suite.toml"))
    finally:
        (folder / "suite.toml").unlink()


def _read_csv(content: bytes, folder: Path, _random: random.Random) -> None:
    (folder / "published.csv").write_bytes(content)
    try:
        read_published(folder / "published.csv")
    finally:
        (folder / "published.csv").unlink()


def _read_record(content: bytes, folder: Path, _random: random.Random) -> None:
    (folder / "record.json").write_bytes(content)
    try:
        made = page([read_record(folder / "record.json")])
        assert "\x1b" not in markdown(made)
        assert "\x1b" not in render([made], "csv") + render([made], "json")
    finally:
        (folder / "record.json").unlink()


def changed_json(content: bytes, random: random.Random) -> bytes:
    """A JSON text with an odd value somewhere, under a key that is there or a new one."""
    tree = whole = json.loads(content)
    while isinstance(tree, dict | list) and tree:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = random.choice(keys)
        if random.random() < 0.3 or not isinstance(tree[key], dict | list):
            value = random.choice(ODD_VALUES)
            if isinstance(tree, dict) and random.random() < 0.2:
                key = random.choice(("more", "", "a.b", "\x1b[2J", "x" * 300))
            tree[key] = value
            break
        tree = tree[key]
    return json.dumps(whole).encode()


def readers() -> dict[str, Reader]:
    """All readers by the kind of their files."""
    tensors = {"a.weight": torch.ones(4), "b": torch.zeros(2, 2)}
    old = {"_use_new_zipfile_serialization": False}
    suite = (
        'name = "a"\nmodel = "m"\nweights.2 = "w"\n[calibration]\nsource.hr = "c"\npatches = 4\nsize = 8\n[test]\nx'
        '.hr = "{name}_x{scale}.png"\n[tiles]\nsize = 96\noverlap = 16\n[options]\n"dqc.lr" = 0.1\n'
    )
    head = "method,model,scale,bits,dataset,psnr,ssim,source"
    published = Path(__file__).parents[2] / "leaderboards/published.csv"
    table = published.read_text(encoding="utf-8").splitlines()[:4] if published.exists() else [head]
    records = [path.read_bytes() for path in sorted(SAMPLE.glob("*.json"))[:2]]
    return {
        "image": Reader(
            [
                _image("PNG", exif=EXIF),
                _image("JPEG", exif=b"Exif\0\0" + EXIF, icc_profile=b"abc"),
                _image("WEBP", lossless=True, exif=EXIF),
                _image("TIFF", tiffinfo={274: 6}),
                _image("BMP"),
                _image("PPM"),
            ],
            _read_image,
        ),
        "weights": Reader(
            [
                save(tensors),
                _bytes_of(lambda buffer: torch.save({"model": tensors, "x": np.float64(1)}, buffer)),
                _bytes_of(lambda buffer: torch.save({"model": tensors, "x": np.arange(3)}, buffer, **old)),
            ],
            _read_weights,
        ),
        "archive": Reader(
            [_tar("w", tarfile.GNU_FORMAT), _tar("w", tarfile.PAX_FORMAT), _tar("w:gz", tarfile.PAX_FORMAT), _zip()],
            _read_archive,
        ),
        "lmdb": Reader(
            [
                b"0001.png (12,20,3) 1\nbaby_x2.png (12,20,3) 1\n",
                "\ufeff0001.png (12,20,3) 1\r\nbaby_x2.png (12,20,3) 1\r\n".encode(),
                "0001.png (12,20,3) 1\nbaby_x2.png (12,20,3) 1\n".encode("utf-16"),
            ],
            _read_lmdb,
        ),
        "toml": Reader([suite.encode("utf-8-sig"), suite.encode("utf-16")], _read_suite),
        "csv": Reader(
            ["\n".join(table).encode(), ("\ufeffsep=;\r\n" + "\r\n".join(table).replace(",", ";")).encode()], _read_csv
        ),
        "record": Reader(records, _read_record),
    }


def changed(content: bytes, random: random.Random) -> bytes:
    """Some bytes of a file replaced, inserted, removed or repeated, mostly near its begin."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        size = len(data)
        if not size:
            break
        at = random.randrange(size if random.random() < 0.5 else min(size, 120))
        kind = random.random()
        if kind < 0.4:
            data[at] = random.choice((*ODD_BYTES, random.randrange(256)))
        elif kind < 0.6:
            data[at : at + random.randrange(1, 9)] = random.randbytes(random.randrange(9))
        elif kind < 0.75:
            data[at : at + 4] = random.choice(ODD_NUMBERS)
        elif kind < 0.85:
            del data[at:]
        else:
            data[at:at] = data[max(0, at - 20) : at]
    return bytes(data)


def make_store(folder: Path) -> None:
    """Write the LMDB whose meta file is changed."""
    pack(folder / STORE, {name: Size(12, 20) for name in ("0001", "baby_x2")}, lambda _: PIXELS)


def fuzz(folder: Path, seed: str, go_on: Callable[[int], bool]) -> Findings:
    """Read changed files of all kinds in turn in an empty folder, while `go_on` says so of their number."""
    known, found, source = readers(), Findings(), random.Random(seed)
    make_store(folder)
    number = 0
    while go_on(number):
        for kind, reader in known.items():
            content = source.choice(reader.seeds)
            change = changed_json if kind == "record" and source.random() < 0.7 else changed
            content = change(content, source)
            (folder / "last-input").write_bytes(content)  # for an input that ends the process
            _try(kind, reader, content, folder, source, found)
            number += 1
    return found


def _try(kind: str, reader: Reader, content: bytes, folder: Path, source: random.Random, found: Findings) -> None:
    start = time.monotonic()
    try:
        with _at_most(SLOWEST_S):
            reader.read(content, folder, source)
        found.counts[kind, "read"] += 1
    except SrqError as error:
        found.counts[kind, "refused"] += 1
        if not (str(error).isprintable() and 0 < len(str(error)) <= LONGEST):
            found.unexpected.setdefault((kind, "the line of an error", str(error)[:80]), content)
    except Exception as error:
        found.counts[kind, "unexpected"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        found.unexpected.setdefault((kind, type(error).__name__, where.name, str(error)[:80]), content)
    found.slowest[kind] = max(found.slowest.get(kind, 0.0), time.monotonic() - start)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_rounds(seed: int, seconds: float) -> Findings:
    """Fuzz in processes of a minute each, so that an input that ends one is a finding as well."""
    total, end, number = Findings(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as pool:
            try:
                found = pool.submit(_round, folder, f"{seed}.{number}", min(ROUND_S, end - time.monotonic())).result()
                total.add(found)
            except BrokenProcessPool:
                total.unexpected[f"{number}", "the process ended"] = Path(folder, "last-input").read_bytes()
        number += 1
    return total


def _round(folder: str, seed: str, seconds: float) -> Findings:
    warnings.simplefilter("ignore")
    end = time.monotonic() + seconds
    return fuzz(Path(folder), seed, lambda _: time.monotonic() < end)


def main() -> None:
    """Fuzz for some minutes, then print a line for each kind of file and each finding."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where inputs of findings go")
    chosen = parser.parse_args()
    found = in_rounds(chosen.seed, 60 * chosen.minutes)
    for kind, slowest in found.slowest.items():
        counts = ", ".join(f"{count:,} {what}" for (of, what), count in found.counts.items() if of == kind)
        print(f"{kind}: {counts}; the slowest took {slowest:.2f} s")
    for number, (what, content) in enumerate(found.unexpected.items()):
        chosen.keep.mkdir(exist_ok=True)
        path = chosen.keep / f"{what[0]}-{chosen.seed}-{number}"
        path.write_bytes(content)
        print(f"FOUND {' | '.join(what)}: {path}")
    print(f"{sum(found.counts.values()):,} inputs, {len(found.unexpected)} findings, ", end="")
    print(f"at most {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20:.1f} GiB of memory")


if __name__ == "__main__":
    main()
