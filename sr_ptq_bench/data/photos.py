"""Sample photographs from the installed scikit-image: real images without any download.

Their checksums are part of the protocol, because scores compare only on the same pixels.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..errors import SrqError, unknown
from ..storage.files import sha256_of

PHOTOS = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
_FILES = {Path(file).stem: file for file in PHOTOS}
_REMEDY = "install another version of scikit-image, such as 0.26"


def photo_path(name: str) -> Path:
    """The file of a sample photo; raises SrqError if it is missing or has another checksum."""
    if name not in _FILES:
        raise unknown("photo", name, _FILES)
    path = _folder() / _FILES[name]
    if not path.is_file():
        raise SrqError(f"photo '{name}': the installed scikit-image has no {path}; {_REMEDY}")
    expected, found = PHOTOS[path.name], sha256_of(path)
    if found != expected:
        raise SrqError(f"photo '{name}': sha256 of {path} is {found}, expected {expected}; {_REMEDY}")
    return path


def _folder() -> Path:
    """The data folder of scikit-image; finding the package does not import it."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SrqError(f"sample photos come with scikit-image, which is not installed; {_REMEDY}")
    return Path(package.origin).parent / "data"
