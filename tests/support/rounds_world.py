"""Rounds of annotation as files, without a server: who was given which clip, and what they said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avis_data.annotation.labels.records import (
    Assignment,
    ClipProblem,
    Interval,
    LabelledClip,
    LabelledMask,
    LabelledTrack,
    MaskOrigin,
    Media,
    Revision,
    RoundInfo,
    RoundKind,
    RoundProject,
    Verdict,
)
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import write_labelled, write_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.formats.ytvis import read_ytvis
from avis_data.io import sha256_tree
from avis_data.ledger import Done, Ledger, Output
from avis_data.masks.rle import Rle, encode
from avis_data.paths import Workspace
from avis_data.pipelines.manifests import write_manifests
from support.fake_workspace import WIDTH_HEIGHT, FakeClip, make_workspace

__all__ = ["clips_only", "exported_masks", "extracted_again", "labels", "open_round", "say", "square", "track"]

SECONDS = 6


def clips_only(root: Path, *clip_ids: str) -> Workspace:
    """A workspace ready for export, whose clips nobody labelled."""
    return make_workspace(
        root, [FakeClip(clip_id=name, video_id=f"v_{name}", num_seconds=SECONDS) for name in clip_ids]
    )


def square(x: int, y: int, size: int = 8) -> np.ndarray:
    """bool (H, W): a square with its upper left corner at (x, y)."""
    width, height = WIDTH_HEIGHT
    mask_HW = np.zeros((height, width), dtype=bool)
    mask_HW[y : y + size, x : x + size] = True
    return mask_HW


def track(
    identity: str,
    masks: Mapping[int, np.ndarray],
    heard: Sequence[tuple[float, float]],
    *,
    num_seconds: int = SECONDS,
    origin: MaskOrigin = MaskOrigin.CLICKED,
    annotator: str = "ann@example.com",
) -> LabelledTrack:
    """One object: its masks by second, and the spans in which it is heard."""
    intervals = tuple(Interval(start_s=start_s, end_s=end_s) for start_s, end_s in heard)
    coded = {second: encode(mask_HW) for second, mask_HW in sorted(masks.items())}
    return LabelledTrack(
        identity=identity,
        category=identity.rpartition("_")[0],
        intervals=intervals,
        states=states(intervals, coded, num_seconds),
        masks=tuple(
            LabelledMask(
                frame=second,
                height=rle.height,
                width=rle.width,
                counts=rle.counts,
                origin=origin,
                engine="grabcut" if origin is MaskOrigin.CLICKED else None,
                annotator=annotator,
            )
            for second, rle in coded.items()
        ),
    )


def labels(
    clip_id: str,
    round_name: str,
    annotator: str,
    tracks: Sequence[LabelledTrack] = (),
    verdict: Verdict | None = Verdict.DONE,
    *,
    note: str = "",
    reasons: tuple[str, ...] = (),
    problems: int = 0,
    project_id: int | None = None,
    updated_at: str = "2026-01-01T00:00:00Z",
    num_seconds: int = SECONDS,
    off_screen: Sequence[tuple[float, float]] = (),
) -> LabelledClip:
    """What one person said of one clip in one round."""
    width, height = WIDTH_HEIGHT
    file = f"annotations/{round_name}/received/{clip_id}/x.json.gz"
    made_from = dict(task_id=1, annotation_id=1, updated_at=updated_at, file=file)
    return LabelledClip(
        clip_id=clip_id,
        round=round_name,
        annotator=annotator,
        fps=1.0,
        num_frames=num_seconds,
        height=height,
        width=width,
        tracks=tuple(tracks),
        off_screen=tuple(Interval(start_s=start_s, end_s=end_s) for start_s, end_s in off_screen),
        verdict=verdict,
        reasons=reasons,
        note=note,
        lead_time_s=30.0,
        revision=Revision(project_id=project_id, **made_from) if project_id is not None else None,
        problems=tuple(ClipProblem(kind="speck", message=f"problem {number}") for number in range(problems)),
    )


def say(workspace: Workspace, *said: LabelledClip) -> None:
    """Write labels as a pull would; on the stills that the clip has now, where they do not say which."""
    for item in said:
        clip = WorkspaceLabels(workspace).clips.get(item.clip_id)
        media = item.media or (Media.of(clip) if clip is not None else None)
        write_labelled(workspace, item.model_copy(update={"media": media}))


def open_round(
    workspace: Workspace, name: str, given: Mapping[str, Sequence[str | None]], **round_fields: object
) -> None:
    """Note who was given which clips, and a project for each person, numbered from 1 by name."""
    WorkspaceLabels(workspace).give(
        name,
        [Assignment(clip_id=clip_id, annotator=person) for clip_id in given for person in given[clip_id]],
    )
    people = sorted({person for people in given.values() for person in people}, key=lambda person: person or "")
    projects = tuple(
        RoundProject(project_id=number, title=f"{name} {person}", annotator=person)
        for number, person in enumerate(people, start=1)
    )
    kind = RoundKind(name.partition("-")[0])
    write_round(
        workspace,
        RoundInfo(name=name, kind=kind, created_at="2026-01-01T00:00:00Z", projects=projects, **round_fields),  # type: ignore[arg-type]
    )


def extracted_again(workspace: Workspace, clip_id: str) -> None:
    """Ledger and manifests after an extraction that gave what is on the disk now."""
    paths = [workspace.clip_dir(clip_id) / name for name in ("frames", "audio.wav")]
    with Ledger(workspace.ledger) as ledger:
        done = Done(
            item_id=clip_id,
            key=ledger.entries("extract")[clip_id].key,
            facts=json.loads(dict(ledger.facts("extract"))[clip_id]),
            inputs=ledger.inputs("extract")[clip_id],
            outputs=[Output(path=workspace.relative(path), sha256=sha256_tree(path), size_bytes=1) for path in paths],
            wall_s=1.0,
            cpu_s=1.0,
        )
        ledger.commit_done("extract", done)
        write_manifests(workspace, ledger)


def exported_masks(workspace: Workspace) -> dict[tuple[str, str], Sequence[Rle | None]]:
    """The masks of the export `ytvis`, by clip and category; one track of each is enough for these tests."""
    found: dict[tuple[str, str], Sequence[Rle | None]] = {}
    for path in sorted((workspace.exports / "ytvis").glob("*.json")):
        if path.name == "certificate.json":
            continue
        dataset = read_ytvis(path)
        names = {video.video_id: video.name for video in dataset.videos}
        categories = {category.id: category.name for category in dataset.categories}
        found |= {(names[item.video_id], categories[item.category_id]): item.masks for item in dataset.tracks}
    return found
