"""The files of a set in the AVISeg layout written: stills and sound clip by clip, truth annotation by annotation."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from avis_data.errors import DataError
from avis_data.formats.aviseg_folders import features_path, frame_name, frames_dir, sound_path, truth_path
from avis_data.formats.sets.clips import LabelledClip, Media
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.formats.ytvis import annotation_json, video_json
from avis_data.formats.ytvis_records import MaskForm, YtvisTrack, YtvisVideo
from avis_data.io import atomic_path

__all__ = ["write_media", "write_truth"]


def write_media(folder: Path, clip: LabelledClip) -> list[str]:
    """Stills, sound and embeddings of one clip; what it has none of is left out.

    Returns:
        The paths of the files in the folder.

    Example:
        >>> from avis_data.formats.ytvis_set_files import read_ytvis_set
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
        >>> from avis_data.formats.ytvis_set_files import read_ytvis_set
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
