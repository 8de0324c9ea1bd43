"""The files of a set in the AVISeg layout read, video by video."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.features.arrays import check_rows, load_npy
from avis_data.formats.aviseg_folders import STILLS, features_path, sound_path, truth_path
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.files import (
    inner_folder,
    is_zip,
    member_ends,
    member_names,
    numbered,
    opened_set,
    read_each,
)
from avis_data.formats.sets.json_tables import JsonTables, json_tables
from avis_data.formats.ytvis import parse_ytvis
from avis_data.formats.ytvis_parse import ParsedYtvis
from avis_data.formats.ytvis_records import YtvisTrack, YtvisVideo
from avis_data.masks.rle import area
from avis_data.records import SplitName

__all__ = ["is_truth", "looks_like_ytvis", "read_ytvis_set", "truth_files"]

_HEAD_BYTES = 1 << 16
_MOST_LOOKED_AT = 3
_OF_YOUTUBE_VIS = ("instances*.json", "*/instances*.json")
_ENTRY = re.compile(r"^(videos|annotations)\[(\d+)\]")
_OF_FRAMES = ("segmentations[", "sounding")
"""Fields of an annotation that are not in memory before its video is read."""


def truth_files(path: Path) -> list[Path]:
    """The file itself, or the truth files of the splits in a folder.

    Example:
        >>> [file.name for file in truth_files(Path("example/exports/ytvis"))]
        ['train.json', 'val.json', 'test.json']
    """
    if path.is_file():
        return [path]
    named = (truth_path(path, split) for split in get_args(SplitName))
    if found := [file for file in named if file.is_file()]:
        return found
    return sorted(file for pattern in _OF_YOUTUBE_VIS for file in path.glob(pattern) if is_truth(file))


def _unpacked_files(path: Path) -> list[Path]:
    """The truth files of an archive that was unpacked here: also those of any other name."""
    root = inner_folder(path)
    return truth_files(root) or [file for file in sorted(root.glob("*.json"))[:_MOST_LOOKED_AT] if is_truth(file)]


def looks_like_ytvis(path: Path) -> bool:
    """Whether it is a truth file, or a folder or archive that holds one for a split.

    Example:
        >>> looks_like_ytvis(Path("example/exports/ytvis")), looks_like_ytvis(Path("example/manifest"))
        (True, False)
    """
    if path.is_dir() or not is_zip(path):
        return any(is_truth(file) for file in truth_files(path))
    splits = {truth_path(Path(), split).name for split in get_args(SplitName)}
    named = [name for name in member_names(path) if name.endswith(".json")]
    chosen = [name for name in named if PurePosixPath(name).name in splits] or named[:_MOST_LOOKED_AT]
    return any(_says_truth(member_ends(path, name, _HEAD_BYTES)) for name in chosen)


def _says_truth(text: bytes) -> bool:
    return b'"file_names"' in text and b'"videos"' in text


def is_truth(file: Path) -> bool:
    """Whether a file begins, or ends, like one of YouTube-VIS: it lists videos with the names of their frames.

    Example:
        >>> is_truth(Path("example/exports/ytvis/val.json")), is_truth(Path("example/exports/ytvis/certificate.json"))
        (True, False)
    """
    try:
        if file.suffix != ".json":
            return False
        with file.open("rb") as opened:
            found = opened.read(_HEAD_BYTES)
            opened.seek(max(0, file.stat().st_size - _HEAD_BYTES))
            found += opened.read()
    except OSError:
        return False
    return _says_truth(found)


def read_ytvis_set(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The videos of a truth file, or of those in a folder or archive, in the order of their names.

    A mask of a file without flags `sounding` is of something that sounds where the split has sound (AVISeg); in plain
    YouTube-VIS nobody said so.

    Raises:
        DataError: if there is no such file, or one is no JSON; also ProblemsError.

    Example:
        >>> clip = next(read_ytvis_set(Path("example/exports/ytvis/val.json")))
        >>> clip.name, clip.split, len(clip.stills)
        ('synth1-0001', 'val', 4)
    """
    with ExitStack() as stack:
        root = stack.enter_context(opened_set(path))
        files = truth_files(root) if root == path else _unpacked_files(root)
        if not files:
            raise DataError(f"{path}: holds no train.json, val.json or test.json")
        splits, broken = read_each(
            files, lambda file: _Split.of(stack.enter_context(json_tables(file)), root=file.parent)
        )
        yield from broken
        yield from _clips(splits)


