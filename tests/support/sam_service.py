"""The segmenter's service in a process of its own, as `annotate serve` starts it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avis_data.paths import Workspace
from support.label_studio import free_port

__all__ = ["segmenter"]


@contextmanager
def segmenter(
    workspace: Workspace,
    folder: Path,
    engine: str = "grabcut",
    weights: Path | None = None,
    *,
    port: int | None = None,
) -> Iterator[tuple[str, str]]:
    """An engine over the stills of a workspace; gives its address and token, and is killed (kill -9) at the end.

    `folder`: for its token and its log; `port`: None: one that is free.
    """
    token_file, port = folder / "segmenter-token", port or free_port()
    token_file.write_text("a-secret-of-the-segmenter\n")
    command = [sys.executable, "-m", "avis_data.annotation.serve.segmenter", "--workspace", str(workspace.root)]
    command += ["--port", str(port), "--token-file", str(token_file), "--engine", engine]
    command += ["--engine-weights", str(weights)] if weights is not None else []
    log_file = folder / "segmenter.log"
    with log_file.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while not _answers(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None and time.monotonic() < deadline, log_file.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}", token_file.read_text().strip()
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
