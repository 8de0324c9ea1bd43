"""The folders of AVSBench, for S4 (one source), MS3 (several sources) and AVSS (classes): files of a clip, and tables.

```
Single-source/s4_meta_data.csv                       name,start,category,split
Single-source/s4_data/visual_frames/{split}/{category}/{name}/{name}_{k}.png    k = 1 ... 5
                      gt_masks/{split}/{category}/{name}/{name}_{k}.png         train: k = 1 only
                      audio_wav/{split}/{category}/{name}.wav
Multi-sources/ms3_meta_data.csv                      video_id,split
Multi-sources/ms3_data/visual_frames/{name}/{name}.mp4_{k}.png
                       gt_masks/{split}/{name}/{name}_{k}.png
                       audio_wav/{split}/{name}.wav
metadata.csv                                         uid, label, split, and more; label: v1s, v1m, v2
label2idx.json                                       class -> its number
{label}/{uid}/frames/{k}.jpg                         k = 0 ... 4 (v1s, v1m) or 9 (v2)
              labels_rgb/{k}.png                     v1s, train: k = 0 only
              audio.wav
```

S4 and MS3 have `audio_log_mel/....npy` (published: `.pkl`) in place of or beside `audio_wav/....wav`.

Source: specs of AVS-BG, §2: what the published loaders read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from avis_data.io import csv_text

__all__ = [
    "AVSS_CLASSES",
    "AVSS_FRAMES",
    "AVSS_TABLE",
    "FOLDERS",
    "LAYOUTS",
    "NUM_FRAMES",
    "SIDE_PX",
    "AvsbenchClip",
    "AvsbenchName",
    "AvsbenchPaths",
    "AvsbenchSound",
    "LayoutName",
    "avss_paths",
    "clip_paths",
    "folder_of",
    "table",
    "table_path",
    "table_rows",
]

AvsbenchName = Literal["avsbench-s4", "avsbench-ms3"]
LayoutName = Literal["s4", "ms3", "avss"]
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
FOLDERS = tuple(folder for folder, _ in _ROOTS.values())
"""Folders of a download or an export, each of which holds one dataset."""
LAYOUTS = (
    "an AVSBench folder has s4_meta_data.csv and s4_data, ms3_meta_data.csv and ms3_data, or (AVSS) metadata.csv and "
    "label2idx.json"
)
"""What to look for, in words."""

AVSS_TABLE, AVSS_CLASSES = "metadata.csv", "label2idx.json"
AVSS_FRAMES = {"v1s": 5, "v1m": 5, "v2": 10}
"""Parts of AVSS, as the table calls them (S4, MS3 and the longer clips), and how many frames a clip of each has."""

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


def avss_paths(part: str, name: str, split: str) -> AvsbenchPaths:
    """Where the files of a clip of AVSS are.

    Args:
        part: one of `AVSS_FRAMES`.
        name: the clip's `uid`.
        split: `train`, `val` or `test`.

    Example:
        >>> paths = avss_paths("v1s", "dog1", "train")
        >>> paths.frames[0], paths.sound
        ('v1s/dog1/frames/0.jpg', 'v1s/dog1/audio.wav')
        >>> paths.masks
        ('v1s/dog1/labels_rgb/0.png', None, None, None, None)
    """
    folder, frames = f"{part}/{name}", AVSS_FRAMES[part]
    labelled = 1 if part == "v1s" and split == "train" else frames
    return AvsbenchPaths(
        frames=tuple(f"{folder}/frames/{number}.jpg" for number in range(frames)),
        masks=tuple(f"{folder}/labels_rgb/{number}.png" if number < labelled else None for number in range(frames)),
        sound=f"{folder}/audio.wav",
    )


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
    rows: list[tuple[str, ...]]
    if dataset == "avsbench-s4":
        rows = [("name", "start", "category", "split")]
        rows += [(clip.name, _number(clip.start_s), folder_of(clip.category), clip.split) for clip in clips]
    else:
        rows = [("video_id", "split"), *((clip.name, clip.split) for clip in clips)]
    return table_path(dataset), csv_text(rows)


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
