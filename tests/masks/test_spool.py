"""Masks on disk come back as they were, from any thread, and hold no memory meanwhile."""

from __future__ import annotations

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from avis_data.masks.rle import Rle, encode
from avis_data.masks.spool import MaskSpool


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
