"""AVSBench's folders for S4 (one source) and MS3 (several sources): where the files of a clip are, and its tables.

```
Single-source/s4_meta_data.csv                       name,start,category,split
Single-source/s4_data/visual_frames/{split}/{category}/{name}/{name}_{k}.png    k = 1 ... 5
                      gt_masks/{split}/{category}/{name}/{name}_{k}.png         train: k = 1 only
                      audio_wav/{split}/{category}/{name}.wav
Multi-sources/ms3_meta_data.csv                      video_id,split
Multi-sources/ms3_data/visual_frames/{name}/{name}.mp4_{k}.png
                       gt_masks/{split}/{name}/{name}_{k}.png
                       audio_wav/{split}/{name}.wav
```

Source: specs of AVS-BG, §2.1 and §2.2: what the published loaders read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "NUM_FRAMES",
    "SIDE_PX",
    "AvsbenchClip",
    "AvsbenchName",
    "AvsbenchPaths",
    "AvsbenchSound",
    "clip_paths",
    "folder_of",
    "table",
    "table_path",
    "table_rows",
]

AvsbenchName = Literal["avsbench-s4", "avsbench-ms3"]
AvsbenchSound = Literal["wav", "logmel"]
"""`wav`: 16 kHz, mono. `logmel`: the examples that VGGish takes, as `.npy`; the published sets have a pickle in its
place, which runs code when it is read."""

NUM_FRAMES = 5
"""Seconds of a clip, and its frames: one at each second, counted from 1 in file names."""
SIDE_PX = 224

_ROOTS: dict[AvsbenchName, tuple[str, str]] = {
    "avsbench-s4": ("Single-source", "s4"),
    "avsbench-ms3": ("Multi-sources", "ms3"),
}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class AvsbenchClip:
    """One row of the table."""

    name: str
    start_s: float
    """Start in the source video; S4 only says it."""
    category: str
    """What sounds in it, S4 only; empty otherwise."""
    split: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AvsbenchPaths:
    """The files of one clip, relative to the folder of the dataset."""

    frames: tuple[str, ...]
    masks: tuple[str | None, ...]
    """One for each frame; None where that has no label."""
    sound: str


def clip_paths(dataset: AvsbenchName, clip: AvsbenchClip, sound: AvsbenchSound) -> AvsbenchPaths:
    """Where the files of a clip are.

    Example:
        >>> clip = AvsbenchClip(name="dog1", start_s=0.0, category="dog barking", split="val")
        >>> paths = clip_paths("avsbench-s4", clip, "wav")
        >>> paths.frames[0]
        'Single-source/s4_data/visual_frames/val/dog_barking/dog1/dog1_1.png'
        >>> paths.sound
        'Single-source/s4_data/audio_wav/val/dog_barking/dog1.wav'
    """
    root, short = _ROOTS[dataset]
    data, numbers = f"{root}/{short}_data", range(1, NUM_FRAMES + 1)
    heard = ("audio_wav", "wav") if sound == "wav" else ("audio_log_mel", "npy")
    if dataset == "avsbench-s4":
        place = f"{clip.split}/{folder_of(clip.category)}/{clip.name}"
        frames = tuple(f"{data}/visual_frames/{place}/{clip.name}_{number}.png" for number in numbers)
    else:
        place = f"{clip.split}/{clip.name}"
        frames = tuple(f"{data}/visual_frames/{clip.name}/{clip.name}.mp4_{number}.png" for number in numbers)
    labelled = 1 if dataset == "avsbench-s4" and clip.split == "train" else NUM_FRAMES
    masks = (f"{data}/gt_masks/{place}/{clip.name}_{number}.png" if number <= labelled else None for number in numbers)
    return AvsbenchPaths(frames=frames, masks=tuple(masks), sound=f"{data}/{heard[0]}/{place}.{heard[1]}")


def folder_of(category: str) -> str:
    """A category as the name of a folder, and in the table: the loaders take one for the other.

    Example:
        >>> folder_of("dog barking")
        'dog_barking'
    """
    return _UNSAFE.sub("_", category)


def table_path(dataset: AvsbenchName) -> str:
    """Where the table of a dataset is.

    Example:
        >>> table_path("avsbench-s4")
        'Single-source/s4_meta_data.csv'
    """
    root, short = _ROOTS[dataset]
    return f"{root}/{short}_meta_data.csv"


def table(dataset: AvsbenchName, clips: Iterable[AvsbenchClip]) -> tuple[str, str]:
    """The table of a dataset: its path and its text.

    Example:
        >>> path, text = table("avsbench-ms3", [AvsbenchClip(name="dog1", start_s=0.0, category="", split="val")])
        >>> path, text.splitlines()
        ('Multi-sources/ms3_meta_data.csv', ['video_id,split', 'dog1,val'])
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if dataset == "avsbench-s4":
        writer.writerow(("name", "start", "category", "split"))
        writer.writerows((clip.name, _number(clip.start_s), folder_of(clip.category), clip.split) for clip in clips)
    else:
        writer.writerow(("video_id", "split"))
        writer.writerows((clip.name, clip.split) for clip in clips)
    return table_path(dataset), text.getvalue()


def table_rows(text: str) -> list[list[str]]:
    """The rows of a table without its header, every value as text: names may look like numbers.

    Example:
        >>> table_rows("video_id,split" + chr(10) + "007,val")
        [['007', 'val']]
    """
    return list(csv.reader(io.StringIO(text)))[1:]


def _number(value: float) -> str:
    """Whole seconds as the published table has them, others to the millisecond."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
