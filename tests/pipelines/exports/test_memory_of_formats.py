"""A set of four times the clips is converted in about the same memory, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from avis_data.formats.sets import json_tables
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, UnreadClip
from avis_data.formats.sets.registry import SETS, WRITTEN
from avis_data.masks.rle import encode
from avis_data.pipelines.exports.convert import Conversion, convert
from support.labelled_sets import odd_clips
from support.memory import peak_bytes

_SIZE = 200
_STILLS = 5
_LABEL_BYTES = 2 * _STILLS * 20_000
"""Of a clip, about: two objects of stripes, whose run lengths fill so much text, and whose outlines are few."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A reader of a set that is made up on the way."""

    count: int

    def looks_right(self, path: Path) -> bool:
        return not path.exists()

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        assert not path.exists()
        rows = np.arange(_SIZE)[:, None] % [[[3]], [[4]], [[5]], [[6]]] < 2
        masks = [encode(inside) for inside in np.broadcast_to(rows, (4, _SIZE, _SIZE))]
        (clip,) = odd_clips(0, 1, lengths=[_STILLS], sizes_HW=[(_SIZE, _SIZE)])
        for number in range(self.count):
            tracks = tuple(
                LabelledTrack(
                    track_id=f"t{place}",
                    category="person",
                    masks=tuple(masks[(number + place + still) % 4] for still in range(_STILLS)),
                    sounding=(True,) * _STILLS,
                )
                for place in range(2)
            )
            yield replace(clip, name=f"c{number:03d}", tracks=tracks, source=None, split="train")


def peak_of(name: str, count: int, out: Path) -> int:
    wanted = Conversion(source=Path("made-up"), format_name="made-up", reader=Made(count=count), target=SETS[name])
    return peak_bytes(lambda: convert(wanted, out))


@pytest.mark.parametrize("name", WRITTEN)
def test_memory_does_not_grow_with_the_set(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_tables, "_CHUNK_BYTES", 1 << 16)  # small beside the files of this test, too
    peak_of(name, 1, tmp_path / "first")  # what is imported on the way is no memory of clips
    small, large = peak_of(name, 3, tmp_path / "small"), peak_of(name, 10, tmp_path / "large")
    assert large - small < 0.3 * 7 * _LABEL_BYTES, f"{small / 1e6:.2f} MB, then {large / 1e6:.2f} MB"
