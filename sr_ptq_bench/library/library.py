"""Published weights and image sets by name: what is available, what is fetched, and what the user must import."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..data.image_set import ImportedSet, is_imported
from ..errors import SrqError, unknown
from ..progress import SILENT
from ..storage.working_folder import remove_abandoned, working_folder
from .registry import Registry, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..progress import Reporter
    from ..protocol.suite import DataSource
    from .fetch import Downloads


@dataclass(frozen=True)
class Library:
    """The weights and image sets of the registry, kept under `home`: downloads in one folder, image sets in another.

    The reporter shows what is fetched and imported, and what the user should read.
    """

    home: Path
    reporter: Reporter
    registry: Registry = field(default_factory=Registry.load)

    @property
    def images(self) -> Path:
        """The folder of the image sets, a folder for each."""
        return self.home / "images"

    @property
    def downloads(self) -> Path:
        """The folder of weights and archives."""
        return self.home / "downloads"

    def names(self) -> list[str]:
        """Every name, weights first."""
        return [*self.registry.weights, *self.registry.images]

    def is_available(self, name: str) -> bool:
        """Whether weights or an image set are available; raises SrqError for an unknown name."""
        self._check(name)
        if name in self.registry.weights:
            return (self.downloads / file_name(self.registry.weights[name].url)).is_file()
        return is_imported(self.images / name)

    def missing(self, source: DataSource) -> list[str]:
        """The image sets of a source that are missing; raises SrqError for an unknown one."""
        for name in source.datasets:
            self.registry.image_set(name)
        return [name for name in source.datasets if not self.is_available(name)]

    def weights(self, name: str) -> Path:
        """The file of published weights, fetched at first use; raises SrqError that says what to do instead."""
        entry = self.registry.release(name)
        return self._fetch(name, entry.url, entry.sha256)

    def get(self, name: str) -> None:
        """Make weights or an image set available from the network; raises SrqError that says what to do instead."""
        self._check(name)
        if name in self.registry.weights:
            self.reporter.say(f"{name} is available: {self.weights(name)}")
        elif self.is_available(name):
            self.reporter.say(self._described(name))
        else:
            entry = self.registry.image_set(name)
            if entry.archive is None:
                raise SrqError(f"{name} cannot be fetched by srq: {self.how_to_get(name)}")
            self.reporter.say(f"{name}: {entry.terms}; see {entry.home}")
            self.add(name, self._fetch(name, entry.archive, entry.sha256))

    def add(self, name: str, path: Path) -> None:
        """Make weights or an image set available from the user's files: a folder, the archive or the weights' file."""
        self._check(name)
        remove_abandoned(self.home)
        if name in self.registry.weights:
            entry = self.registry.weights[name]
            file = path / file_name(entry.url) if path.is_dir() else path
            with self._telling_of_a_new_checksum(file_name(entry.url), entry.sha256) as downloads:
                kept = downloads.keep(file, file_name(entry.url), entry.sha256)
            self.reporter.say(f"{name} is available: {kept}")
        elif path.is_dir():
            self._import(name, path, called=path)
        elif path.is_file():
            self._unpack_and_import(name, path)
        else:
            raise SrqError(f"{path}: no such file or folder; expected the images of {name}, or their archive")

    def how_to_get(self, name: str) -> str:
        """What a user does to make an image set available."""
        entry = self.registry.image_set(name)
        if entry.archive is not None:
            return f"`srq data get {name}` fetches it, or bring it with `srq data import {name} DIR`"
        return f"take {entry.what} from {entry.home} ({entry.terms}), then `srq data import {name} DIR`"

    def _fetch(self, name: str, url: str, sha256: str | None) -> Path:
        file = file_name(url)
        reporter = SILENT if (self.downloads / file).is_file() else self.reporter
        with self._telling_of_a_new_checksum(file, sha256) as downloads, reporter.stage(f"Fetch {name}") as report:
            try:
                return downloads.fetch(url, sha256, report)
            except SrqError as error:
                raise SrqError(f"{error}; get the file by other means, then `srq data import {name} FILE`") from error

    @contextmanager
    def _telling_of_a_new_checksum(self, file: str, published: str | None) -> Iterator[Downloads]:
        from .fetch import Downloads  # imports requests, which few commands need

        downloads = Downloads(self.downloads)
        new = published is None and downloads.recorded(file) is None
        yield downloads
        if new:
            self.reporter.say(
                f"{file}: no sha256 is published; recorded, and checked from now on: {downloads.recorded(file)}"
            )

    def _import(self, name: str, folder: Path, called: Path) -> None:
        """Import from a folder; errors name the user's own path."""
        from .import_set import import_images

        entry = self.registry.image_set(name)
        with self.reporter.stage(f"Import {name}") as report:
            try:
                said = import_images(name, entry, folder, self.images, report)
            except SrqError as error:
                raise SrqError(str(error).replace(str(folder), str(called))) from error
        for line in said:
            self.reporter.say(f"{name} {line}")
        self.reporter.say(self._described(name))

    def _unpack_and_import(self, name: str, archive: Path) -> None:
        from .archives import unpack

        inside = self.registry.image_set(name).folder
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with working_folder(self.home) as temporary:
                published, everything = temporary / "published", temporary / "everything"
                with self.reporter.stage(f"Unpack {archive.name}"):
                    is_published = inside and unpack(archive, published, inside)
                    if not is_published:
                        unpack(archive, everything)
                self._import(name, published / inside if is_published else everything, called=archive)
        except OSError as error:
            raise SrqError(f"cannot unpack {archive} in {self.home}: {error.strerror or error}") from error

    def _described(self, name: str) -> str:
        folder = self.images / name
        return f"{name} is available: {ImportedSet.read(folder).images} images in {folder}"

    def _check(self, name: str) -> None:
        if name not in self.names():
            raise unknown("weights or image set", name, self.names())
