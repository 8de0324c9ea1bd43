"""The files of a set in the AVISeg layout: read video by video, written annotation by annotation."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, get_args

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.formats.aviseg_folders import STILLS, features_path, frame_name, frames_dir, sound_path, truth_path
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.files import numbered
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.formats.ytvis import annotation_json, parse_ytvis, video_json
from avis_data.formats.ytvis_parse import ParsedYtvis
from avis_data.formats.ytvis_records import MaskForm, YtvisTrack, YtvisVideo
from avis_data.io import atomic_path, read_json
from avis_data.masks.rle import area
from avis_data.records import SplitName

__all__ = ["is_truth", "read_ytvis_set", "truth_files", "write_media", "write_truth"]

_HEAD_BYTES = 1 << 16
_ENTRY = re.compile(r"^(videos|annotations)\[(\d+)\]")


def truth_files(path: Path) -> list[Path]:
    """The file itself, or the truth files of the splits in a folder.

    Example:
        >>> [file.name for file in truth_files(Path("example/exports/ytvis"))]
        ['train.json', 'val.json', 'test.json']
    """
    if path.is_file():
        return [path]
    named = (truth_path(path, split) for split in get_args(SplitName))
    return [file for file in named if file.is_file()]


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
    return b'"file_names"' in found and b'"videos"' in found


def read_ytvis_set(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The videos of a truth file, or of those in a folder, in the order of their names.

    A mask of a file without flags `sounding` is of something that sounds where the split has sound (AVISeg); in plain
    YouTube-VIS nobody said so.

    Raises:
        DataError: if there is no such file, or one is no JSON; also ProblemsError.

    Example:
        >>> clip = next(read_ytvis_set(Path("example/exports/ytvis/val.json")))
        >>> clip.name, clip.split, len(clip.stills)
        ('synth1-0001', 'val', 4)
    """
    files = truth_files(path)
    if not files:
        raise DataError(f"{path}: holds no train.json, val.json or test.json")
    splits = [_Split.of(file, root=path if path.is_dir() else file.parent) for file in files]
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
    """One truth file."""

    file: Path
    root: Path
    parsed: ParsedYtvis
    faults: dict[str | None, list[Problem]]
    """By the name of the video; None: of the file."""
    videos: dict[str, YtvisVideo]
    tracks: dict[int, list[YtvisTrack]]

    @classmethod
    def of(cls, file: Path, *, root: Path) -> _Split:
        raw = read_json(file)
        parsed = parse_ytvis(raw)
        videos = {video.name: video for video in parsed.dataset.videos}
        tracks: dict[int, list[YtvisTrack]] = defaultdict(list)
        for track in parsed.dataset.tracks:
            tracks[track.video_id].append(track)
        faults = _by_video(raw, parsed, file)
        if not videos and not any(faults):
            raise ProblemsError(f"{file}: no YouTube-VIS file", parsed.problems)
        return cls(file=file, root=root, parsed=parsed, faults=faults, videos=videos, tracks=tracks)

    def names(self) -> list[str]:
        """Of all videos, those that cannot be read among them."""
        return sorted({*self.videos, *(name for name in self.faults if name is not None)})

    def clip(self, name: str) -> LabelledClip | UnreadClip:
        """One video."""
        video = self.videos.get(name)
        if video is None or self.faults[name]:
            problems = self.faults[name] or [Problem(str(self.file), "videos", f"no video {name!r:.60}")]
            return UnreadClip(name=name, problems=tuple(problems))
        split = next((found for found in get_args(SplitName) if found == self.file.stem), None)
        sound = self._sound(video, split)
        categories = {category.id: category.name for category in self.parsed.dataset.categories}
        tracks = [_track(track, categories, sounds=sound is not None) for track in self.tracks[video.video_id]]
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
        try:
            found: NDArray[np.float32] = np.load(self.path, allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            raise DataError(f"{self.path}: no array of embeddings ({error!s:.80})") from None
        if found.shape != (self.length, 128) or found.dtype.kind != "f" or not np.isfinite(found).all():
            raise DataError(f"{self.path}: must be {self.length} x 128 finite numbers, is {found.shape}")
        return found.astype(np.float32)


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


def write_media(folder: Path, clip: LabelledClip) -> list[str]:
    """Stills, sound and embeddings of one clip; what it has none of is left out.

    Returns:
        The paths of the files in the folder.

    Example:
        >>> clip = next(read_ytvis_set(Path("example/exports/ytvis/val.json")))
        >>> write_media(Path("copy"), clip)[0]
        'val/JPEGImages/synth1-0001/0.jpg'
    """
    split = clip.split or "train"
    names = []
    for number, still in enumerate(clip.stills):
        if still.picture is not None:
            names.append(_put(still.picture, folder, frames_dir(folder, split, clip.name) / frame_name(number)))
    if clip.sound is not None:
        names.append(_put(clip.sound, folder, sound_path(folder, split, clip.name)))
    if clip.embeddings_TD is not None:
        out = io.BytesIO()
        np.save(out, clip.embeddings_TD(), allow_pickle=False)
        array = Media(name="embeddings.npy", load=out.getvalue)
        names.append(_put(array, folder, features_path(folder, split, clip.name)))
    return names


def _put(media: Media, folder: Path, path: Path) -> str:
    media.put(path)
    return path.relative_to(folder).as_posix()


def write_truth(folder: Path, clips: Clips, facts: SetFacts, *, form: MaskForm) -> list[str]:
    """The truth file of each split: one annotation a line, flags `sounding` with each.

    Returns:
        The paths of the files in the folder.

    Raises:
        DataError: if a category is none of the set's, or a mask is empty or does not fit its clip.

    Example:
        >>> facts = SetFacts(name="copy", categories={"person": 1, "dog": 2, "violin": 3})
        >>> clip = next(read_ytvis_set(Path("example/exports/ytvis/val.json")))
        >>> write_truth(Path("copy"), lambda: iter([clip]), facts, form="rle")
        ['val.json']
    """
    files: dict[str, _TruthFile] = {}
    with ExitStack() as stack:
        for clip in clips():
            split = clip.split or "train"
            if split not in files:
                parts = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(2)]
                files[split] = _TruthFile(videos=parts[0], annotations=parts[1], facts=facts, form=form)
            files[split].add(clip)
        for split, file in files.items():
            with atomic_path(truth_path(folder, split)) as part, part.open("w", encoding="utf-8", newline="\n") as out:
                file.join(out, split)
    return [truth_path(folder, split).name for split in files]


