"""A running `avis-data annotate serve` with servers of its own, ended with all that it started."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from avis_data.annotation.labelstudio.settings import server_dir
from avis_data.annotation.serve.server_processes import end_left_over
from avis_data.paths import Workspace
from support.label_studio import free_port

__all__ = ["Served", "serving"]


class Served:
    """A running `avis-data annotate serve`."""

    def __init__(self, workspace: Workspace, *options: str, port: int | None = None, backend_port: int | None = None):
        self.port, self.backend_port = port or free_port(), backend_port or free_port()
        command = [sys.executable, "-m", "avis_data", "-C", str(workspace.root), "annotate", "serve"]
        command += ["--port", str(self.port), "--backend-port", str(self.backend_port), *options]
        self.out, self.err = (workspace.root.parent / f"{workspace.root.name}.{name}" for name in ("out", "err"))
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)

    def wait_until_up(self) -> str:
        """Until people can work; gives what it printed."""
        deadline = time.monotonic() + 120
        while "project:" not in self.out.read_text():
            assert self.process.poll() is None and time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.1)
        return self.out.read_text()

    def wait_until_again(self, name: str) -> None:
        """Until a server that died was started again and both of them answer."""
        deadline = time.monotonic() + 120
        while not all(self.answers()) or f"{name} was started again" not in self.err.read_text():
            assert self.process.poll() is None and time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.3)

    def end(self, number: signal.Signals) -> int:
        """Send it a signal; gives its exit code."""
        self.process.send_signal(number)
        return self.process.wait(40)

    def answers(self) -> list[bool]:
        """Whether Label Studio and the segmenter do."""
        return [_listens(port) for port in (self.port, self.backend_port)]


@contextmanager
def serving(workspace: Workspace, *options: str, **ports: int) -> Iterator[Served]:
    """`annotate serve`, until the end."""
    served = Served(workspace, *options, **ports)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.end(signal.SIGTERM)
        end_left_over(server_dir(workspace) / "processes.json")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
