"""Pictures of predictions: a contact sheet of a clip, with what is true and what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from avis_data.io import atomic_path
from avis_data.masks.rle import Rle, area
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.sheet import contact_sheet
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.split import DatasetClip, SplitData

__all__ = ["predicted_view", "sound_of", "true_view", "write_sheet"]

_GAP_PX = 12
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def sound_of(split: SplitData, clip: DatasetClip) -> Path | None:
    """The WAV file of a clip; None where there is none."""
    path = split.truth.parent / split.name / "WAVAudios" / f"{clip.clip_id}.wav"
    return path if path.is_file() else None


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


def write_sheet(
    path: Path, views: Sequence[ClipView], *, seconds: range | None = None, titles: Sequence[str] = ()
) -> None:
    """Write contact sheets of the same clip below each other, as PNG on white.

    Args:
        seconds: the part to show; None for the whole clip.
        titles: what each sheet is called, left of its first still; empty: they have no names.

    Raises:
        DataError: if a still is no picture, or the sound no sound file.
    """
    sheets = [contact_sheet(view, seconds=seconds) for view in views]
    height = sum(sheet.height + _GAP_PX for sheet in sheets)
    page = Image.new("RGB", (max(sheet.width for sheet in sheets), height), _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    top = 0
    for sheet, title in zip(sheets, titles or [""] * len(sheets), strict=True):
        page.paste(sheet, (0, top), sheet)
        draw.text((2, top + 4), title, font=font, fill=_INK)
        top += sheet.height + _GAP_PX
    with atomic_path(path) as part:
        page.save(part, format="PNG")


def _view(
    split: SplitData, clip: DatasetClip, labels: Sequence[str], masks: Sequence[tuple[Rle | None, ...]]
) -> ClipView:
    return ClipView(
        name=clip.clip_id,
        split=split.name,
        stills=tuple(clip.folder / name for name in clip.file_names),
        sound=sound_of(split, clip),
        tracks=tuple(TrackView(label=label, masks=row) for label, row in zip(labels, masks, strict=True)),
        fps=clip.times.fps,
    )
