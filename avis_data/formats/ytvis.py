"""The YouTube-VIS / AVISeg truth format: one JSON file for a split. Reading is lenient in form, strict in content.

**What is read.** Masks as polygons, RLE dicts (compressed or not) or lists of RLE dicts; null and `[]` both mean that
the track does not sound in that frame. `bboxes`, `height`, `width`, `length` of annotations may be missing.

**What is written.** Polygons, by default, because they are the only form that both official programs read: the
evaluation takes polygons or *lists* of uncompressed RLE dicts; the training loader takes polygons or *single* RLE dicts
(of a list it keeps the elements of 6 values or more, so it drops every mask in a list of dicts). Nothing is lost: the
outlines run along pixel borders, so COCO's rasteriser gives back exactly the same pixels
(`masks.polygons.polygons_from_mask`). `form="rle"` writes compressed RLE dicts instead, often half the size; the
official loader reads these, the official evaluation does not.

**Other rates than one frame a second.** Videos then have `fps`, `frame_times` (the instant that each frame stands for,
seconds after the start of the sound), `audio_file` and `source`. In a set of all that is seen, sounding or not,
annotations have `sounding`: true or false for each mask where it is known, else null. Official programs take no notice
of these keys. Source: specs of RCF, §11.

Silent frames are null, never `[]`, as the official FSLA tests `is None`. Every annotation has bboxes (the loader drops
a frame's object without one), areas, height and width (the evaluation needs them), and annotations are sorted by video
and id with ascending ids from 1 (the official FSLA mixes up tracks otherwise).

Source: specs of AVISM, §1.3, and of the metrics, §1 and §4.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from avis_data.errors import DataError
from avis_data.formats.ytvis_parse import ParsedYtvis, parse_ytvis
from avis_data.formats.ytvis_records import MaskForm, YtvisDataset, YtvisTrack, YtvisVideo, problems_error
from avis_data.io import read_json
from avis_data.masks.polygons import polygons_from_mask
from avis_data.masks.rle import Rle, area, box, decode
from avis_data.media.clock import frame_instants
from avis_data.records import FrameAt

__all__ = [
    "MaskForm",
    "ParsedYtvis",
    "YtvisDataset",
    "YtvisTrack",
    "YtvisVideo",
    "annotation_json",
    "frame_times",
    "parse_ytvis",
    "read_ytvis",
    "video_json",
    "ytvis_json",
]

logger = logging.getLogger(__name__)


def read_ytvis(path: Path) -> YtvisDataset:
    """The content of a truth file.

    Polygons that the official loader drops (fewer than 3 points, odd number of values) are left out here too; a
    warning in the log says how many.

    Raises:
        DataError: if the file is missing or no JSON.
        ProblemsError: with everything that is wrong: the entry, as `annotations[12] (id 13)`, the field, and why.

    Example:
        >>> dataset = read_ytvis(Path("example/exports/ytvis/val.json"))
        >>> len(dataset.videos), dataset.videos[0].name, dataset.tracks[0].masks[0].height
        (2, 'synth1-0001', 64)
    """
    parsed = parse_ytvis(read_json(path))
    if parsed.problems:
        raise problems_error(path, parsed.problems)
    if parsed.remarks:
        logger.warning("path=%s dropped_polygons=%d first=%s", path, len(parsed.remarks), parsed.remarks[0])
    return parsed.dataset


def ytvis_json(dataset: YtvisDataset, *, form: MaskForm = "polygons") -> dict[str, Any]:
    """The JSON object of a dataset, in the one form that both official programs read (see the module).

    Annotations get new ids 1, 2, ... in the order of (video id, track id); all else keeps its id.

    Raises:
        DataError: if a mask is empty (a track that sounds is seen; write None for silence), has another size than its
            video, or a track has another number of masks than its video has frames.

    Example:
        >>> written = ytvis_json(read_ytvis(Path("example/exports/ytvis/val.json")))
        >>> list(written), len(written["annotations"][0]["segmentations"])
        (['info', 'licenses', 'categories', 'videos', 'annotations'], 4)
    """
    videos = {video.video_id: video for video in dataset.videos}
    tracks = sorted(dataset.tracks, key=lambda track: (track.video_id, track.track_id))
    return {
        "info": dict(dataset.info),
        "licenses": list(dataset.licenses),
        "categories": [category.model_dump(exclude_none=True) for category in dataset.categories],
        "videos": [video_json(video) for video in sorted(dataset.videos, key=lambda video: video.video_id)],
        "annotations": [
            annotation_json(track, videos[track.video_id], number, form) for number, track in enumerate(tracks, start=1)
        ],
    }


def frame_times(count: int, *, fps: float, frame_at: FrameAt | None) -> tuple[float, ...] | None:
    """The instants of `count` frames as a file says them, seconds after the start of the sound, to a microsecond.

    None where the file says nothing of them: at one frame a second, which is the published form, and where `frame_at`
    is not known.

    Example:
        >>> frame_times(3, fps=2.0, frame_at="start"), frame_times(3, fps=1.0, frame_at="mid")
        ((0.0, 0.5, 1.0), None)
    """
    if fps == 1 or frame_at is None:
        return None
    return tuple(round(float(instant), 6) for instant in frame_instants(count, fps=fps, frame_at=frame_at))


def video_json(video: YtvisVideo) -> dict[str, Any]:
    """One entry of `videos`.

    Example:
        >>> video = read_ytvis(Path("example/exports/ytvis/val.json")).videos[0]
        >>> entry = video_json(video)
        >>> entry["length"], entry["file_names"][0]
        (4, 'synth1-0001/0.jpg')
    """
    entry: dict[str, Any] = {
        "id": video.video_id,
        "width": video.width,
        "height": video.height,
        "length": video.length,
        "file_names": list(video.file_names),
    }
    if video.license_id is not None:
        entry["license"] = video.license_id
    if video.fps != 1:  # a file of one frame a second is written as the published one is
        entry["fps"] = video.fps
    for name, value in (("audio_file", video.audio_file), ("source", video.source)):
        if value is not None:
            entry[name] = value
    return entry if video.frame_times is None else entry | {"frame_times": list(video.frame_times)}


def annotation_json(track: YtvisTrack, video: YtvisVideo, number: int, form: MaskForm) -> dict[str, Any]:
    """One entry of `annotations`, under the id `number`.

    Raises:
        DataError: if a mask is empty or does not fit the video.

    Example:
        >>> dataset = read_ytvis(Path("example/exports/ytvis/val.json"))
        >>> track = dataset.tracks[0]
        >>> video = next(video for video in dataset.videos if video.video_id == track.video_id)
        >>> entry = annotation_json(track, video, 7, "rle")
        >>> entry["id"], entry["length"] == len(entry["areas"])
        (7, True)
    """
    if len(track.masks) != video.length:
        raise DataError(
            f"track {track.track_id} has {len(track.masks)} masks, its video {video.name!r} has {video.length} frames"
        )
    areas = [None if mask is None else area(mask) for mask in track.masks]
    for frame, mask in enumerate(track.masks):
        if mask is not None and (mask.height, mask.width) != (video.height, video.width):
            found = f"{mask.height} x {mask.width}, its video {video.name!r} {video.height} x {video.width}"
            raise DataError(f"the mask of track {track.track_id} in frame {frame} has {found} (height x width)")
        if areas[frame] == 0:
            raise DataError(f"the mask of track {track.track_id} of video {video.name!r} is empty in frame {frame}")
    entry = {
        "id": number,
        "video_id": track.video_id,
        "category_id": track.category_id,
        "iscrowd": track.iscrowd,
        "height": video.height,
        "width": video.width,
        "length": video.length,
        "segmentations": [None if mask is None else _segmentation(mask, form) for mask in track.masks],
        "bboxes": [None if mask is None else list(box(mask)) for mask in track.masks],
        "areas": areas,
    }
    return entry if track.sounding is None else entry | {"sounding": list(track.sounding)}


def _segmentation(mask: Rle, form: MaskForm) -> list[list[int]] | dict[str, Any]:
    if form == "rle":
        return {"size": [mask.height, mask.width], "counts": mask.counts}
    return polygons_from_mask(decode(mask))
