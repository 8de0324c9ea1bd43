"""Masks on disk come back as they were, from any thread, and hold no memory meanwhile."""

from __future__ import annotations

import pickle
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from avis_data.masks.rle import Rle, encode
from avis_data.masks.spool import GrowingMasks, MaskSpool


def masks_of(rng: random.Random, *, height: int, width: int) -> list[Rle | None]:
    numpy_rng = np.random.default_rng(rng.randrange(2**32))
    return [
        None if rng.random() < 0.3 else encode(numpy_rng.random((height, width)) < rng.random())
        for _ in range(rng.randrange(8))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_masks_come_back_as_they_were(seed: int) -> None:
    rng, spool = random.Random(seed), MaskSpool()
    given = [masks_of(rng, height=rng.randrange(1, 40), width=rng.randrange(1, 40)) for _ in range(30)]
    given += [[], [None], [None, None]]
    kept = [spool.keep(masks) for masks in given]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(list, kept)) == given
    for masks, found in zip(given, kept, strict=True):
        assert len(found) == len(masks) and found.drawn == tuple(mask is not None for mask in masks)
        assert found[1:3] == tuple(masks[1:3]) and [found[place] for place in range(len(masks))] == masks


def test_what_is_kept_takes_no_memory() -> None:
    spool, text = MaskSpool(), "0" * 10_000
    tracemalloc.start()
    try:
        kept = [spool.keep([Rle(height=100, width=100, counts=text + str(number))]) for number in range(300)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 300_000 and len(kept) == 300


def test_masks_that_grow_are_a_tuple_of_them() -> None:
    rng, spool = random.Random(0), MaskSpool()
    rows = [GrowingMasks(spool) for _ in range(3)]
    given: list[list[Rle]] = [[] for _ in rows]
    for number in range(400):
        for row, masks in zip(rows, given, strict=True):
            masks.append(Rle(height=90, width=70, counts=str(number) * rng.randrange(1, 400)))
            row.append(masks[-1])
            assert len(row) == number + 1 and row[-1] == masks[-1]
    for row, masks in zip(rows, given, strict=True):
        assert list(row) == masks and row == tuple(masks) and row != tuple(masks[:-1])
        assert [row[place] for place in (0, 399, 17, 200, -400)] == [masks[place] for place in (0, 399, 17, 200, 0)]
        assert row[390:5:-50] == tuple(masks[390:5:-50])
        assert pickle.loads(pickle.dumps(row)) == tuple(masks)
        with pytest.raises(IndexError):
            row[400]


def test_masks_that_grow_take_no_memory() -> None:
    masks, text = GrowingMasks(MaskSpool()), "0" * 10_000
    tracemalloc.start()
    try:
        for number in range(300):
            masks.append(Rle(height=100, width=100, counts=text + str(number)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 300_000 and len(masks) == 300


def test_masks_that_grow_stay_in_memory_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    masks, given = GrowingMasks(MaskSpool()), [Rle(height=9, width=9, counts="0" * 30_000 + str(n)) for n in range(9)]
    for number, mask in enumerate(given):
        if number == 4:
            monkeypatch.setattr(MaskSpool, "keep", _full)
        masks.append(mask)
    assert list(masks) == given and masks[8] == given[8]


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")
