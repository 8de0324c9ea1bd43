"""The end of a round: nothing is given out in it any more, and what is open in it does not count."""

from __future__ import annotations

from datetime import datetime

from avis_data.annotation.labels.records import RoundInfo
from avis_data.annotation.labels.rounds import ClipState, Place
from avis_data.annotation.labels.tables import update_tables
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.projects import close_projects
from avis_data.annotation.labelstudio.settings import connect, server_dir
from avis_data.annotation.work.pull import PullReport, pull_rounds
from avis_data.errors import ConfigError, ToolError
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work

__all__ = ["close_round", "close_workspace_round", "open_clips"]

_SHOWN = 10
_OPEN = {ClipState.DRAFT, ClipState.REVIEW, ClipState.FIX}


def open_clips(labels: WorkspaceLabels, name: str) -> list[Place]:
    """The clips on which somebody is still at work in a round."""
    return [place for place in labels.places() if place.round == name and place.state in _OPEN]


def close_workspace_round(
    workspace: Workspace, name: str, *, now: datetime, reason: str | None = None
) -> tuple[RoundInfo, PullReport | None]:
    """Pull what people submitted, close the round as `close_round` does, and let its projects look closed.

    Killed at any moment, the same call completes what is missing.

    Returns:
        The round, and what the pull brought; None where the workspace never had a server.

    Raises:
        BusyError: if another command is at work in the workspace.
        ToolError: if the server does not answer, or single tasks could not be pulled: nothing is closed then.
    """
    has_server = (server_dir(workspace) / "server.json").is_file()
    client = connect(workspace)[0] if has_server else None
    report = None
    with open_for_work(workspace, "avis-data review close") as ledger:
        labels = WorkspaceLabels(workspace)
        info = labels.round(name)
        if client is not None and info.closed_at is None:
            report = pull_rounds(labels, client, names=[name])
            update_tables(labels, ledger)
            if report.failed:
                where, why = next(iter(report.failed.items()))
                message = f"{name} stays open: {len(report.failed)} task(s) cannot be pulled, as {where}: {why}"
                raise ToolError(message, hint="avis-data annotate pull, then close it again")
        info = close_round(labels, name, now=now, reason=reason)
        if client is not None:
            close_projects(labels, client, info)
        update_tables(labels, ledger)
    return labels.round(name), report


def close_round(labels: WorkspaceLabels, name: str, *, now: datetime, reason: str | None = None) -> RoundInfo:
    """Close a round, for good; closing it again changes nothing.

    Clips that are open in it stand afterwards where they stood before the round, and get their task in the next one.

    Args:
        labels: of a workspace that the caller has locked.
        name: of the round.
        now: with time zone; kept.
        reason: why it is closed although clips are open; kept. None: it must have none.

    Raises:
        ConfigError: if clips are open and there is no reason.
        DataError: if there is no such round.
    """
    info = labels.round(name)
    if info.closed_at is not None:
        return info
    waiting = open_clips(labels, name)
    if waiting and reason is None:
        shown = "; ".join(f"{place.clip_id} waits for {', '.join(place.waits_for)}" for place in waiting[:_SHOWN])
        more = f"; and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        raise ConfigError(
            f"{name}: {len(waiting)} clip(s) are open: {shown}{more}",
            hint=f"avis-data annotate pull, or avis-data review close {name} --reason 'WHY'",
        )
    info = info.model_copy(
        update={"closed_at": now.isoformat(timespec="seconds"), "close_reason": reason if waiting else None}
    )
    labels.keep_round(info)
    return info
