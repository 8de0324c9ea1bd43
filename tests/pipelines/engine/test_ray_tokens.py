"""A cluster of two nodes that asks for a token, made by `ray start` as docs/cluster.md says, and who gets in.

Ray reads `RAY_AUTH_MODE` once in a process, so each that asks is a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.label_studio import free_port
from support.places import ROOT, TESTS

pytestmark = pytest.mark.slow

_ASKS = """
import json, sys, time
from pathlib import Path
from avis_data.errors import ToolError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors.ray import RayExecutors
from avis_data.pipelines.engine.planner import Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, run_stage
from avis_data.pipelines.engine.spec import Candidates
from support.toy_stages import ShoutStage, Word, word_items

workspace, address = Workspace(Path(sys.argv[1])), sys.argv[2]
stage, words = ShoutStage(pause_s=0.1), {f"w{i}": Word(text=f"word {i}") for i in range(8)}
try:
    with Ledger(workspace.ledger) as ledger:
        plan = plan_stage(workspace, ledger, stage, Candidates(items=word_items(words)), Selection())
        executors = RayExecutors(workers=2, address=address)
        report = run_stage(workspace, ledger, stage, plan, executors=executors, policy=Policy())
    print(json.dumps({"done": report.done, "failed": report.failed}))
except ToolError as error:
    print(json.dumps({"error": str(error), "hint": error.hint}))
"""


class Cluster:
    """Two nodes on this machine."""

    def __init__(self, folder: Path) -> None:
        self.address, self.tokens = f"127.0.0.1:{free_port()}", folder
        for name in ("right", "wrong"):
            (folder / name).write_text(name[0] * 64)
            (folder / name).chmod(0o600)
        self._processes: list[subprocess.Popen[bytes]] = []
        port = self.address.rpartition(":")[2]
        self._start(["--head", "--port", port, "--include-dashboard", "false", "--temp-dir", str(folder / "ray")])
        self._start(["--address", self.address])

    def environment(self, mode: str | None, token: str | None) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        ours["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(TESTS), os.environ.get("PYTHONPATH", "")])
        ours["HOME"] = str(self.tokens)  # where no token lies
        ours |= {"RAY_AUTH_MODE": mode} if mode else {}
        return ours | ({"RAY_AUTH_TOKEN_PATH": str(self.tokens / token)} if token else {})

    def _start(self, options: list[str]) -> None:
        program = str(Path(sys.executable).with_name("ray"))
        command = [program, "start", "--block", "--num-cpus", "1", "--object-store-memory", "80000000", *options]
        with (self.tokens / f"ray-{len(self._processes)}.log").open("wb") as log:
            environment = self.environment("token", "right") | {"RAY_num_prestart_python_workers": "0"}
            self._processes.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            )

    def wait(self) -> None:
        """Until both nodes are there; the second one waits for the first one itself."""
        for number, process in enumerate(self._processes):
            log = self.tokens / f"ray-{number}.log"
            for _ in range(1200):
                if "Ray runtime started" in log.read_text():
                    break
                with suppress(subprocess.TimeoutExpired):
                    raise AssertionError(f"ended with {process.wait(0.1)}: {log.read_text()}")

    def end(self) -> None:
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def run(self, workspace: Path, *, mode: str | None, token: str | None) -> dict[str, Any]:
        """What a run says that has this token."""
        command = [sys.executable, "-c", _ASKS, str(workspace), self.address]
        environment = self.environment(mode, token)
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="needs the extra `scale`")
    with tempfile.TemporaryDirectory(prefix="avis-ray-", ignore_cleanup_errors=True) as folder:
        running = Cluster(Path(folder))
        try:
            running.wait()
            yield running
        finally:
            running.end()


def test_who_has_the_token_gets_in(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster.run(tmp_path, mode="token", token="right") == {"done": 8, "failed": {}}
    texts = {path.stem: path.read_text() for path in (tmp_path / "shouts").glob("*.txt")}
    assert texts == {f"w{number}": f"WORD {number}!" for number in range(8)}


@pytest.mark.parametrize(
    ("mode", "token", "told", "hint"),
    [
        (None, None, "asks for a token, and RAY_AUTH_MODE is not set here", "export RAY_AUTH_MODE=token"),
        (None, "right", "asks for a token, and RAY_AUTH_MODE is not set here", "export RAY_AUTH_MODE=token"),
        ("token", "wrong", "refuses the token that this machine has", "ray get-auth-token"),
        ("token", None, "no authentication token", "Tokens"),
    ],
)
def test_who_has_not_is_told_what_to_set(
    cluster: Cluster, tmp_path: Path, mode: str | None, token: str | None, told: str, hint: str
) -> None:
    said = cluster.run(tmp_path, mode=mode, token=token)
    assert told in said["error"] and hint in said["hint"], said
    assert not (tmp_path / "shouts").exists()
