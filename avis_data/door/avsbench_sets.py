"""Sets in the three layouts of AVSBench (S4, MS3, AVSS): masks of what sounds or of classes, and no identities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.door.clip_sets import ClipSet, Part
from avis_data.door.clips import Clip
from avis_data.door.tracks import Track
from avis_data.formats.avsbench import LayoutName
from avis_data.formats.avsbench_clips import AvsFiles, open_layout
from avis_data.formats.avsbench_masks import label_of
from avis_data.masks.rle import Rle, encode
from avis_data.media.stills import open_still
from avis_data.quality import SPLITS

__all__ = ["open_avsbench"]


def open_avsbench(root: Path) -> ClipSet:
    """The clips of such a set.

    Each has one track for all that sounds or, in AVSS, one for each class, and a frame a second. Frames that the set
    does not label have no mask, and nobody says whether they sound.

    Raises:
        DataError: if there are several sets in the folder, or its table cannot be read.
    """
    layout = open_layout(root)
    found = {split: tuple(layout.clips(split)) for split in SPLITS}
    parts: dict[str | None, Part] = {
        split: Part(_ReadClips(split, files, layout.name, layout.categories)) for split, files in found.items() if files
    }
    return ClipSet(root=root, kind="dataset", parts=parts)


@dataclass(frozen=True)
class _ReadClips:
    """Makes the clips of a split; the size of each is that of its first still."""

    split: str
    files: tuple[AvsFiles, ...]
    layout: LayoutName
    categories: Mapping[int, str]

    def __call__(self) -> Iterator[Clip]:
        for files in self.files:
            width, height = open_still(files.frames[0]).size
            labelled = any(path is not None and path.is_file() for path in files.masks)
            yield Clip(
                clip_id=files.clip_id,
                split=self.split,
                size_hw=(height, width),
                fps=1.0,
                still_paths=files.frames,
                sound_path=next((path for path in files.sounds if path.suffix == ".wav" and path.is_file()), None),
                categories=self.categories,
                truth_path=None,
                video_id=None,
                read_embeddings=None,
                read_tracks=_ReadMasks(files, (height, width), self.layout, self.categories) if labelled else None,
            )


@dataclass(frozen=True)
class _ReadMasks:
    """Reads the masks of a clip from its pictures."""

    files: AvsFiles
    size_hw: tuple[int, int]
    layout: LayoutName
    categories: Mapping[int, str] = field(repr=False)

    def __call__(self) -> tuple[Track, ...]:
        labels = [None if path is None else self._label(path) for path in self.files.masks]
        values = {value for label in labels if label is not None for value in np.unique(label).tolist()} - {0}
        return tuple(self._track(value, labels) for value in sorted(values))

    def _label(self, path: Path) -> NDArray[np.uint8]:
        return label_of(path, self.layout, max(self.categories) + 1)

    def _track(self, value: int, labels: list[NDArray[np.uint8] | None]) -> Track:
        found = [None if label is None else label == value for label in labels]
        masks: list[Rle | None] = [encode(inside) if inside is not None and inside.any() else None for inside in found]
        heard = [None if inside is None else bool(inside.any()) for inside in found]
        return Track(
            track_id=str(value),
            category=self.categories.get(value, f"class {value}"),
            category_id=value,
            size_hw=self.size_hw,
            masks=tuple(masks),
            sounding=tuple(heard),
        )
