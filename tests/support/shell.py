"""Run the command line as a person does: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avis_data.io import sha256_file, sha256_text
from support.forked import forked

__all__ = ["Ran", "avis_data", "killed", "start", "tree_hashes"]

_NOT_COMPARED = ("ledger.sqlite", ".lock", ".tmp")
"""What holds times of day, or is nobody's result."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


def _environment() -> dict[str, str]:
    """As it is now: a test may have set something in it."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def avis_data(*arguments: object, cwd: Path | None = None) -> Ran:
    """Run `avis-data` to its end; a traceback is never right."""
    ran = forked("from avis_data.cli.main import entry; entry()", arguments, cwd=cwd, environment=_environment())
    assert "Traceback" not in ran.stderr, ran.stderr
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def start(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start `avis-data` as a person does and go on; nothing that it prints is kept."""
    command = [sys.executable, "-m", "avis_data", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(*arguments: object, after_s: float) -> bool:
    """Start `avis-data` and kill it after so long; False: it had ended well before that, as a run may be much quicker
    than another one was."""
    process = start(*arguments)
    try:
        process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    assert process.returncode == 0
    return False


def tree_hashes(workspace: Path) -> dict[str, str]:
    """SHA-256 of every file of a workspace by relative path, without ledger, lock and temporary files."""
    return {
        str(path.relative_to(workspace)): sha256_text(_timeless(path))
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and not path.relative_to(workspace).parts[0].startswith(_NOT_COMPARED)
    }


def _timeless(path: Path) -> str:
    """The file's hash; of the videos' manifest, its text without the day on which each was fetched."""
    if path.name != "videos.jsonl":
        return sha256_file(path)
    return re.sub(r'"accessed_on":"[0-9-]{10}"', "", path.read_text())
