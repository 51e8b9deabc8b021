"""The installed BasicSR, whatever distribution it comes from, computes what BasicSR 1.4.2 computes."""

from __future__ import annotations

import subprocess
import sys

from sr_ptq_bench import basicsr_compat


def test_the_installed_modules_are_those_of_basicsr_1_4_2():
    assert basicsr_compat.modules_sha256() == basicsr_compat.KNOWN_SHA256


def test_a_fork_that_computes_otherwise_is_refused():
    code = (
        "from importlib import metadata\n"
        "known = metadata.metadata\n"
        "metadata.metadata = lambda name: known('numpy') if name == 'basicsr' else known(name)\n"
        "import ast\n"
        "parse = ast.parse\n"
        "ast.parse = lambda source: parse(source.replace(b'255', b'256') if isinstance(source, bytes) else source)\n"
        "import sr_ptq_bench.basicsr_compat\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: numpy computes otherwise than BasicSR 1.4.2" in done.stderr
