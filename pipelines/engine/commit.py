"""Move a finished item's files into place, then say so in the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from avis_data.io import remove
from avis_data.ledger import Done, Ledger, Output
from avis_data.paths import Workspace
from avis_data.pipelines.engine.planner import PlannedItem
from avis_data.pipelines.engine.worker import Success

__all__ = ["commit_success"]


def commit_success(
    workspace: Workspace, ledger: Ledger, stage: str, planned: PlannedItem, out: Path, success: Success
) -> None:
    """Rename the outputs of one item into its home and record them; a kill in between leaves an item to do again.

    Raises:
        OSError: if a rename fails (another file system, no permission, disk full).
    """
    item = planned.item
    if planned.replaces:
        ledger.begin_replacing(stage, item.item_id)
    home = workspace.root / item.home
    home.mkdir(parents=True, exist_ok=True)
    for path in planned.replaces:
        remove(workspace.root / path)
    outputs = []
    for output in success.outputs:
        target = home / output.path
        remove(target)  # left by a run that was killed between rename and ledger
        os.replace(out / output.path, target)
        outputs.append(output._replace(path=workspace.relative(target), mtime_ns=target.stat().st_mtime_ns))
    _flush(home)
    ledger.commit_done(stage, _done(planned, success, outputs))
    remove(workspace.tmp / stage / item.item_id)


def _done(planned: PlannedItem, success: Success, outputs: list[Output]) -> Done:
    return Done(
        item_id=success.item_id,
        key=planned.key,
        facts=success.facts,
        inputs={name: found.sha256 for name, found in planned.item.inputs.items()},
        outputs=outputs,
        wall_s=success.wall_s,
        cpu_s=success.cpu_s,
    )


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
