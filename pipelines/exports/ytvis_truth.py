"""The JSON file of one split, written and read back one clip at a time: outlines take far more room than RLE."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from avis_data import __version__
from avis_data.errors import DataError
from avis_data.formats.aviseg_folders import SOUNDS, frame_name, truth_path
from avis_data.formats.ytvis import (
    MaskForm,
    YtvisDataset,
    YtvisTrack,
    YtvisVideo,
    frame_times,
    parse_ytvis,
    video_json,
    ytvis_json,
)
from avis_data.io import write_lines
from avis_data.masks.rle import Rle, decode
from avis_data.pipelines.engine.progress import Progress
from avis_data.pipelines.exports.inputs import ExportClip, ExportInputs, Piece
from avis_data.pipelines.exports.spec import Hashes
from avis_data.pipelines.exports.writing import ExportJob

__all__ = ["build_dataset", "check_dataset", "check_datasets", "write_dataset", "write_datasets"]

_OPEN = ', "annotations": ['
_CLOSE = "]}"


def write_datasets(job: ExportJob, *, form: MaskForm) -> Hashes:
    """Write the file of every split."""
    with Progress("export: truth", total=len(job.plan.inputs.clips)) as progress:
        for split, clips in job.plan.splits.items():
            dataset = build_dataset(job.plan.inputs, split, clips)
            write_dataset(truth_path(job.folder, split), dataset, form=form, step=progress.step)
    return job.hashes(*(truth_path(job.folder, split).name for split in job.plan.splits))


def check_datasets(job: ExportJob) -> None:
    """Read the file of every split back.

    Raises:
        DataError: as `check_dataset`.
    """
    for split, clips in job.plan.splits.items():
        check_dataset(truth_path(job.folder, split), build_dataset(job.plan.inputs, split, clips))


def build_dataset(inputs: ExportInputs, split: str, clips: Sequence[Piece]) -> YtvisDataset:
    """What the file of a split is to hold.

    Video ids are 1, 2, ... in the order of clip ids; annotation ids 1, 2, ... in the order of video and track.
    """
    items = [clip.item for clip in clips]
    numbered = list(enumerate(items, start=1))
    sounding = [(video_id, track) for video_id, item in numbered for track in item.tracks]
    names = sorted({item.license for item in items if item.license})
    licenses = {name: number for number, name in enumerate(names, start=1)}
    return YtvisDataset(
        videos=tuple(_video(video_id, item, licenses) for video_id, item in numbered),
        tracks=tuple(
            YtvisTrack(
                track_id=number,
                video_id=video_id,
                category_id=track.category_id,
                masks=track.masks,
                sounding=track.sounding if inputs.truth == "visible" else None,
            )
            for number, (video_id, track) in enumerate(sounding, start=1)
        ),
        categories=tuple(inputs.categories.categories),
        info={
            "description": inputs.recipe.description,
            "dataset": inputs.recipe.name,
            "split": split,
            "tool": f"avis-data {__version__}",
        },
        licenses=tuple({"id": number, "name": name} for name, number in licenses.items()),
    )


def write_dataset(path: Path, dataset: YtvisDataset, *, form: MaskForm, step: Callable[[], None]) -> None:
    """Write the JSON file, one annotation a line; `step` is called after each video.

    Raises:
        DataError: if a mask is empty or does not fit its video.
    """
    write_lines(path, _lines(dataset, form, step))


def check_dataset(path: Path, meant: YtvisDataset) -> None:
    """Read the file back through the format's reader and compare it with the dataset that it was written from.

    Raises:
        DataError: if videos, categories, tracks or the pixels of any mask differ.
    """
    with path.open(encoding="utf-8") as lines:
        head = next(lines, "").rstrip("\n")
        if not head.endswith(_OPEN):
            raise _differs(path, "first line")
        _compare(path, _parsed(path, head + _CLOSE), replace(meant, tracks=()))
        for video, tracks in _by_video(meant):
            texts = [next(lines, "").rstrip("\n").removesuffix(",") for _ in tracks]
            about = {"videos": [video_json(video)], "categories": [entry.model_dump() for entry in meant.categories]}
            text = json.dumps(about)[:-1] + _OPEN + ", ".join(texts) + _CLOSE
            _compare(path, _parsed(path, text), replace(meant, videos=(video,), tracks=tracks))
        if next(lines, "").rstrip("\n") != _CLOSE or next(lines, None) is not None:
            raise _differs(path, "last line")


def _video(video_id: int, item: ExportClip, licenses: Mapping[str, int]) -> YtvisVideo:
    clip = item.clip
    return YtvisVideo(
        video_id=video_id,
        name=clip.clip_id,
        width=clip.width,
        height=clip.height,
        length=clip.num_frames,
        file_names=tuple(f"{clip.clip_id}/{frame_name(number)}" for number in range(clip.num_frames)),
        license_id=licenses[item.license] if item.license else None,
        **_of_rate(item),
    )


def _of_rate(item: ExportClip) -> dict[str, Any]:
    """What a video says besides at another rate than one frame a second, which is the published form."""
    clip = item.clip
    if clip.fps == 1:
        return {}
    return {
        "fps": clip.fps,
        "frame_times": frame_times(clip.num_frames, fps=clip.fps, frame_at=clip.frame_at),
        "audio_file": f"{SOUNDS}/{clip.clip_id}.wav",
        "source": item.group,
    }


def _lines(dataset: YtvisDataset, form: MaskForm, step: Callable[[], None]) -> Iterator[str]:
    head = ytvis_json(replace(dataset, tracks=()), form=form)
    del head["annotations"]
    yield json.dumps(head, ensure_ascii=False, allow_nan=False)[:-1] + _OPEN
    written = 0
    for video, tracks in _by_video(dataset):
        part = ytvis_json(replace(dataset, videos=(video,), tracks=tracks), form=form)
        for track, annotation in zip(tracks, part["annotations"], strict=True):
            written += 1
            text = json.dumps(annotation | {"id": track.track_id}, ensure_ascii=False, allow_nan=False)
            yield text if written == len(dataset.tracks) else f"{text},"
        step()
    yield _CLOSE


def _by_video(dataset: YtvisDataset) -> Iterator[tuple[YtvisVideo, tuple[YtvisTrack, ...]]]:
    tracks: dict[int, list[YtvisTrack]] = {}
    for track in dataset.tracks:
        tracks.setdefault(track.video_id, []).append(track)
    for video in dataset.videos:
        yield video, tuple(tracks.get(video.video_id, ()))


def _parsed(path: Path, text: str) -> YtvisDataset:
    try:
        parsed = parse_ytvis(json.loads(text))
    except json.JSONDecodeError as error:
        raise _differs(path, f"no JSON: {error.msg}") from None
    if parsed.problems:
        raise _differs(path, str(parsed.problems[0]))
    return parsed.dataset


def _compare(path: Path, found: YtvisDataset, meant: YtvisDataset) -> None:
    if found.videos != meant.videos:
        raise _differs(path, "videos")
    if found.categories != meant.categories:
        raise _differs(path, "categories")
    if len(found.tracks) != len(meant.tracks):
        raise _differs(path, f"{len(found.tracks)} annotations for {len(meant.tracks)}")
    for found_track, meant_track in zip(found.tracks, meant.tracks, strict=True):
        same = replace(found_track, masks=(), areas=None) == replace(meant_track, masks=(), areas=None)
        same = same and len(found_track.masks) == len(meant_track.masks)
        if not same or not all(map(_same_mask, found_track.masks, meant_track.masks)):
            raise _differs(path, f"annotation {meant_track.track_id}")


def _same_mask(found: Rle | None, meant: Rle | None) -> bool:
    if found == meant:
        return True
    if found is None or meant is None:
        return False
    return np.array_equal(decode(found), decode(meant))  # other text may still be the same pixels


def _differs(path: Path, what: str) -> DataError:
    return DataError(
        f"read back, {path.name} is not what was written ({what}); nothing was published",
        hint="run the same command again; if this stays, check the disk",
    )
