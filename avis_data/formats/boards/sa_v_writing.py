"""SA-V files written: the fields of its README, masks down the columns, stills as the loader of SAM 2 opens them."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from avis_data.errors import DataError
from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.io import write_json, write_lines
from avis_data.masks.rle import area, rle_from_runs
from avis_data.media.stills import UNREADABLE_PICTURE

__all__ = ["OURS", "without_other_pictures", "write_clip", "write_lists"]

OURS = "avis_data"
"""The key of what SA-V cannot say."""
_SMALL_PX, _LARGE_PX = 32**2, 96**2
_QUALITY = 95
"""Of stills that become JPEG."""


def write_clip(folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
    """The stills of a clip and, if it has truth, `<split>/Annotations/<clip>_manual.json`; gives their paths.

    Raises:
        DataError: if a still cannot be read.
    """
    split = clip.split or "all"
    names = []
    for place, still in enumerate(clip.stills):
        if still.picture is not None:
            names.append(f"{split}/{STILLS}/{clip.name}/{place:05d}.jpg")
            _put_jpeg(still.picture, folder / names[-1])
    if clip.has_truth:
        names.append(f"{split}/Annotations/{clip.name}_manual.json")
        write_json(folder / names[-1], _content(clip, facts), indent=None)
    return names


def write_lists(folder: Path, clips: Clips) -> list[str]:
    """`<split>/<split>.txt`: the clips in which an object is seen, for the loader's `file_list_txt`."""
    seen: dict[str, list[str]] = {}
    for clip in clips():
        listed = seen.setdefault(clip.split or "all", [])
        if clip.has_truth and any(track.frames for track in clip.tracks):
            listed.append(clip.name)
    for split, names in seen.items():
        write_lines(folder / split / f"{split}.txt", names)
    return [f"{split}/{split}.txt" for split in seen]


def without_other_pictures(clip: LabelledClip) -> LabelledClip:
    """The clip without the pictures that become JPEG: they do not come back as they were."""
    stills = (
        still if still.picture is None or _is_jpeg(still.picture) else replace(still, picture=None)
        for still in clip.stills
    )
    return replace(clip, stills=tuple(stills))


def _is_jpeg(picture: Media) -> bool:
    return PurePosixPath(picture.name).suffix.lower() in (".jpg", ".jpeg")


def _put_jpeg(picture: Media, target: Path) -> None:
    """Make a still the file that the loader asks for, which has no other ending."""
    if _is_jpeg(picture):
        picture.put(target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Image.open(io.BytesIO(picture.read())) as opened:
            ImageOps.exif_transpose(opened).convert("RGB").save(target, "JPEG", quality=_QUALITY)
    except UNREADABLE_PICTURE as error:
        raise DataError(f"{picture.path or picture.name}: no picture ({error})") from None


def _content(clip: LabelledClip, facts: SetFacts) -> dict[str, object]:
    fps = clip.fps or facts.fps
    length, num_labelled = len(clip.stills), sum(still.is_labelled for still in clip.stills)
    sizes = [_mean_area(track) for track in clip.tracks]
    split = {} if clip.split is None else {"video_split": clip.split}
    return {
        "video_id": clip.name,
        "video_duration": None if fps is None else length / fps,
        "video_frame_count": float(length),
        "video_height": float(clip.height),
        "video_width": float(clip.width),
        "video_resolution": float(clip.height * clip.width),
        "video_environment": [],
        **split,
        "masklet": _masklets(clip),
        "masklet_id": list(range(1, len(clip.tracks) + 1)),
        "masklet_size_rel": [size / (clip.height * clip.width) for size in sizes],
        "masklet_size_abs": sizes,
        "masklet_size_bucket": ["small" if s < _SMALL_PX else "medium" if s < _LARGE_PX else "large" for s in sizes],
        "masklet_visibility_changes": [_changes(track) for track in clip.tracks],
        "masklet_first_appeared_frame": [next(iter(track.frames), -1) for track in clip.tracks],
        "masklet_frame_count": [num_labelled] * len(clip.tracks),
        "masklet_edited_frame_count": [num_labelled] * len(clip.tracks),
        "masklet_type": ["manual"] * len(clip.tracks),
        "masklet_stability_score": None,
        "masklet_num": len(clip.tracks),
        OURS: _ours(clip),
    }


def _masklets(clip: LabelledClip) -> list[list[dict[str, object]] | None]:
    """For each still the mask of each object, of no pixels where it is not there; null where nobody looked.

    Null in place of one mask would do as well, but then the loader drops the frame for all objects.
    """
    size = [clip.height, clip.width]
    nothing = rle_from_runs([clip.height * clip.width], height=clip.height, width=clip.width)
    return [
        [{"size": size, "counts": (track.masks[place] or nothing).counts} for track in clip.tracks]
        if still.is_labelled
        else None
        for place, still in enumerate(clip.stills)
    ]


def _mean_area(track: LabelledTrack) -> float:
    """Pixels, over the stills in which it is seen; 0 if in none."""
    areas = [area(mask) for mask in track.masks if mask is not None]
    return sum(areas) / len(areas) if areas else 0.0


def _changes(track: LabelledTrack) -> int:
    """How often it leaves or comes back after it was first seen."""
    after = track.masks[next(iter(track.frames), 0) :]
    return sum((one is None) != (other is None) for one, other in pairwise(after))


def _ours(clip: LabelledClip) -> dict[str, object]:
    """What SA-V has no field for."""
    said = {
        "fps": clip.fps,
        "license": clip.license,
        "source": clip.source,
        "url": clip.url,
        "start_s": clip.start_s,
        "has_identity": None if clip.has_identity else False,
    }
    tracks = [
        {"track_id": track.track_id, "category": track.category, "sounding": list(track.sounding)}
        for track in clip.tracks
    ]
    return {**{name: value for name, value in said.items() if value is not None}, "tracks": tracks}
