"""The clips of an exported dataset (AVISeg layout), as the report shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import DataError
from avis_data.formats.aviseg_folders import STILLS, sound_path
from avis_data.formats.ytvis_file import open_ytvis
from avis_data.formats.ytvis_records import YtvisTrack, YtvisTruth
from avis_data.masks.rle import Rle
from avis_data.quality import truth_files

__all__ = ["ClipView", "DatasetClips", "TrackView", "open_dataset"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackView:
    """One identity of a clip."""

    label: str
    """Category name, with a number where a clip has several of that category."""
    masks: tuple[Rle | None, ...]
    """One for each second; None where it does not sound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipView:
    """What a contact sheet shows. The place of a track in `tracks` decides its colour."""

    name: str
    split: str
    stills: tuple[Path, ...]
    """One for each second."""
    sound: Path | None
    """WAV; None where there is no such file."""
    tracks: tuple[TrackView, ...]
    fps: float = 1.0
    """Stills per second; where it is not 1, a still stands for its part of a second."""
    title: str = ""
    """Whose masks these are, where those of several are shown beside each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetClips:
    """The truth files of a dataset, by split, and where their media are."""

    root: Path
    splits: Mapping[str, YtvisTruth]
    view: Callable[[str, int], ClipView] | None = None
    """What is shown of a video of a split, by its place; None: it lies in the folders of AVISeg."""

    @property
    def num_clips(self) -> int:
        """How many clips there are in all splits."""
        return sum(dataset.num_videos for dataset in self.splits.values())

    def choose(self, limit: int) -> list[ClipView]:
        """Choose at most `limit` clips: one from each split in turn, spread evenly, in the order of the files.

        Raises:
            DataError: if a still is missing.
        """
        places = {split: _spread(data.num_videos, limit) for split, data in self.splits.items()}
        turns = [(turn, split, place) for split, found in places.items() for turn, place in enumerate(found)]
        kept = sorted(turns, key=lambda item: item[0])[:limit]
        names = list(self.splits)
        ordered = sorted(kept, key=lambda item: (names.index(item[1]), item[2]))
        view = self.view or (lambda split, place: _clip_view(self.root, split, self.splits[split], place))
        return [view(split, place) for _, split, place in ordered]


def open_dataset(path: Path) -> DatasetClips:
    """Open the truth of a dataset, which is read video by video.

    Args:
        path: the folder with train.json, val.json, test.json (those there are), or one truth file.

    Raises:
        DataError: if there is no such dataset.
        ProblemsError: if a truth file cannot be read, with all that is wrong in it; of what is wrong in a video or a
            track that is said when it is read.
    """
    files = truth_files(path)
    splits = {file.stem: open_ytvis(file) for file in files}
    for split in splits.values():
        split.check()
    return DatasetClips(root=files[0].parent, splits=splits)


def _spread(count: int, limit: int) -> Sequence[int]:
    """Choose at most `limit` of `range(count)`, evenly apart, ordered so that every beginning of it is spread too."""
    taken = min(count, limit)
    return [number * count // taken for number in _halving(taken)]


def _halving(count: int) -> Iterator[int]:
    """0 to count - 1 in the order of their reversed bits: each next one falls into a widest gap."""
    bits = max(count - 1, 1).bit_length()
    for number in range(1 << bits):
        place = int(format(number, f"0{bits}b")[::-1], 2)
        if place < count:
            yield place


def _clip_view(root: Path, split: str, dataset: YtvisTruth, place: int) -> ClipView:
    video, tracks = dataset.clip(place)
    folder = root / split
    # Names cannot lead out of the folder: the reader of truth files refuses those that could.
    stills = tuple(folder / STILLS / name for name in video.file_names)
    for still in stills:
        if not still.is_file():
            raise DataError(f"{still}: this still is missing", hint=f"avis-data validate {root}")
    sound = sound_path(root, split, video.name)
    return ClipView(
        name=video.name,
        split=split,
        stills=stills,
        sound=sound if sound.is_file() else None,
        tracks=_track_views(dataset, tracks),
        fps=video.fps,
    )


def _track_views(dataset: YtvisTruth, found: Sequence[YtvisTrack]) -> tuple[TrackView, ...]:
    names = {category.id: category.name for category in dataset.categories}
    tracks = sorted(found, key=lambda track: track.track_id)
    kinds = [names[track.category_id] for track in tracks]
    views = []
    for number, (track, kind) in enumerate(zip(tracks, kinds, strict=True)):
        label = f"{kind} {kinds[: number + 1].count(kind)}" if kinds.count(kind) > 1 else kind
        views.append(TrackView(label=label, masks=tuple(track.masks)))
    return tuple(views)
