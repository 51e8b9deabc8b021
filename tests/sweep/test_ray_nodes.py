"""Two Ray nodes without a common folder: one is killed in the middle of a sweep, and every record comes back."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny import FILE, TinySuite

pytestmark = pytest.mark.slow
PATIENCE = 180.0
PORT = 6399
ADDRESSES = {"head": "10.77.0.1", "other": "10.77.0.2"}
SRQ = f"{sys.executable} -c 'from sr_ptq_bench.cli import main; main()'"
RAY = f"{sys.executable} -m ray.scripts.scripts"
# Bounds of min and max. Where a file tells a node to hang, its first cell says that it has begun, and never ends.
METHOD = """
import time
from pathlib import Path
from sr_ptq_bench import Bounds, hookimpl

@hookimpl
def srq_init_bounds(distribution):
    if Path(__file__).with_name("hang").exists():
        Path(__file__).with_name("begun").touch()
        time.sleep(1000)
    return Bounds(distribution.minimum, distribution.maximum)
"""


def system(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@dataclass
class Nodes:
    """Two network namespaces with a cable between them; `work` shows each of them a folder of its own."""

    root: Path
    name: str = field(default_factory=lambda: f"srq{secrets.token_hex(3)}")
    environment: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.root / "work"

    def namespace(self, node: str) -> str:
        return f"{self.name}-{node}"

    def connect(self) -> None:
        """Raise OSError or CalledProcessError where this is not permitted."""
        system("unshare", "--mount", "true")
        for node in ADDRESSES:
            system("ip", "netns", "add", self.namespace(node))
        ends = {node: f"{self.name}{node[0]}" for node in ADDRESSES}
        one, two = ADDRESSES
        pair = ["type", "veth", "peer", "name", ends[two], "netns", self.namespace(two)]
        system("ip", "link", "add", ends[one], "netns", self.namespace(one), *pair)
        for node, address in ADDRESSES.items():
            inside = ["ip", "-n", self.namespace(node)]
            system(*inside, "address", "add", f"{address}/24", "dev", ends[node])
            for device in ("lo", ends[node]):
                system(*inside, "link", "set", device, "up")

    def start(self, node: str, script: str, name: str) -> subprocess.Popen[bytes]:
        """Run a shell script on a node, its output in files `NAME.out` and `NAME.err`."""
        mounted = f"mount --bind {self.root / node} {self.work} && cd {self.work} && {script}"
        inside = ["ip", "netns", "exec", self.namespace(node), "unshare", "--mount", "sh", "-c", mounted]
        with (self.root / f"{name}.out").open("wb") as out, (self.root / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=out, stderr=err, env=self.environment)
        self.running.append(process)
        return process

    def said(self, name: str) -> str:
        """What a script has written to stdout."""
        return (self.root / f"{name}.out").read_text()

    def kill(self, node: str) -> None:
        """SIGKILL for every process of a node."""
        for pid in system("ip", "netns", "pids", self.namespace(node)).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def end(self) -> None:
        for node in ADDRESSES:
            with suppress(subprocess.CalledProcessError):
                self.kill(node)
                system("ip", "netns", "delete", self.namespace(node))
        for process in self.running:
            process.communicate()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="Ray is not installed")
    root = Path(tempfile.mkdtemp(prefix="srq", dir="/tmp"))  # Ray's sockets need a short path
    nodes = Nodes(root, environment={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    nodes.work.mkdir()
    for node in ADDRESSES:
        TinySuite.write(root / node / "tiny")
        shutil.copy(FILE, root / node / "tiny.py")
        (root / node / "steady.py").write_text(METHOD)
    nodes.environment["SRQ_HOME"] = str(nodes.work / "home")
    try:
        try:
            nodes.connect()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces cannot be made here: {getattr(error, 'stderr', '') or error}")
        yield nodes
    finally:
        nodes.end()
        shutil.rmtree(root)


def test_a_node_that_is_killed_in_the_middle_of_a_sweep_costs_no_record(nodes: Nodes) -> None:
    suite = TinySuite.write(nodes.root / "head" / "tiny").path.name
    (nodes.root / "other" / "hang").touch()
    head, other = ADDRESSES.values()
    node = "--num-cpus=1 --disable-usage-stats --object-store-memory=80000000"
    begin = f"{RAY} start --head --include-dashboard=false --node-ip-address={head} --port={PORT} {node}"
    grid = "--methods steady --bits 4,3,2 --scales 2 --seeds 2 --threads 1"
    sweep = f"{SRQ} sweep --suite tiny/{suite} --plugin tiny.py --plugin steady.py {grid} --ray {head}:{PORT} --out out"
    script = f"{begin} --temp-dir={nodes.work}/ray >ray.txt 2>&1; echo begun; read go; exec {sweep}"
    running = nodes.start("head", script, "sweep")
    wait_for(lambda: "begun" in nodes.said("sweep"))
    nodes.start("other", f"{RAY} start --address={head}:{PORT} --node-ip-address={other} {node} --block", "other")
    wait_for(lambda: "Ray runtime started" in nodes.said("other"))
    assert running.stdin is not None
    running.stdin.write(b"go\n")
    running.stdin.close()

    wait_for(lambda: (nodes.root / "other" / "begun").exists() or running.poll() is not None)
    nodes.kill("other")
    assert running.wait(PATIENCE) == 0

    assert len(list((nodes.root / "head" / "out" / "results").glob("*/steady-*.json"))) == 6
    assert nodes.said("sweep") == "begun\n"
    *lines, end = (nodes.root / "sweep.err").read_text().splitlines()
    assert end.startswith("6 cells: 0 were done, 6 measured, 0 failed")
    assert lines[0] == "Check the cells"
    assert len(lines) == 7
    assert all(line.startswith("steady w") for line in lines[1:])