def _clips(splits: Sequence[_Split]) -> Iterator[LabelledClip | UnreadClip]:
    names = sorted((name, number) for number, split in enumerate(splits) for name in split.names())
    several = Counter(name for name, _ in names)
    for split in splits:
        if split.faults[None]:
            yield UnreadClip(name=split.file.name, problems=tuple(split.faults[None]))
    for name, number in names:
        if several[name] > 1:
            problem = Problem(str(splits[number].file), "", f"{name!r:.60} is in {several[name]} files of the set")
            yield UnreadClip(name=name, problems=(problem,))
        else:
            yield splits[number].clip(name)


@dataclass(kw_only=True)
class _Split:
    """One truth file. What its annotations say of each frame stays in it until their video is asked for."""

    file: Path
    root: Path
    tables: JsonTables
    parsed: ParsedYtvis
    faults: dict[str | None, list[Problem]]
    """By the name of the video; None: of the file."""
    videos: dict[str, tuple[int, YtvisVideo]]
    """By name: the place in the table, and what it says."""
    annotations: dict[int, list[int]]
    """Places in the table, by the id of the video."""

    @classmethod
    def of(cls, tables: JsonTables, *, root: Path) -> _Split:
        file = tables.file
        entries: dict[str, list[object]] = {"videos": [], "annotations": []}
        raw = tables.scan(
            {
                "videos": lambda _, entry: entries["videos"].append(entry),
                "annotations": lambda _, entry: entries["annotations"].append(_without_frames(entry)),
            }
        )
        if isinstance(raw, dict):
            raw |= {name: found for name, found in entries.items() if tables.has(name)}
        parsed = parse_ytvis(raw)
        places = {
            entry["id"]: place
            for place, entry in enumerate(entries["videos"])
            if isinstance(entry, dict) and isinstance(entry.get("id"), int)
        }
        videos = {video.name: (places[video.video_id], video) for video in parsed.dataset.videos}
        annotations: dict[int, list[int]] = defaultdict(list)
        for place, entry in enumerate(entries["annotations"]):
            if isinstance(entry, dict) and isinstance(entry.get("video_id"), int):
                annotations[entry["video_id"]].append(place)
        faults = _by_video(raw, parsed, file)
        if not videos and not any(faults):
            raise ProblemsError(f"{file}: no YouTube-VIS file", parsed.problems)
        return cls(
            file=file, root=root, tables=tables, parsed=parsed, faults=faults, videos=videos, annotations=annotations
        )

    def names(self) -> list[str]:
        """Of all videos, those that cannot be read among them."""
        return sorted({*self.videos, *(name for name in self.faults if name is not None)})

    def clip(self, name: str) -> LabelledClip | UnreadClip:
        """One video."""
        place, video = self.videos.get(name, (0, None))
        problems = list(self.faults[name])
        if video is None:
            problems = problems or [Problem(str(self.file), "videos", f"no video {name!r:.60}")]
            return UnreadClip(name=name, problems=tuple(problems))
        found, of_frames = self._tracks(place, video)
        problems += of_frames
        if problems:
            return UnreadClip(name=name, problems=tuple(problems))
        split = next((found for found in get_args(SplitName) if found == self.file.stem), None)
        sound = self._sound(video, split)
        categories = {category.id: category.name for category in self.parsed.dataset.categories}
        tracks = [_track(track, categories, sounds=sound is not None) for track in found]
        return LabelledClip(
            name=name,
            width=video.width,
            height=video.height,
            stills=tuple(self._stills(video, split)),
            tracks=tuple(sorted(tracks, key=lambda track: track.track_id)),
            has_truth=self.parsed.dataset.has_annotations,
            fps=video.fps,
            split=split,
            sound=sound,
            embeddings_TD=self._embeddings(video, split),
            license=self._license(video),
            source=video.source,
            label_files=(self.file,),
        )

    def _tracks(self, place: int, video: YtvisVideo) -> tuple[tuple[YtvisTrack, ...], list[Problem]]:
        """The tracks of a video, with their masks, and what is wrong with these."""
        places = self.annotations[video.video_id]
        raw = {
            "categories": [category.model_dump() for category in self.parsed.dataset.categories],
            "videos": [self.tables.entry("videos", place)],
            "annotations": [self.tables.entry("annotations", number) for number in places],
        }
        parsed = parse_ytvis(raw)
        problems = []
        for problem in parsed.problems:
            match = _ENTRY.match(problem.where)
            if match and match[1] == "annotations" and problem.field.startswith(_OF_FRAMES):
                where = f"annotations[{places[int(match[2])]}]{problem.where[match.end() :]}"
                problems.append(Problem(f"{self.file}: {where}", problem.field, problem.message))
        return parsed.dataset.tracks, problems

    def _stills(self, video: YtvisVideo, split: str | None) -> Iterator[Still]:
        folder = next((found for found in self._media(split) if (found / STILLS).is_dir()), None)
        for place, name in enumerate(video.file_names):
            picture = None if folder is None else folder / STILLS / name
            there = picture is not None and picture.is_file()
            stem = Path(name).stem
            time_s = None if video.frame_times is None else video.frame_times[place]
            yield Still(
                name=stem,
                number=numbered(stem),
                time_s=time_s,
                picture=Media(name=Path(name).name, path=picture) if there else None,
            )

    def _media(self, split: str | None) -> list[Path]:
        """Where stills and sound may be: in the folder of the split, or beside the file."""
        return [self.root / split, self.root] if split is not None else [self.root / self.file.stem, self.root]

    def _sound(self, video: YtvisVideo, split: str | None) -> Media | None:
        for folder in self._media(split):
            path = folder / video.audio_file if video.audio_file else sound_path(folder.parent, folder.name, video.name)
            if path.is_file():
                return Media(name=path.name, path=path)
        return None

    def _embeddings(self, video: YtvisVideo, split: str | None) -> _Embeddings | None:
        paths = (features_path(folder.parent, folder.name, video.name) for folder in self._media(split))
        path = next((path for path in paths if path.is_file()), None)
        return None if path is None else _Embeddings(path, video.length)

    def _license(self, video: YtvisVideo) -> str | None:
        for entry in self.parsed.dataset.licenses:
            if isinstance(entry, dict) and video.license_id is not None and entry.get("id") == video.license_id:
                name = entry.get("name") or entry.get("url")
                return name if isinstance(name, str) else None
        return None


