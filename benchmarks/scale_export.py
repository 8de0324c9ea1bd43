"""An export of many clips, made up, for what reads exports; `benchmarks.scale` measures with it.

Three splits, five stills a clip, one track or two, masks as run lengths. Stills, sounds and embeddings are hard links
to a few files; the list of files and the certificate are those that an export has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from avis_data import __version__
from avis_data.format_numbers import CERTIFICATE, EXPORT
from avis_data.formats.aviseg_folders import FEATURES, SOUNDS, STILLS
from avis_data.formats.ytvis import annotation_json, video_json
from avis_data.formats.ytvis_records import YtvisTrack, YtvisVideo
from avis_data.io import sha256_file, sha256_text, write_json, write_lines
from avis_data.masks.rle import Rle, encode
from avis_data.quality.published import FILE_LIST

__all__ = ["build_export"]

SPLITS = {"train": 0.7, "val": 0.1, "test": 0.2}
STILLS_OF_CLIP = 5
WIDTH, HEIGHT = 640, 360
LINKS = 20_000
"""Names of one file; file systems allow some 65,000."""
KINDS = 40
"""Stills of other lengths, so that hardly two clips have the same ones."""


def build_export(root: Path, num_clips: int, *, first_y: int = 180) -> None:
    """Make the folder; `first_y` is where masks lie, so that two exports can differ."""
    root.mkdir(parents=True)
    made = _Files(root)
    at = 0
    for split, share in SPLITS.items():
        count = round(num_clips * share) if split != "test" else num_clips - at
        _write_truth(root / f"{split}.json", range(at, at + count), first_y)
        for folder in (STILLS, SOUNDS, FEATURES):
            (root / split / folder).mkdir(parents=True)
        for number in range(at, at + count):
            made.clip(split, number)
        at += count
    hashes = made.hashes | {f"{split}.json": sha256_file(root / f"{split}.json") for split in SPLITS}
    made.finish()
    write_lines(root / FILE_LIST, (f"{hashes[path]}  {path}" for path in sorted(hashes)))
    text = (root / FILE_LIST).read_text(encoding="utf-8")
    files = {"list": FILE_LIST, "count": len(hashes), "sha256": sha256_text(text)}
    clips = [
        {"clip_id": _name(n), "source": _name(n), "video_id": _name(n), "num_seconds": 5} for n in range(num_clips)
    ]
    tool = {"name": "avis-data", "version": __version__}
    write_json(root / CERTIFICATE, {"certificate": EXPORT.number, "tool": tool, "files": files, "clips": clips})


def _name(number: int) -> str:
    return f"c{number:07d}"


def _write_truth(path: Path, numbers: range, first_y: int) -> None:
    """One entry at a time: the file is large."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    masks = [encode((y - first_y) ** 2 + (x - 200 - 8 * n) ** 2 < (60 + n) ** 2) for n in range(20)]
    with path.open("w", encoding="utf-8") as file:
        categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
        file.write(f'{{"info": {{}}, "licenses": [], "categories": {json.dumps(categories)},\n"videos": [\n')
        file.write(",\n".join(json.dumps(video_json(_video(number))) for number in numbers))
        file.write('\n],\n"annotations": [\n')
        for place, (number, track) in enumerate(_tracks(numbers, masks)):
            entry = annotation_json(track, _video(number), place + 1, "rle")
            file.write(("" if not place else ",\n") + json.dumps(entry))
        file.write("\n]}\n")


def _video(number: int) -> YtvisVideo:
    names = tuple(f"{_name(number)}/{still:05d}.jpg" for still in range(STILLS_OF_CLIP))
    return YtvisVideo(
        video_id=number + 1, name=_name(number), width=WIDTH, height=HEIGHT, length=STILLS_OF_CLIP, file_names=names
    )


def _tracks(numbers: range, masks: list[Rle]) -> Iterator[tuple[int, YtvisTrack]]:
    for number in numbers:
        for place in range(1 + number % 4 // 3):
            chosen = tuple(masks[(number + 3 * place + still) % len(masks)] for still in range(STILLS_OF_CLIP))
            yield number, YtvisTrack(track_id=1, video_id=number + 1, category_id=1 + place, masks=chosen)


class _Files:
    """The few files that all others are names of."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "kept"
        self._folder.mkdir()
        self._digests: dict[tuple[int, int], tuple[Path, str]] = {}
        self._used: dict[int, int] = {}
        self.hashes: dict[str, str] = {}
        self._first: list[Path] = []
        picture = Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8))
        for kind in range(KINDS):
            path = self._folder / f"{kind}.jpg"
            picture.save(path)
            path.write_bytes(path.read_bytes() + bytes(kind))
            self._first.append(path)
        samples = np.random.default_rng(0).integers(-3000, 3000, (16_000 * STILLS_OF_CLIP, 2)).astype(np.int16)
        soundfile.write(self._folder / "a.wav", samples, 16_000, subtype="PCM_16")
        np.save(self._folder / "a.npy", np.ones((STILLS_OF_CLIP, 128), dtype=np.float32))
        self._first += [self._folder / "a.wav", self._folder / "a.npy"]

    def clip(self, split: str, number: int) -> None:
        """The files of one clip."""
        name = _name(number)
        (self._root / split / STILLS / name).mkdir()
        for still in range(STILLS_OF_CLIP):
            self._link(number // KINDS**still % KINDS, f"{split}/{STILLS}/{name}/{still:05d}.jpg")
        self._link(KINDS, f"{split}/{SOUNDS}/{name}.wav")
        self._link(KINDS + 1, f"{split}/{FEATURES}/{name}.npy")

    def _link(self, kind: int, path: str) -> None:
        copy, self._used[kind] = self._used.get(kind, 0) // LINKS, self._used.get(kind, 0) + 1
        if (kind, copy) not in self._digests:
            made = self._folder / f"{kind}-{copy}"
            made.write_bytes(self._first[kind].read_bytes())
            self._digests[kind, copy] = made, sha256_file(made)
        made, self.hashes[path] = self._digests[kind, copy]
        os.link(made, self._root / path)

    def finish(self) -> None:
        """Take away the names that are not of the export."""
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()
