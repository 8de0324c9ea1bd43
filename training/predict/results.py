"""What predictions are written as, in the form that evaluators read.

Tracks are a JSON list with one object for each (AVISeg); masks are a picture for each frame (AVSBench).

Shapes: h, w pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.formats.avsbench_masks import voc_colours
from avis_data.io import atomic_path
from avis_data.masks.rle import Rle, encode, rle_from_segmentation
from avis_data.metrics.inputs import TrackInput
from avis_data.metrics.reading import read_evaluation
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.split import DatasetClip, SplitData

__all__ = ["mask_picture", "read_results", "write_results"]


def write_results(path: Path, predictions: Iterable[tuple[DatasetClip, list[PredictedTrack]]]) -> int:
    """Write predictions clip by clip, as they come; the file appears when all are there.

    Every mask is a compressed RLE of the original size, empty where the object does not sound, as published.

    Returns:
        How many tracks were written.
    """
    number = 0
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as out:
        out.write("[")
        for clip, tracks in predictions:
            for track in tracks:
                out.write("," if number else "")
                out.writelines(_entry(clip, track))
                number += 1
        out.write("\n]\n")
    return number


def read_results(path: Path, split: SplitData) -> dict[str, list[PredictedTrack]]:
    """The predicted tracks of every clip of a split, by clip id, highest score first.

    Raises:
        DataError: if the file is missing, not JSON or of another form.
        ProblemsError: with every entry that is not in order, or not of this split.
    """
    found = read_evaluation(split.truth, path, needs_labels=False)
    problems = [problem for problem in found.problems if problem.where.startswith(path.name)]
    videos = {video.video_id: video for video in found.videos}
    result: dict[str, list[PredictedTrack]] = {}
    for clip in split.clips:
        tracks: list[PredictedTrack] = []
        for entry in videos[clip.video_id].predictions if clip.video_id in videos else ():
            masks, fault = _masks(entry, clip.size_hw)
            if fault is not None:
                problems.append(fault)
                continue
            tracks.append(PredictedTrack(label=entry.category - 1, score=entry.score, query=len(tracks), masks=masks))
        result[clip.clip_id] = sorted(tracks, key=lambda track: -track.score)
    if problems:
        raise ProblemsError(f"{path}: {len(problems)} entries cannot be used with {split.truth.name}", problems)
    return result


def mask_picture(values_hw: NDArray[np.generic], num_classes: int) -> Image.Image:
    """One mask.

    Args:
        values_hw: float logits, of which a picture of probabilities is made, 0 to 255, above 127 where the probability
            is above one half; a true mask of 0 and 1, which becomes 0 and 255; or (`num_classes` > 1) classes, which
            become a picture in PASCAL VOC's colours whose palette indices are the classes.
    """
    if num_classes > 1:
        picture = Image.fromarray(values_hw.astype(np.uint8), mode="P")
        picture.putpalette(voc_colours(num_classes).astype(np.uint8).tobytes())
        return picture
    if values_hw.dtype.kind != "f":
        return Image.fromarray(values_hw.astype(np.uint8) * 255)
    probability = torch.from_numpy(values_hw.astype(np.float32)).sigmoid().numpy()
    return Image.fromarray(np.ceil(probability * 255 - 0.5).astype(np.uint8))


def _entry(clip: DatasetClip, track: PredictedTrack) -> Iterator[str]:
    """The line of a track, in pieces: of a long clip its masks are not in memory at once."""
    known = {"video_id": clip.video_id, "score": track.score, "category_id": track.label + 1}
    yield "\n" + json.dumps(known, allow_nan=False)[:-1] + ', "segmentations": ['
    for frame, mask in enumerate(track.masks):
        yield (", " if frame else "") + json.dumps({"size": [mask.height, mask.width], "counts": mask.counts})
    yield "]}"


def _masks(entry: TrackInput, size_hw: tuple[int, int]) -> tuple[tuple[Rle, ...], Problem | None]:
    """The masks of a track, empty where there is none, and what is wrong with the first that is of no use."""
    found, (height, width) = [], size_hw
    for frame, segmentation in enumerate(entry.masks):
        try:
            rle = rle_from_segmentation(segmentation, height=height, width=width)
        except DataError as error:
            return (), Problem(entry.where, f"segmentations[{frame}]", str(error))
        found.append(encode(np.zeros(size_hw, dtype=bool)) if rle is None else rle)
    return tuple(found), None
