"""Masks that machines made are known again by their content, whoever encoded them, also after a kill."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np

from avis_data.annotation.labels.made_masks import MadeMask, made_masks, mask_sha256, record_made
from avis_data.annotation.labels.records import MaskOrigin
from avis_data.masks.rle import Rle, encode, rle_from_runs
from avis_data.paths import Workspace


def made(number: int, origin: MaskOrigin = MaskOrigin.CLICKED) -> MadeMask:
    mask = np.zeros((8, 9), bool)
    mask[number % 8, : 1 + number // 8] = True
    return MadeMask.of(encode(mask), identity="dog_1", frame=number, origin=origin, engine="grabcut", at="now")


def test_the_hash_is_of_the_pixels_and_their_size() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    rle = encode(mask)
    runs = [9, 2, 2, 2, 2, 2, 5]
    assert mask_sha256(rle) == mask_sha256(rle_from_runs(runs, height=4, width=6))
    assert mask_sha256(rle) != mask_sha256(encode(mask.reshape(6, 4)))
    mask[0, 0] = True
    assert mask_sha256(rle) != mask_sha256(encode(mask))
    empty = encode(np.zeros((4, 6), bool))
    assert mask_sha256(empty) == mask_sha256(Rle(4, 6, empty.counts))


def test_the_last_of_equal_masks_counts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert made_masks(workspace, "a") == {}
    record_made(workspace, "a", [made(1), made(2)])
    record_made(workspace, "a", [made(1, MaskOrigin.PROPAGATED)])
    found = made_masks(workspace, "a")
    assert [found[made(k).sha256].origin for k in (1, 2)] == [MaskOrigin.PROPAGATED, MaskOrigin.CLICKED]
    assert made_masks(workspace, "b") == {}


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    record_made(workspace, "a", [made(1), made(2)])
    path = workspace.annotations / "made" / "a.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    record_made(workspace, "a", [made(3)])
    assert set(made_masks(workspace, "a")) == {made(1).sha256, made(3).sha256}


def _write(root: Path, first: int) -> None:
    for number in range(first, first + 20):
        record_made(Workspace(root), "a", [made(number)])


def test_processes_may_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, 20 * k)) for k in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(made_masks(Workspace(tmp_path), "a")) == len({made(k).sha256 for k in range(60)})
