"""The files beside the pages: our style and script, and DataTables, which the package itables carries."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from ..errors import SrqError
from ..storage.text import read_text

LARGEST_BUNDLE = 2**23
_EXPORT = re.compile(r"export\s*\{[^{}]*?\b(\w+) as default\b[^{}]*\};?")


def assets(*, with_images: bool = False) -> dict[str, str]:
    """The contents by their names; raises SrqError if itables is missing or is of an unknown kind."""
    ours = resources.files(__package__) / "static"
    names = ["report.css", "report.js", *(["images.js"] if with_images else [])]
    packed = base64.b64encode(zlib.compress(datatables().encode(), 9)).decode()
    texts = {name: (ours / name).read_text(encoding="utf-8") for name in names}
    return texts | {"datatables.js": f'window.packedDataTable = "{packed}";\n'}


def script_hash() -> str:
    """The hash by which a content security policy allows DataTables, which report.js unpacks."""
    return f"sha256-{base64.b64encode(hashlib.sha256(datatables().encode()).digest()).decode()}"


def datatables() -> str:
    """DataTables as a classic script that sets `DataTable`: from a file, browsers load no modules."""
    spec = find_spec("itables")  # importing it would load IPython
    if spec is None or not spec.submodule_search_locations:
        raise SrqError('a report needs itables; install it with `pip install "sr_ptq_bench[report]"`')
    bundle = read_text(Path(spec.submodule_search_locations[0]) / "html" / "dt_bundle.js", LARGEST_BUNDLE)
    script, found = _EXPORT.subn(r"window.DataTable = \1;", bundle)
    if found != 1:
        raise SrqError("this version of itables holds DataTables in an unknown form; install itables 2")
    return f"(() => {{\n{script}\n}})();\n"
