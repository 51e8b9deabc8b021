"""The published weights and image sets that srq knows by name: where they come from and how they are recognised."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from ..errors import SrqError, unknown

if TYPE_CHECKING:
    from ..data.images.header import Size

FILE = Path(__file__).with_name("registry.toml")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def file_name(url: str) -> str:
    """The last part of a URL's path, which is the name of the download."""
    return PurePosixPath(urlsplit(url).path).name


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Entry):
    """One file of a published release."""

    url: str
    sha256: Sha256 | None = None


class ImageSet(_Entry):
    """A set of HR images: how many there are, what they are called and how large they may be."""

    count: int = Field(ge=1)
    home: str
    what: str
    """What a user takes from the home page."""
    terms: str
    names: Mapping[str, str]
    """A regular expression of names without suffix -> one of their sizes, written width x height."""
    archive: str | None = None
    """The URL of a zip or tar file that may be fetched without asking anyone."""
    sha256: Sha256 | None = None
    folder: str = ""
    """The set's folder in the archive."""

    def has_names(self, images: Collection[str]) -> bool:
        """Whether images with these names may be the set."""
        known = all(any(re.fullmatch(pattern, image) for pattern in self.names) for image in images)
        return known and len(images) == self.count

    def check(self, name: str, found: Mapping[str, Size]) -> None:
        """Raise SrqError that names the first image that is not the set's, or how many there should be."""
        for image, size in found.items():
            expected = next((of for pattern, of in self.names.items() if re.fullmatch(pattern, image)), None)
            if expected is None:
                raise SrqError(f"{name} has no image '{image}'; its images match {', '.join(self._patterns())}")
            if not re.fullmatch(expected, str(size)):
                what = f"'{image}' is {size} pixels, expected {expected}"
                raise SrqError(f"{name}: {what}; this is another version of the set, and its scores do not compare")
        if len(found) != self.count:
            missing = [pattern for pattern in self.names if pattern.isidentifier() and pattern not in found]
            hint = f"; missing: {', '.join(missing)}" if missing else ""
            raise SrqError(f"{name} has {self.count} images, found {len(found)}{hint}")

    def _patterns(self) -> list[str]:
        return [part for pattern in self.names for part in pattern.split("|")][:5]


class Registry(_Entry):
    """All entries; a name is either of weights or of an image set."""

    weights: Mapping[str, Weights]
    images: Mapping[str, ImageSet]

    @classmethod
    def load(cls) -> Registry:
        """The registry that comes with srq."""
        return cls.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))

    def release(self, name: str) -> Weights:
        """Weights by name; raises SrqError with the nearest one."""
        if name not in self.weights:
            raise unknown("published weights", name, self.weights)
        return self.weights[name]

    def image_set(self, name: str) -> ImageSet:
        """An image set by name; raises SrqError with the nearest one."""
        if name not in self.images:
            raise unknown("image set", name, self.images)
        return self.images[name]
