"""Propagate the drawn masks of many clips, one after the other; each is kept as it is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from avis_data.annotation.labels.first_labels import flags_note
from avis_data.annotation.labels.made_masks import MadeMask, mask_sha256, record_made
from avis_data.annotation.labels.records import LabelledMask, LabelledTrack, MaskOrigin, PreLabels
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import prelabels_path, read_prelabels, read_round, write_prelabels
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.propagation.carrier import Carrier
from avis_data.annotation.propagation.carry import CarriedClip, carry
from avis_data.annotation.propagation.flags import flags_of
from avis_data.annotation.propagation.footage import Footage
from avis_data.annotation.propagation.start import Start, start_of
from avis_data.errors import DataError, ItemError, Reason
from avis_data.io import canonical_json, sha256_file, sha256_text
from avis_data.ledger import Done, Failed, Ledger, Output
from avis_data.manifest import read_manifest
from avis_data.masks.rle import Rle
from avis_data.paths import Workspace
from avis_data.records import Clip, Video

__all__ = ["STAGE", "ClipResult", "PropagateReport", "PropagateRequest", "propagate"]

STAGE = "propagate"
"""In the ledger."""
_VERSION = 1
"""Raised when the same masks of an engine would be joined or flagged otherwise."""


@dataclass(frozen=True, kw_only=True)
class PropagateRequest:
    """What a person asks for."""

    clip_ids: Sequence[str] | None
    """None: all."""
    round_name: str | None
    """From whose labels; None: pre-labels, else imported truth."""
    fps: int
    force: bool = False
    """Also clips whose inputs did not change."""
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """What became of one clip."""

    clip_id: str
    state: str
    """`done`, `unchanged`, `nothing drawn`, `failed`, or `to do` on a dry run."""
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
        """For `--json`."""
        return dict(self.__dict__)


@dataclass
class PropagateReport:
    """What a run did."""

    engine: str
    clips: list[ClipResult] = field(default_factory=list)

    @property
    def num_failed(self) -> int:
        """Clips that could not be done."""
        return sum(clip.state == "failed" for clip in self.clips)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "engine": self.engine,
            "failed": self.num_failed,
            "drawn": sum(clip.num_drawn for clip in self.clips),
            "carried": sum(clip.num_carried for clip in self.clips),
            "flags": sum(clip.num_flags for clip in self.clips),
            "clips": [clip.as_dict() for clip in self.clips],
        }


@dataclass(frozen=True, kw_only=True)
class _Job:
    clip: Clip
    start: Start
    footage: Footage
    key: str


def propagate(
    workspace: Workspace,
    ledger: Ledger,
    carrier: Carrier,
    request: PropagateRequest,
    *,
    on_clip: Callable[[ClipResult], None] = lambda _: None,
    on_total: Callable[[int], None] = lambda _: None,
) -> PropagateReport:
    """Carry the drawn masks of clips to all their stills and keep that as their pre-labels.

    Clips that were done from the same masks and pictures by the same engine are left alone. A clip that fails is
    noted in the ledger, and the others go on; a kill costs the clip at work.

    Args:
        workspace: locked by the caller, unless it is a dry run.
        ledger: of it.
        carrier: the engine.
        request: which clips, from what.
        on_clip: called with every clip as it ends.
        on_total: called once with the number of clips.

    Raises:
        ConfigError: if a clip is not in the manifest, or there is none.
        DataError: if there is no such round.
    """
    clips = WorkspaceLabels(workspace).chosen_clips(request.clip_ids)
    if request.round_name is not None:
        read_round(workspace, request.round_name)
    videos = {video.video_id: video for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
    on_total(len(clips))
    report = PropagateReport(engine=carrier.name)
    for clip in clips.values():
        result = _one(workspace, ledger, carrier, request, clip, videos.get(clip.video_id))
        report.clips.append(result)
        on_clip(result)
    return report


def _one(
    workspace: Workspace, ledger: Ledger, carrier: Carrier, request: PropagateRequest, clip: Clip, video: Video | None
) -> ClipResult:
    key = ""
    try:
        start = start_of(workspace, clip, request.round_name)
        if start is None:
            return ClipResult(clip_id=clip.clip_id, state="nothing drawn")
        footage = Footage(workspace, clip, video, fps=request.fps)
        key = _key(carrier, clip, video, start, footage)
        job = _Job(clip=clip, start=start, footage=footage, key=key)
        if not request.force and _is_done(workspace, ledger, job):
            return _result(job, "unchanged", read_prelabels(workspace, clip.clip_id))
        return _result(job, "to do") if request.dry_run else _done(workspace, ledger, carrier, job)
    except (ItemError, DataError) as error:
        reason = error.reason if isinstance(error, ItemError) else Reason.TORN_INPUT
        message = error.message if isinstance(error, ItemError) else str(error)
        if not request.dry_run:
            ledger.commit_failed(STAGE, Failed(item_id=clip.clip_id, key=key, reason=reason, message=message))
        return ClipResult(clip_id=clip.clip_id, state="failed", message=f"{reason}: {message}")


def _done(workspace: Workspace, ledger: Ledger, carrier: Carrier, job: _Job) -> ClipResult:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    clip = job.clip
    carried = carry(carrier, job.footage, job.start.drawn, num_frames=clip.num_frames)
    labels = _prelabels(carrier, job, carried)
    record_made(workspace, clip.clip_id, list(_made(carrier, labels)))
    write_prelabels(workspace, labels)
    result = _result(job, "done", labels)
    path = prelabels_path(workspace, clip.clip_id)
    found = path.stat()
    output = Output(workspace.relative(path), sha256_file(path), found.st_size, found.st_mtime_ns)
    facts = {
        name: value for name, value in result.as_dict().items() if name not in ("clip_id", "state", "note", "message")
    }
    ledger.commit_done(
        STAGE,
        Done(
            item_id=clip.clip_id,
            key=job.key,
            facts=facts | {"engine": carrier.name, "weights_sha256": carrier.weights_sha256},
            inputs={"frames": clip.frames_sha256},
            outputs=[output],
            wall_s=time.monotonic() - wall_s,
            cpu_s=time.process_time() - cpu_s,
        ),
    )
    return result


def _key(carrier: Carrier, clip: Clip, video: Video | None, start: Start, footage: Footage) -> str:
    """Of all that the result depends on."""
    drawn = [[track.model_dump(mode="json", exclude={"states"})] for track in start.tracks]
    pictures = [clip.frames_sha256, clip.start_s, footage.fps, video.sha256 if video and footage.fps > 1 else None]
    engine = [carrier.name, carrier.version, carrier.weights_sha256]
    return sha256_text(canonical_json([_VERSION, engine, pictures, drawn]))


def _is_done(workspace: Workspace, ledger: Ledger, job: _Job) -> bool:
    entry = ledger.entries(STAGE).get(job.clip.clip_id)
    path = prelabels_path(workspace, job.clip.clip_id)
    if entry is None or entry.state != "done" or entry.key != job.key or not path.is_file():
        return False
    return [output.sha256 for output in entry.outputs()] == [sha256_file(path)]


def _prelabels(carrier: Carrier, job: _Job, carried: CarriedClip) -> PreLabels:
    clip = job.clip
    return PreLabels(
        clip_id=clip.clip_id,
        fps=clip.fps,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        tracks=tuple(_track(carrier, track, carried, clip.num_frames) for track in job.start.tracks),
        flags=flags_of(carried, job.start.drawn),
        source=f"propagate: {carrier.name}, from {job.start.source}",
    )


def _track(carrier: Carrier, track: LabelledTrack, carried: CarriedClip, num_frames: int) -> LabelledTrack:
    new = (
        LabelledMask(
            frame=frame,
            height=arrival.rle.height,
            width=arrival.rle.width,
            counts=arrival.rle.counts,
            origin=MaskOrigin.PROPAGATED,
            engine=carrier.name,
            weights_sha256=carrier.weights_sha256,
            confidence=round(arrival.confidence, 4),
        )
        for frame, arrival in carried.arrivals.get(track.identity, {}).items()
        if arrival.rle is not None
    )
    masks = tuple(sorted(chain(track.masks, new), key=lambda mask: mask.frame))
    seen = {mask.frame for mask in masks}
    return track.model_copy(update={"masks": masks, "states": states(track.intervals, seen, num_frames)})


def _made(carrier: Carrier, labels: PreLabels) -> Iterator[MadeMask]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for track in labels.tracks:
        for mask in track.masks:
            if mask.origin is MaskOrigin.PROPAGATED:
                yield MadeMask(
                    sha256=mask_sha256(Rle(mask.height, mask.width, mask.counts)),
                    identity=track.identity,
                    frame=mask.frame,
                    origin=mask.origin,
                    engine=carrier.name,
                    weights_sha256=carrier.weights_sha256,
                    confidence=mask.confidence,
                    at=now,
                )


def _result(job: _Job, state: str, labels: PreLabels | None = None) -> ClipResult:
    num_drawn = sum(len(masks) for masks in job.start.drawn.values())
    num_masks = sum(len(track.masks) for track in labels.tracks) if labels else num_drawn
    return ClipResult(
        clip_id=job.clip.clip_id,
        state=state,
        source=job.start.source,
        fps=job.footage.fps,
        num_drawn=num_drawn,
        num_carried=num_masks - num_drawn,
        num_flags=len(labels.flags) if labels else 0,
        note=flags_note(labels.flags) if labels else "",
    )
