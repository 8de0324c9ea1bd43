"""`manifest/origins.jsonl`: which workspace each clip of a merged one comes from, in which state, when and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from avis_data.manifest import read_manifest, write_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.merge.plan import MergePlan
from avis_data.records import Record, SafeId, Sha256

__all__ = ["Origin", "origins_path", "write_origins"]


class Origin(Record):
    """Where a clip was before a merge. One that went through several has a line for each, the oldest first."""

    clip_id: SafeId
    video_id: SafeId
    workspace: str = Field(description="Name of the folder that it was in.")
    state_sha256: Sha256 = Field(description="Of that workspace's ledger as text (`manifest/ledger.jsonl`).")
    was_clip_id: SafeId
    was_video_id: SafeId
    merged_on: str = Field(description="YYYY-MM-DD, UTC.")
    merged_by: str


def origins_path(workspace: Workspace) -> Path:
    """The file; it is there where the workspace was made by a merge."""
    return workspace.manifest / "origins.jsonl"


def write_origins(workspace: Workspace, plan: MergePlan, *, today: str, by: str) -> None:
    """Keep where all clips come from, with what earlier merges had kept of them."""
    lines = sorted(_origins(plan, today=today, by=by), key=lambda line: line.clip_id)  # stable: the oldest stay first
    write_manifest(origins_path(workspace), lines)


def _origins(plan: MergePlan, *, today: str, by: str) -> Iterator[Origin]:
    for name, side in plan.sides.items():
        clips, videos = plan.clip_ids(name, owned=False), plan.video_ids(name)
        for line in read_manifest(origins_path(side.workspace), Origin):
            if line.clip_id in clips:
                new = clips[line.clip_id]
                yield line.model_copy(update={"clip_id": new, "video_id": plan.clips[new].video_id})
        old_video = {new: old for old, new in videos.items()}
        for old, new in clips.items():
            video_id = plan.clips[new].video_id
            yield Origin(
                clip_id=new,
                video_id=video_id,
                workspace=side.source.resolve().name,
                state_sha256=side.state_sha256,
                was_clip_id=old,
                was_video_id=old_video[video_id],
                merged_on=today,
                merged_by=by,
            )
