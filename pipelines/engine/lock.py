"""One command at a time changes a workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from avis_data.errors import AvisError, BusyError, ConfigError
from avis_data.io import TEMPORARY_PREFIX, remove
from avis_data.ledger import Ledger
from avis_data.links.check import check_links
from avis_data.paths import Workspace

__all__ = ["REMOVE", "REPAIR", "locked", "open_for_work"]

REMOVE = "avis-data remove"
"""The one command that completes a removal."""
REPAIR = "avis-data doctor"
"""It mends what a removal may need before it can be completed."""


@contextmanager
def open_for_work(workspace: Workspace, command: str) -> Iterator[Ledger]:
    """Give the ledger of a workspace that is locked for us; the system frees the lock when the process ends, however.

    What a killed command left half written in the tables and manifests is removed first.

    Raises:
        BusyError: if another process holds it; says which command, since when, and its process id.
        DataError: if a link leads out of the workspace, but to a folder of which the owner said so.
        ConfigError: if a removal of videos was broken off, and this is another command.
    """
    with locked(workspace, command), Ledger(workspace.ledger) as ledger:
        run_id = ledger.start_run(command, os.getpid())
        outcome = "interrupted"
        try:
            yield ledger
            outcome = "finished"
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            with suppress(AvisError):  # a full disk, a damaged page: the error that got us here is the one to tell
                ledger.finish_run(run_id, outcome)


@contextmanager
def locked(workspace: Workspace, command: str) -> Iterator[None]:
    """Lock a workspace for us without opening its ledger, for what mends it. Raises as `open_for_work`."""
    check_links(workspace.root)
    workspace.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(_who(workspace), hint="wait until it has ended, or stop it with Ctrl-C") from None
    try:
        if workspace.removal.exists() and command not in (REMOVE, REPAIR):
            message = f"{workspace.root}: a removal of videos was broken off half-way"
            raise ConfigError(message, hint=f"{REMOVE} completes it")
        _remove_left_overs(workspace)
        yield
    finally:
        lock.release()


def _remove_left_overs(workspace: Workspace) -> None:
    """Remove what a kill left in folders that nobody writes into without the lock; the segmenter keeps none."""
    imports = workspace.annotations.glob("import-*")
    for folder in (workspace.manifest, workspace.masks, workspace.features, workspace.removed, *imports):
        for left_over in folder.glob(f"{TEMPORARY_PREFIX}*"):
            remove(left_over)


def _who(workspace: Workspace) -> str:
    message = f"{workspace.root}: another avis-data command is at work here"
    run = None
    with suppress(AvisError), Ledger(workspace.ledger, read_only=True) as ledger:  # a damaged one is told later
        run = ledger.latest_run()
    return f"{message} (`{run.command}`, process {run.pid}, since {run.started_at})" if run else message
