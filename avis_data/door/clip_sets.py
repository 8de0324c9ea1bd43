"""A lazy set of clips: the one object that a workspace, an export and a foreign set become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, overload

from avis_data.door.clips import Clip
from avis_data.errors import ConfigError, DataError
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo
from avis_data.records import Category

__all__ = ["ClipSet", "Part"]

_SHOWN = 5


class Part:
    """The clips of one split, read when they are first asked for and then kept."""

    def __init__(self, read: Callable[[], Iterable[Clip]]) -> None:
        self._read = read
        self._clips: tuple[Clip, ...] | None = None

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> Part:
        """Clips that are there already."""
        return cls(tuple(clips).__iter__)

    def clips(self) -> tuple[Clip, ...]:
        """All of them."""
        if self._clips is None:
            self._clips = tuple(self._read())
        return self._clips


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipSet:
    """Clips of a workspace or a dataset, in the order of its files. A list of clips that reads nothing before it must.

    `len`, `for`, `in`, slices and indices work as with a list; a clip can be had by its id too. `filter`, `split` and
    slices give sets again.

    Example:
        >>> clips = avis.open("example/exports/ytvis")
        >>> clips
        ClipSet('example/exports/ytvis', 12 clips: train 8, val 2, test 2)
        >>> with_two = clips.filter(lambda clip: len(clip.tracks) == 2)
        >>> len(clips.split("val")), len(with_two), len(clips[:3])
        (2, 8, 3)
    """

    root: Path
    """The folder, or the truth file, that was opened."""
    kind: Literal["workspace", "dataset"]
    parts: Mapping[str | None, Part]
    """The clips by split; None: those that are in no split."""
    is_part: bool = False
    """Whether clips of the place may have been left out."""

    def __iter__(self) -> Iterator[Clip]:
        for part in self.parts.values():
            yield from part.clips()

    def __len__(self) -> int:
        return sum(len(part.clips()) for part in self.parts.values())

    def __contains__(self, clip: object) -> bool:
        return any(clip in (mine, mine.clip_id) for mine in self)

    @overload
    def __getitem__(self, key: int | str) -> Clip: ...

    @overload
    def __getitem__(self, key: slice) -> ClipSet: ...

    def __getitem__(self, key: int | str | slice) -> Clip | ClipSet:
        """A clip by its place or its id, or a set of those in a slice.

        Raises:
            ConfigError: if no clip has that id.
            IndexError: if there is no such place.
        """
        if isinstance(key, slice):
            return self.of(list(self)[key])
        if isinstance(key, str):
            found = next((clip for clip in self if clip.clip_id == key), None)
            if found is None:
                raise ConfigError(f"{self.root}: has no clip {key!r}", hint=f"its clips: {_listed(self.ids)}")
            return found
        if key < 0:
            return list(self)[key]
        found = next(islice(self, key, None), None)
        if found is None:
            raise IndexError(f"no clip {key}: there are {len(self)}")
        return found

    @property
    def ids(self) -> list[str]:
        """The ids of all clips."""
        return [clip.clip_id for clip in self]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that there are."""
        return tuple(name for name in self.parts if name is not None)

    @property
    def categories(self) -> dict[int, str]:
        """All classes of the set: id to name; of an empty set none."""
        return next((dict(clip.categories) for clip in self), {})

    def split(self, name: str) -> ClipSet:
        """The clips of one split; only its file is read.

        Raises:
            ConfigError: if there is no such split.
        """
        if name not in self.splits:
            there = f"its splits: {', '.join(self.splits)}" if self.splits else "its clips are in no split"
            raise ConfigError(f"{self.root}: has no split {name!r}", hint=there)
        return replace(self, parts={name: self.parts[name]}, is_part=True)

    def filter(self, keep: Callable[[Clip], bool]) -> ClipSet:
        """The clips for which `keep` is true; it is asked when the set is first used.

        Example:
            >>> clips = avis.open("example/exports/ytvis")
            >>> len(clips.filter(lambda clip: len(clip.sounding_frames) == clip.num_frames))
            8
        """
        parts = {name: Part(_Filtered(part, keep)) for name, part in self.parts.items()}
        return replace(self, parts=parts, is_part=True)

    def with_predictions(self, results: str | Path) -> ClipSet:
        """The same clips with predicted tracks in place of the true ones; each has a `score`, the highest first.

        Args:
            results: a result file, as `avis.predict` and `avis-data predict` write it.

        Raises:
            DataError: if the set is no dataset of one split, or the file is missing or of another form.
            ProblemsError: with every entry that is not in order.

        Example:
            >>> predicted = avis.open("example/exports/ytvis").split("test").with_predictions("example/results.json")
            >>> track = predicted[0].tracks[0]
            >>> track.category, track.score
            ('trumpet', 0.9)
        """
        from avis_data.door.results import with_predictions

        return with_predictions(self, Path(results))

    def dataset(self) -> YtvisDataset:
        """All that the set says, as the records of the YouTube-VIS format: for `write_ytvis`, or to count in.

        Clips of one truth file keep their ids, by which result files know them.

        Raises:
            DataError: if a clip has no truth.

        Example:
            >>> dataset = avis.open("example/exports/ytvis").split("val").dataset()
            >>> len(dataset.videos), len(dataset.tracks), dataset.videos[0].name
            (2, 4, 'synth1-0001')
        """
        videos: list[YtvisVideo] = []
        tracks: list[YtvisTrack] = []
        ids = {name: number for number, name in self.categories.items()}
        of_one_file = len({clip.truth_path for clip in self}) == 1
        for number, clip in enumerate(self, start=1):
            number = clip.video_id if clip.video_id is not None and of_one_file else number
            videos.append(_video(number, clip))
            for track in clip.tracks:
                known = ids.get(track.category)
                if known is None:
                    raise DataError(f"clip {clip.clip_id!r}: {track.category!r} is no category of {self.root}")
                tracks.append(
                    YtvisTrack(
                        track_id=len(tracks) + 1,
                        video_id=number,
                        category_id=known,
                        masks=track.masks,
                        sounding=None if _sounds_where_seen(track.masks, track.sounding) else track.sounding,
                    )
                )
        named = tuple(Category(id=number, name=name) for number, name in sorted(self.categories.items()))
        return YtvisDataset(videos=tuple(videos), tracks=tuple(tracks), categories=named)

    def of(self, clips: Sequence[Clip]) -> ClipSet:
        """A set of the same place with these clips."""
        names = dict.fromkeys(clip.split for clip in clips)
        found = {name: tuple(clip for clip in clips if clip.split == name) for name in names}
        return replace(self, parts={name: Part.of(of_split) for name, of_split in found.items()}, is_part=True)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name or 'no split'} {len(part.clips())}" for name, part in self.parts.items())
        return f"ClipSet({str(self.root)!r}, {len(self)} clips: {counts or 'none'})"

    def _repr_html_(self) -> str:
        from avis_data.report.html import table, text

        rows = [[clip.clip_id, clip.split or "", clip.num_frames, _tracks_told(clip)] for clip in islice(self, _SHOWN)]
        more = f"<p>and {len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        return f"<p>{text(repr(self))}</p>{table(['clip', 'split', 'frames', 'tracks'], rows)}{more}"


@dataclass(frozen=True)
class _Filtered:
    """Reads the clips of a part that are to be kept."""

    part: Part
    keep: Callable[[Clip], bool]

    def __call__(self) -> list[Clip]:
        return [clip for clip in self.part.clips() if self.keep(clip)]


def _video(number: int, clip: Clip) -> YtvisVideo:
    height, width = clip.size_hw
    name = clip.clip_id.replace("/", "_")  # of AVSBench, <category>/<name>
    return YtvisVideo(
        video_id=number,
        name=name,
        width=width,
        height=height,
        length=clip.num_frames,
        file_names=tuple(f"{name}/{path.name}" for path in clip.still_paths),
        fps=clip.fps,
    )


def _sounds_where_seen(masks: Sequence[object], sounding: Sequence[bool | None]) -> bool:
    """True if flags would say no more than the masks do."""
    return all(flag is (mask is not None) for mask, flag in zip(masks, sounding, strict=True))


def _tracks_told(clip: Clip) -> str:
    return ", ".join(track.category for track in clip.tracks) if clip.has_truth else "no truth"


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
