"""Show predicted masks of an AVSBench dataset, as `visualize` shows tracks: what sounds, or one row per class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.avsbench_clips import AvsFiles, open_layout
from avis_data.formats.avsbench_masks import classes_of_colours
from avis_data.masks.rle import Rle, encode
from avis_data.media.stills import UNREADABLE_PICTURE, open_still
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.render import write_views
from avis_data.training.predict.visualize import panel_title

__all__ = ["masks_view", "visualize_masks"]


def visualize_masks(
    data: Path,
    masks: Mapping[str, Path],
    out: Path,
    *,
    split_name: str = "test",
    clip_ids: Sequence[str] = (),
    on_clip: Callable[[int], None] = lambda of: None,
) -> list[Path]:
    """Render predicted masks of a split: `<clip>.mp4`, with sound where the dataset has WAV files, and `<clip>.png`.

    Each model has a panel.

    Args:
        data: a dataset in a layout of AVSBench.
        masks: title of the panel -> folder of masks; a title may be empty where there is one folder.
        clip_ids: only these; empty: all.
        on_clip: called after each clip with the number of all.

    Returns:
        The files that were written.

    Raises:
        DataError: if dataset or clip ids are not in order; if a file of a clip is bad, after the others were written.
        ToolError: if ffmpeg is missing.
    """
    layout = open_layout(data)
    of_split = {clip.clip_id: clip for clip in layout.clips(split_name)}
    if not of_split:
        raise DataError(f"{layout.table}: lists no clip of {split_name!r}")
    unknown = sorted(set(clip_ids) - set(of_split))
    if unknown:
        raise DataError(f"{layout.table}: has no clip {', '.join(unknown)} in {split_name!r}")
    chosen = clip_ids or list(of_split)

    def panels(clip_id: str) -> list[ClipView]:
        of_models = {
            title: masks_view(of_split[clip_id], folder, split_name, layout.categories)
            for title, folder in masks.items()
        }
        return [replace(view, title=panel_title(title, bool(view.tracks))) for title, view in of_models.items()]

    return write_views(chosen, panels, out, on_clip=lambda: on_clip(len(chosen)))


def masks_view(clip: AvsFiles, masks: Path, split_name: str, categories: dict[int, str]) -> ClipView:
    """A clip with a row for each class that is predicted anywhere in it.

    Raises:
        DataError: if a still or a mask is missing or no picture.
    """
    found: dict[int, list[Rle | None]] = {}
    for frame, (still, name) in enumerate(zip(clip.frames, clip.result_names, strict=True)):
        values = _values(masks / clip.result / name, open_still(still).size, categories)
        for value in np.unique(values[values > 0]).tolist():
            found.setdefault(value, [None] * len(clip.frames))[frame] = encode(values == value)
    return ClipView(
        name=clip.clip_id,
        split=split_name,
        stills=clip.frames,
        sound=next((path for path in clip.sounds if path.suffix == ".wav" and path.is_file()), None),
        tracks=tuple(
            TrackView(label=categories.get(value, f"class {value}"), masks=tuple(found[value]))
            for value in sorted(found)
        ),
    )


def _values(path: Path, size: tuple[int, int], categories: dict[int, str]) -> NDArray[np.intp]:
    """What is where, at the size of the still: grey pictures hold probabilities, all others classes."""
    try:
        with Image.open(path) as picture:
            scaled = picture.resize(size, Image.Resampling.NEAREST)
            if scaled.mode == "L":
                return (np.asarray(scaled) > 127).astype(np.intp)
            if scaled.mode == "P":
                return np.asarray(scaled).astype(np.intp)
            return classes_of_colours(np.asarray(scaled.convert("RGB")), max(categories) + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such mask", hint="avis-data predict --data DATASET --out MASKS") from None
    except UNREADABLE_PICTURE as error:
        raise DataError(f"{path}: cannot be read as a picture ({error})") from None
