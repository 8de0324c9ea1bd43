"""The end of a round: nothing is given out in it any more, and what is open in it does not count."""

from __future__ import annotations

from datetime import datetime

from avis_data.annotation.labels.records import RoundInfo
from avis_data.annotation.labels.rounds import ClipState, Place
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import ConfigError

__all__ = ["close_round", "open_clips"]

_SHOWN = 10
_OPEN = {ClipState.DRAFT, ClipState.REVIEW, ClipState.FIX}


def open_clips(labels: WorkspaceLabels, name: str) -> list[Place]:
    """The clips on which somebody is still at work in a round."""
    return [place for place in labels.places() if place.round == name and place.state in _OPEN]


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
