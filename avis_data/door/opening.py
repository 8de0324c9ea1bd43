"""Opening what lies in a folder as a set of clips: a workspace, an export, a set of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.door.clip_sets import ClipSet, Part
from avis_data.door.clips import Clip
from avis_data.door.tracks import Track
from avis_data.errors import DataError
from avis_data.features.arrays import check_finite, load_npy
from avis_data.formats.aviseg_folders import STILLS, features_path, sound_path
from avis_data.formats.avsbench_clips import is_avsbench
from avis_data.formats.ytvis import YtvisTrack, YtvisVideo, read_ytvis

__all__ = ["open"]

_WHAT_THERE_IS = (
    "avis.open takes a workspace (recipe.yaml), a dataset in the layout of AVISeg (train.json, val.json or test.json) "
    "or of AVSBench, or a truth file; avis.load_model takes a training run; avis.make_example makes a small dataset"
)


def open(path: str | Path) -> ClipSet:
    """The clips of a workspace, an export, any set in the layout of AVISeg or AVSBench, or one truth file.

    Nothing is read yet but names. A workspace gives all its clips, with the truth that an export would take: accepted
    labels, else imported ones, else drafts.

    Args:
        path: the folder of a workspace (it has recipe.yaml), of a dataset (it has train.json, val.json or test.json, or
            the tables of AVSBench), or a truth file with the folder of its name beside it.

    Raises:
        DataError: if there is nothing of that name, it is none of these, or of a format that this version does not
            read.

    Example:
        >>> avis.open("example/exports/ytvis").splits
        ('train', 'val', 'test')
        >>> avis.open("example")
        ClipSet('example', 12 clips: no split 12)
        >>> avis.open("nothing")
        Traceback (most recent call last):
        avis_data.errors.DataError: nothing: no such file or folder
          hint: paths are as seen from the folder in which Python runs, here ...
    """
    from avis_data.format_numbers import check_export, what_is
    from avis_data.quality import SPLITS

    place = Path(path)
    if not place.exists():
        raise DataError(
            f"{place}: no such file or folder",
            hint=f"paths are as seen from the folder in which Python runs, here {Path.cwd()}",
        )
    if place.is_file():
        return _dataset(place, {place.stem: place})
    if (place / "recipe.yaml").is_file():
        from avis_data.door.workspaces import open_workspace

        return open_workspace(place)
    files = {split: place / f"{split}.json" for split in SPLITS if (place / f"{split}.json").is_file()}
    if files:
        check_export(place)
        return _dataset(place, files)
    if is_avsbench(place):
        from avis_data.door.avsbench_sets import open_avsbench

        return open_avsbench(place)
    raise DataError(f"{place}: holds no clips; {what_is(place)}", hint=_WHAT_THERE_IS)


def _dataset(root: Path, files: Mapping[str, Path]) -> ClipSet:
    return ClipSet(
        root=root, kind="dataset", parts={split: Part(_ReadSplit(split, file)) for split, file in files.items()}
    )


@dataclass(frozen=True)
class _ReadSplit:
    """Reads the truth file of a split."""

    split: str
    file: Path

    def __call__(self) -> Iterator[Clip]:
        dataset = read_ytvis(self.file)
        tracks: dict[int, list[YtvisTrack]] = defaultdict(list)
        for track in dataset.tracks:
            tracks[track.video_id].append(track)
        names = {category.id: category.name for category in dataset.categories}
        for video in dataset.videos:
            yield self._clip(video, tuple(tracks[video.video_id]) if dataset.has_annotations else None, names)

    def _clip(self, video: YtvisVideo, tracks: tuple[YtvisTrack, ...] | None, names: Mapping[int, str]) -> Clip:
        # Names cannot lead out of the folder: the reader of truth files refuses those that could.
        folder = self.file.with_suffix("")
        place = (folder.parent, folder.name, video.name)
        sound = folder / video.audio_file if video.audio_file else sound_path(*place)
        features = features_path(*place)
        size_hw = (video.height, video.width)
        return Clip(
            clip_id=video.name,
            split=self.split,
            size_hw=size_hw,
            fps=video.fps,
            still_paths=tuple(folder / STILLS / name for name in video.file_names),
            sound_path=sound if sound.is_file() else None,
            categories=names,
            truth_path=self.file,
            video_id=video.video_id,
            read_embeddings=_ReadRows(features, video.length) if features.is_file() else None,
            read_tracks=None if tracks is None else _FileTracks(tracks, names, size_hw),
        )


@dataclass(frozen=True)
class _ReadRows:
    """Reads an npy file of one row per frame."""

    path: Path
    num_frames: int

    def __call__(self) -> NDArray[np.float32]:
        rows = load_npy(self.path)
        if rows.ndim != 2 or rows.shape != (self.num_frames, 128) or rows.dtype.kind != "f":
            raise DataError(f"{self.path}: holds {rows.dtype} {rows.shape}, must be float ({self.num_frames}, 128)")
        check_finite(rows, self.path, what="embeddings")
        return np.asarray(rows, dtype=np.float32)


@dataclass(frozen=True)
class _FileTracks:
    """The tracks of one video of a truth file."""

    tracks: tuple[YtvisTrack, ...]
    names: Mapping[int, str] = field(repr=False)
    size_hw: tuple[int, int]

    def __call__(self) -> tuple[Track, ...]:
        return tuple(self._track(track) for track in sorted(self.tracks, key=lambda track: track.track_id))

    def _track(self, track: YtvisTrack) -> Track:
        return Track(
            track_id=str(track.track_id),
            category=self.names[track.category_id],
            category_id=track.category_id,
            size_hw=self.size_hw,
            masks=tuple(track.masks),
            sounding=track.sounding or tuple(mask is not None for mask in track.masks),
        )