@dataclass(kw_only=True)
class _TruthFile:
    """The tables of one truth file, each in a temporary file until all clips are in."""

    videos: IO[str]
    annotations: IO[str]
    facts: SetFacts
    form: MaskForm
    num_videos: int = 0
    num_annotations: int = 0
    licenses: dict[str, int] = field(default_factory=dict)

    def add(self, clip: LabelledClip) -> None:
        """The entries of a clip."""
        video = self._video(clip)
        self._line(self.videos, video_json(video), first=video.video_id == 1)
        for track in clip.tracks if clip.has_truth else ():
            if not track.frames:
                continue
            if track.category is None or track.category not in self.facts.categories:
                raise DataError(f"clip {clip.name}: {track.category!r:.60} is no category of the set")
            self.num_annotations += 1
            entry = YtvisTrack(
                track_id=self.num_annotations,
                video_id=video.video_id,
                category_id=self.facts.categories[track.category],
                masks=track.masks,
                sounding=track.sounding,
            )
            written = annotation_json(entry, video, self.num_annotations, self.form)
            self._line(self.annotations, written, first=self.num_annotations == 1)

    def join(self, out: IO[str], split: str) -> None:
        """Write the whole file."""
        facts = self.facts
        head = {
            "info": {"description": facts.description, "dataset": facts.name, "split": split},
            "licenses": [{"id": number, "name": name} for name, number in self.licenses.items()],
            "categories": [
                {"id": number, "name": name}
                for name, number in sorted(facts.categories.items(), key=lambda entry: entry[1])
            ],
        }
        out.write(json.dumps(head, ensure_ascii=False)[:-1])
        for name, part in (("videos", self.videos), ("annotations", self.annotations)):
            part.seek(0)
            out.write(f',\n"{name}": [')
            shutil.copyfileobj(part, out)
            out.write("\n]")
        out.write("}\n")

    def _video(self, clip: LabelledClip) -> YtvisVideo:
        self.num_videos += 1
        times = [still.time_s for still in clip.stills]
        known = [time_s for time_s in times if time_s is not None]
        license_id = None if clip.license is None else self.licenses.setdefault(clip.license, len(self.licenses) + 1)
        return YtvisVideo(
            video_id=self.num_videos,
            name=clip.name,
            width=clip.width,
            height=clip.height,
            length=len(clip.stills),
            file_names=tuple(f"{clip.name}/{frame_name(number)}" for number in range(len(clip.stills))),
            license_id=license_id,
            fps=clip.fps or 1.0,
            frame_times=tuple(known) if len(known) == len(times) and known == sorted(set(known)) else None,
            source=clip.source,
        )

    @staticmethod
    def _line(table: IO[str], entry: Mapping[str, object], *, first: bool) -> None:
        table.write(f"{'' if first else ','}\n{json.dumps(entry, ensure_ascii=False, allow_nan=False)}")
