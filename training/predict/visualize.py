"""Show predictions of a split in the AVISeg layout: which clips, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from avis_data.errors import DataError
from avis_data.formats.aviseg_folders import sound_path
from avis_data.masks.rle import Rle, area
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.render import write_views
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.split import DatasetClip, SplitData, open_split
from avis_data.training.predict.results import read_results

__all__ = ["predicted_view", "true_view", "visualize"]


def visualize(
    data: Path,
    results: Path,
    out: Path,
    *,
    split_name: str = "test",
    clip_ids: Sequence[str] = (),
    on_clip: Callable[[int], None] = lambda of: None,
) -> list[Path]:
    """Render predictions of a split: `<clip>.mp4` and `<clip>.png` for every clip.

    Args:
        data: a dataset in the AVISeg layout.
        results: a result file.
        clip_ids: only these; empty: all.
        on_clip: called after each clip with the number of all.

    Returns:
        The files that were written.

    Raises:
        DataError: if dataset, results or clip ids are not in order, or a file of a clip is bad.
        ToolError: if ffmpeg is missing.
    """
    split = open_split(data, split_name, num_classes=None, audio=None)
    tracks = read_results(results, split)
    unknown = sorted(set(clip_ids) - set(tracks))
    if unknown:
        raise DataError(f"{split.truth}: has no clip {', '.join(unknown)}")
    clips = [clip for clip in split.clips if not clip_ids or clip.clip_id in clip_ids]
    views = (predicted_view(split, clip, tracks[clip.clip_id]) for clip in clips)
    return write_views(views, out, on_clip=lambda: on_clip(len(clips)))


def true_view(split: SplitData, clip: DatasetClip) -> ClipView:
    """A clip with its true tracks."""
    labels = [split.categories.get(track.label + 1, f"class {track.label + 1}") for track in clip.tracks]
    return _view(split, clip, labels, [track.masks for track in clip.tracks])


def predicted_view(split: SplitData, clip: DatasetClip, tracks: Sequence[PredictedTrack]) -> ClipView:
    """A clip with predicted tracks, named by class and score in percent; an empty mask means that it is silent."""
    labels = [
        f"{split.categories.get(track.label + 1, f'class {track.label + 1}')} {100 * track.score:.0f}"
        for track in tracks
    ]
    masks = [tuple(mask if area(mask) else None for mask in track.masks) for track in tracks]
    return _view(split, clip, labels, masks)


def _view(
    split: SplitData, clip: DatasetClip, labels: Sequence[str], masks: Sequence[tuple[Rle | None, ...]]
) -> ClipView:
    return ClipView(
        name=clip.clip_id,
        split=split.name,
        stills=tuple(clip.folder / name for name in clip.file_names),
        sound=_sound_of(split, clip),
        tracks=tuple(TrackView(label=label, masks=row) for label, row in zip(labels, masks, strict=True)),
        fps=clip.times.fps,
    )


def _sound_of(split: SplitData, clip: DatasetClip) -> Path | None:
    """The WAV file of a clip; None where there is none."""
    path = sound_path(split.truth.parent, split.name, clip.clip_id)
    return path if path.is_file() else None
