"""What is known of a clip before anyone looks: masks of propagation, a file or machines, spans of what is heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from avis_data.annotation.labels.records import (
    ClipTask,
    Flag,
    LabelledMask,
    LabelledTrack,
    MaskOrigin,
    Media,
    PreLabels,
)
from avis_data.annotation.labels.states import intervals_from_seconds, states
from avis_data.annotation.labels.what_is_heard import Heard, Listeners, clip_heard
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.features.sound_classes import is_voice
from avis_data.paths import Workspace
from avis_data.records import Clip, MaskRow, State

__all__ = ["first_labels", "flags_note", "imported_tracks"]

_LOUDNESS_ONLY = Listeners()


def first_labels(labels: WorkspaceLabels, clip: Clip, listeners: Listeners = _LOUDNESS_ONLY) -> ClipTask:
    """What is known of a clip: masks of propagation, else of an imported file, else of machines alone, and spans.

    A track whose source says when it sounds keeps that. Else spans are suggested only where what is heard says who it
    was (`Heard.of`): to a track that alone can have been it, in the seconds in which it is seen; where no mask is
    known, to the first object of the only category that the list names, unless that is people, of whom there are
    often several. To take away a wrong span costs more than to draw a right one (docs/benchmarks.md).
    """
    heard = clip_heard(
        labels.workspace, clip.clip_id, clip.num_seconds, categories=labels.categories, listeners=listeners
    )
    found = labels.prelabels(clip.clip_id)
    tracks = found.tracks if found is not None else imported_tracks(labels.workspace, clip)
    if found is None and not tracks:
        found = labels.machine_labels(clip.clip_id)
        tracks = found.tracks if found is not None else ()
    if not tracks:
        tracks = _only_object(labels, clip, heard)
    sources = [track.category for track in tracks]
    return ClipTask(
        clip_id=clip.clip_id,
        media=_media(labels, clip, found, tracks),
        tracks=tuple(_with_spans(track, heard, sources, clip.num_seconds) for track in tracks),
        silence=intervals_from_seconds(heard.silent),
        flags=found.flags if found is not None else (),
        note=f"masks from {found.source}" if found is not None and found.tracks else "",
        heard_categories=heard.categories,
        heard_speech=intervals_from_seconds(heard.speech or ()),
        heard_by=heard.by,
    )


def _media(
    labels: WorkspaceLabels, clip: Clip, found: PreLabels | None, tracks: Iterable[LabelledTrack]
) -> Media | None:
    """What the first masks were drawn on; what the clip has now where there are none."""
    if not any(track.masks for track in tracks):
        return Media.of(clip)
    if found is not None:
        frames_sha256 = found.frames_sha256
        return Media.of(clip).model_copy(update={"frames_sha256": frames_sha256}) if frames_sha256 else None
    file = labels.imported().get(clip.clip_id)
    return Media(frames_sha256=file.frames_sha256, audio_sha256=file.audio_sha256) if file is not None else None


def flags_note(flags: Iterable[Flag]) -> str:
    """One line with the flagged pages, counted from 1 as the page does, in their order; empty if there are none."""
    said = [_flag_text(flag) for flag in sorted(flags, key=lambda flag: (flag.frame, flag.identity or ""))]
    return f"Look first at: {'; '.join(said)}" if said else ""


def _flag_text(flag: Flag) -> str:
    name = f" {flag.identity}" if flag.identity else ""
    return f"page {flag.frame + 1}{name} ({flag.message})"


def _only_object(labels: WorkspaceLabels, clip: Clip, heard: Heard) -> tuple[LabelledTrack, ...]:
    if len(clip.categories) != 1 or clip.categories[0] not in labels.categories:
        return ()
    (category,) = clip.categories
    if is_voice(category):
        return ()
    intervals = intervals_from_seconds(heard.of(category))
    if not intervals:
        return ()
    found = states(intervals, (), clip.num_seconds)
    return (LabelledTrack(identity=f"{category}_1", category=category, intervals=intervals, states=found, masks=()),)


def _with_spans(track: LabelledTrack, heard: Heard, sources: Sequence[str], num_seconds: int) -> LabelledTrack:
    if track.intervals or sum(heard.is_alike(track.category, other) for other in sources) > 1:
        return track
    seconds = heard.of(track.category)
    seen = {mask.frame for mask in track.masks}
    intervals = intervals_from_seconds([seconds[frame] and frame in seen for frame in range(num_seconds)])
    return track.model_copy(update={"intervals": intervals, "states": states(intervals, seen, num_seconds)})


def imported_tracks(workspace: Workspace, clip: Clip) -> tuple[LabelledTrack, ...]:
    """Tracks of an imported file, numbered within their category by their first still."""
    from avis_data.masks.table import read_masks

    of_clip = (row for _, rows in read_masks(workspace.masks, [clip.clip_id]) for row in rows)
    rows = [row for row in of_clip if row.counts is not None and row.round == "import"]
    by_track: dict[str, list[MaskRow]] = {}
    for row in rows:
        by_track.setdefault(row.track_id, []).append(row)
    numbers: Counter[str] = Counter()
    tracks = []
    for track_rows in sorted(by_track.values(), key=lambda rows: (rows[0].frame, rows[0].track_id)):
        category = track_rows[0].category
        numbers[category] += 1
        tracks.append(_track(f"{category}_{numbers[category]}", track_rows, clip.num_seconds))
    return tuple(tracks)


def _track(identity: str, rows: Sequence[MaskRow], num_seconds: int) -> LabelledTrack:
    sounding = {row.frame for row in rows if row.state is State.SOUNDING}
    intervals = intervals_from_seconds([frame in sounding for frame in range(num_seconds)])
    return LabelledTrack(
        identity=identity,
        category=rows[0].category,
        intervals=intervals,
        states=states(intervals, {row.frame for row in rows}, num_seconds),
        masks=tuple(mask for row in rows if (mask := _mask(row)) is not None),
    )


def _mask(row: MaskRow) -> LabelledMask | None:
    if row.counts is None:
        return None
    return LabelledMask(
        frame=row.frame,
        height=row.height,
        width=row.width,
        counts=row.counts,
        origin=MaskOrigin.IMPORTED,
        annotator=row.annotator,
    )
