"""Two commands at once in one workspace, and locks of dead processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avis_data.errors import BusyError
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work

HOLDER = """
import sys, time
from pathlib import Path
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
with open_for_work(Workspace(Path(sys.argv[1])), "avis-data extract"):
    print("locked", flush=True)
    time.sleep(600)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from avis_data.io import atomic_path
with atomic_path(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start_holder(root: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
    return holder


def test_the_second_is_told_who_works_and_a_dead_one_keeps_nothing(tmp_path: Path) -> None:
    holder = start_holder(tmp_path)
    try:
        with pytest.raises(BusyError) as caught, open_for_work(Workspace(tmp_path), "avis-data embed"):
            pass
        assert "avis-data extract" in str(caught.value) and f"process {holder.pid}" in str(caught.value)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with open_for_work(Workspace(tmp_path), "avis-data embed") as ledger:
        latest = ledger.latest_run()
        assert latest is not None and latest.command == "avis-data embed"


def test_what_a_killed_command_left_half_written_is_gone_with_the_next_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folders = (workspace.manifest, workspace.masks, workspace.features, workspace.annotations / "import-0123abcd")
    for folder in folders:
        folder.mkdir(parents=True)
        killed = subprocess.run([sys.executable, "-c", KILLED, str(folder / "part-0.parquet")], check=False)
        assert killed.returncode == -signal.SIGKILL and list(folder.iterdir())
        (folder / "part-1.parquet").write_bytes(b"whole")
    with open_for_work(workspace, "avis-data import"):
        pass
    assert [path.name for folder in folders for path in folder.iterdir()] == ["part-1.parquet"] * len(folders)
