"""The masks that propagation starts from: what somebody drew, or a file holds. What machines made never carries on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from avis_data.annotation.labels.first_labels import imported_tracks
from avis_data.annotation.labels.records import LabelledClip, LabelledTrack, MaskOrigin, Verdict
from avis_data.annotation.labels.store import read_labelled
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import ItemError, Reason
from avis_data.masks.rle import Rle
from avis_data.records import Clip

__all__ = ["Start", "start_of"]


_OF_MACHINES = (MaskOrigin.PROPAGATED, MaskOrigin.PRELABELLED)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is drawn of one clip."""

    tracks: tuple[LabelledTrack, ...]
    """Without carried masks; some may have no mask at all."""
    source: str
    """Where it is from: `round draft, a@example.com`, `pre-labels` or `imported truth`."""
    frames_sha256: str | None
    """Of the stills that it was drawn on; None: not known."""

    @property
    def drawn(self) -> dict[str, dict[int, Rle]]:
        """Identity to still to mask, of the tracks that have one."""
        return {track.identity: {mask.frame: mask.rle for mask in track.masks} for track in self.tracks if track.masks}


def start_of(labels: WorkspaceLabels, clip: Clip, round_name: str | None) -> Start | None:
    """What is drawn of a clip; None where nothing is.

    Args:
        labels: only read.
        clip: from the manifest.
        round_name: what people said in that round counts, of several the one with the fewest problems; None: the
            clip's pre-labels, else the truth that was imported.

    Raises:
        ItemError: `torn_input` if masks do not fit the clip.
        DataError: if a file of them is damaged.
    """
    start = _of_round(labels, clip, round_name) if round_name is not None else _known(labels, clip)
    if start is None:
        return None
    for track in start.tracks:
        for mask in track.masks:
            if mask.frame >= clip.num_frames or (mask.height, mask.width) != (clip.height, clip.width):
                place = f"still {mask.frame}, {mask.width}x{mask.height}"
                wanted = f"{clip.num_frames} stills of {clip.width}x{clip.height}"
                message = f"{clip.clip_id}: a mask of {track.identity} is of another clip ({place}; it has {wanted})"
                raise ItemError(message, reason=Reason.TORN_INPUT)
    return start if start.drawn else None


def _of_round(labels: WorkspaceLabels, clip: Clip, round_name: str) -> Start | None:
    every = read_labelled(labels.workspace, round_name, clip.clip_id)
    labelled = [said for said in every if said.verdict != Verdict.DROP]
    if not labelled:
        return None
    best = min(labelled, key=_preference)
    media, source = labels.media_of(best), f"round {round_name}, {best.annotator}"
    return Start(
        tracks=_without_carried(best.tracks), source=source, frames_sha256=media.frames_sha256 if media else None
    )


def _preference(said: LabelledClip) -> tuple[int, str]:
    return len(said.problems), said.annotator


def _known(labels: WorkspaceLabels, clip: Clip) -> Start | None:
    found = labels.prelabels(clip.clip_id)
    if found is not None:
        tracks = _without_carried(found.tracks)
        return Start(tracks=tracks, source="pre-labels", frames_sha256=found.frames_sha256)
    file = labels.imported().get(clip.clip_id)
    tracks = imported_tracks(labels.workspace, clip)
    return Start(tracks=tracks, source="imported truth", frames_sha256=file.frames_sha256 if file else None)


def _without_carried(tracks: Iterable[LabelledTrack]) -> tuple[LabelledTrack, ...]:
    return tuple(
        track.model_copy(update={"masks": tuple(mask for mask in track.masks if mask.origin not in _OF_MACHINES)})
        for track in tracks
    )