@dataclass(frozen=True)
class _Embeddings:
    """Loads the embeddings of one video."""

    path: Path
    length: int

    def __call__(self) -> NDArray[np.float32]:
        """float32 (T, 128)."""
        found = load_npy(self.path)
        check_rows(found, what=str(self.path), num_rows=self.length, width=128)
        return np.asarray(found, np.float32)


def _without_frames(entry: object) -> object:
    """An annotation without what it says of each frame, which is looked at when its video is read."""
    if not isinstance(entry, dict):
        return entry
    light = {name: value for name, value in entry.items() if name not in ("sounding", "areas", "bboxes")}
    masks = light.get("segmentations")
    return light | {"segmentations": [None] * len(masks)} if isinstance(masks, list) else light


def _by_video(raw: object, parsed: ParsedYtvis, file: Path) -> dict[str | None, list[Problem]]:
    """The problems of a file by the name of the video that they are about."""
    tables: Mapping[str, object] = raw if isinstance(raw, dict) else {}
    by_id = {video.video_id: video.name for video in parsed.dataset.videos}
    found: dict[str | None, list[Problem]] = defaultdict(list)
    for problem in parsed.problems:
        here = Problem(f"{file}: {problem.where}", problem.field, problem.message)
        match = _ENTRY.match(problem.where)
        rows = tables.get(match[1]) if match else None
        entry = rows[int(match[2])] if match and isinstance(rows, list) and int(match[2]) < len(rows) else None
        name = None
        if match and isinstance(entry, dict):
            number = entry.get("id" if match[1] == "videos" else "video_id")
            name = by_id.get(number) if isinstance(number, int) else None
            if name is None and match[1] == "videos":
                name = _name_of(entry) or f"{match[1]}[{match[2]}]"
        found[name].append(here)
    return found


def _name_of(entry: Mapping[str, object]) -> str | None:
    names = entry.get("file_names")
    first = names[0] if isinstance(names, list) and names else None
    return first.split("/")[0][:200] if isinstance(first, str) and "/" in first else None


def _track(track: YtvisTrack, categories: Mapping[int, str], *, sounds: bool) -> LabelledTrack:
    """A mask without pixels is none."""
    masks = tuple(mask if mask is not None and area(mask) else None for mask in track.masks)
    flags = track.sounding or ((True if sounds else None),) * len(masks)
    return LabelledTrack(
        track_id=f"{track.track_id:06d}",
        category=categories[track.category_id],
        masks=masks,
        sounding=tuple(flag if mask is not None else None for mask, flag in zip(masks, flags, strict=True)),
    )
