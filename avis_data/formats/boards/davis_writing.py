"""DAVIS written: indexed pictures with the colours of PASCAL VOC, lists of splits, and what the objects are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.avsbench_masks import voc_colours
from avis_data.formats.boards.layout import put_still
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.overlap import painted
from avis_data.formats.sets.spec import Clips
from avis_data.io import write_json, write_lines

__all__ = ["write_clip", "write_shared"]


def write_clip(folder: Path, clip: LabelledClip) -> list[str]:
    """`Annotations/480p/<clip>/00000.png` and the stills; gives their paths."""
    places = ((still, f"{STILLS}/480p/{clip.name}/{place:05d}") for place, still in enumerate(clip.stills))
    names = [name for still, place in places for name in put_still(still, folder, place)]
    if not clip.has_truth:
        return names
    (folder / "Annotations" / "480p" / clip.name).mkdir(parents=True, exist_ok=True)
    colours = voc_colours(256).astype(np.uint8).tobytes()
    for place in range(len(clip.stills)):
        stack = [track.masks[place] for track in clip.tracks]
        picture_HW, _ = painted(stack, height=clip.height, width=clip.width)
        picture = Image.fromarray(picture_HW.astype(np.uint8))
        picture.putpalette(colours)
        name = f"Annotations/480p/{clip.name}/{place:05d}.png"
        picture.save(folder / name)
        names.append(name)
    return names


def write_shared(folder: Path, clips: Clips) -> list[str]:
    """`ImageSets/2017/<split>.txt` and `meta.json`; gives their paths."""
    splits: dict[str, list[str]] = {}
    videos: dict[str, object] = {}
    for clip in clips():
        splits.setdefault(clip.split or "all", []).append(clip.name)
        videos[clip.name] = {
            "objects": {
                str(number): {
                    **({} if track.category is None else {"category": track.category}),
                    "frames": [f"{place:05d}" for place in track.frames],
                    "track_id": track.track_id,
                }
                for number, track in enumerate(clip.tracks, start=1)
            }
        }
    for split, names in splits.items():
        write_lines(folder / "ImageSets" / "2017" / f"{split}.txt", names)
    write_json(folder / "meta.json", {"videos": videos}, indent=None)
    return [*(f"ImageSets/2017/{split}.txt" for split in splits), "meta.json"]
