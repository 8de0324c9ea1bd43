"""What became of each clip that `propagate` was asked for, in words and figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from avis_data.annotation.propagation.propagate import SPEC, PropagateFacts, PropagateRequest
from avis_data.ledger import Ledger
from avis_data.pipelines.engine.planner import Plan

__all__ = ["ClipResult", "clip_results"]


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """What became of one clip."""

    clip_id: str
    state: str
    """`done`, `unchanged`, `nothing drawn`, `failed`, or `to do` where nothing was done with it."""
    source: str = ""
    fps: int = 0
    """Pictures per second that were looked at; 1: the stills only."""
    num_drawn: int = 0
    num_carried: int = 0
    num_flags: int = 0
    note: str = ""
    """The stills to look at."""
    message: str = ""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def clip_results(
    ledger: Ledger, plan: Plan, *, done_ids: Collection[str] = (), clip_ids: Sequence[str] | None = None
) -> list[ClipResult]:
    """What became of every clip, by id.

    Args:
        ledger: after the run.
        plan: of the run.
        done_ids: clips that it finished.
        clip_ids: those that were asked for; None: all.
    """
    facts = dict(ledger.read_facts(SPEC.name, PropagateFacts))
    failures = {
        clip_id: f"{entry.reason}: {entry.message}"
        for clip_id, entry in ledger.entries(SPEC.name).items()
        if entry.state == "failed" and (clip_ids is None or clip_id in clip_ids)
    }
    failures |= {clip_id: f"{error.reason}: {error.message}" for clip_id, error in plan.unreadable.items()}
    found = {clip_id: ClipResult(clip_id=clip_id, state="failed", message=why) for clip_id, why in failures.items()}
    found |= {clip_id: ClipResult(clip_id=clip_id, state=why) for clip_id, why in plan.nothing_to_do.items()}
    found |= {clip_id: _of_facts(clip_id, "unchanged", facts[clip_id]) for clip_id in plan.done}
    found |= {clip_id: _of_facts(clip_id, "done", facts[clip_id]) for clip_id in done_ids}
    for planned in plan.todo:
        request, clip_id = planned.item.parsed_record(), planned.item.item_id
        if clip_id not in done_ids and clip_id not in failures and isinstance(request, PropagateRequest):
            found[clip_id] = ClipResult(
                clip_id=clip_id,
                state="to do",
                source=request.source,
                fps=request.video_fps,
                num_drawn=sum(len(track.masks) for track in request.tracks),
            )
    return [found[clip_id] for clip_id in sorted(found)]


def _of_facts(clip_id: str, state: str, facts: PropagateFacts) -> ClipResult:
    return ClipResult(
        clip_id=clip_id,
        state=state,
        source=facts.source,
        fps=facts.video_fps,
        num_drawn=facts.num_drawn,
        num_carried=facts.num_carried,
        num_flags=facts.num_flags,
        note=facts.note,
    )
