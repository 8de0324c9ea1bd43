"""Targets of FCOS on grids small enough to count by hand, and the partners of the crossover."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from avis_data.training.models.afcv.fcos_head import CellGrid, cell_grid
from avis_data.training.models.afcv.pyramid import STRIDES, pyramid_sizes
from avis_data.training.models.afcv.targets import (
    FrameObjects,
    PairTargets,
    cell_targets,
    frame_objects,
    limited,
    pair_targets,
)
from support.tiny_afcv import Box, filled, pair_of

SIZE = (640, 640)
GRID = cell_grid(pyramid_sizes(SIZE))


def centred(width: int, height: int, x: int, y: int) -> Box:
    return x - width // 2, y - height // 2, x + width // 2, y + height // 2


def positives(objects: FrameObjects, grid: CellGrid = GRID) -> dict[int, int]:
    """How many positive cells there are on each level."""
    found = cell_targets(objects, grid).object_L >= 0
    return dict(Counter(grid.level_L[found].tolist()))


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        (centred(60, 60, 164, 164), {0: 9}),
        (centred(100, 60, 164, 164), {0: 9, 1: 3}),
        (centred(300, 200, 324, 324), {2: 9}),
    ],
    ids=["60x60", "100x60", "300x200"],
)
def test_the_counts_of_the_specification(box: Box, counts: dict[int, int]) -> None:
    assert positives(frame_objects(filled([box], SIZE))) == counts


def test_sizes_and_places_of_the_grid() -> None:
    assert pyramid_sizes((384, 640)) == [(48, 80), (24, 40), (12, 20), (6, 10), (3, 5)]
    grid = cell_grid([(2, 3), (1, 2), (1, 1), (1, 1), (1, 1)])
    assert grid.xy_L2[:6].tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    assert grid.xy_L2[6:].tolist() == [[8, 8], [24, 8], [16, 16], [32, 32], [64, 64]]
    assert grid.stride_L.tolist() == [8] * 6 + [16] * 2 + [32, 64, 128]
    assert grid.level_L.tolist() == [0] * 6 + [1] * 2 + [2, 3, 4]


def test_boxes_are_the_edges_of_pixels_and_centres_the_centroids_of_masks() -> None:
    masks = filled([(2, 3, 6, 5), None], (8, 8))
    masks[0, 4, 6] = True  # one pixel right of the box of 8
    objects = frame_objects(masks)
    assert objects.place_G.tolist() == [0]
    assert objects.box_G4.tolist() == [[2, 3, 7, 5]]
    x, y = (2 * (2.5 + 3.5 + 4.5 + 5.5) + 6.5) / 9, (4 * (3.5 + 4.5) + 4.5) / 9
    np.testing.assert_allclose(objects.centre_G2.numpy(), [[x, y]], rtol=1e-6)


def test_the_centre_is_the_centroid_not_the_middle_of_the_box() -> None:
    """An L: its mass lies left and below of the middle of its box, (130, 130)."""
    mask = filled([(100, 100, 112, 160), (100, 156, 160, 160)], SIZE).any(0, keepdim=True)
    found = cell_targets(frame_objects(mask), GRID)
    cells = GRID.xy_L2[found.object_L >= 0]
    x, y = (720 * 106 + 192 * 136) / 912, (720 * 130 + 192 * 158) / 912  # 112.3, 135.9
    want = [
        (8 * i + 4, 8 * j + 4) for j in range(80) for i in range(80) if max(abs(8 * i + 4 - x), abs(8 * j + 4 - y)) < 12
    ]
    assert sorted(map(tuple, cells.tolist())) == sorted(want)
    assert (108, 124) in want and (132, 132) not in want


def test_a_cell_of_two_objects_goes_to_the_smaller_box() -> None:
    large, small = centred(62, 62, 164, 164), centred(30, 30, 172, 164)
    found = cell_targets(frame_objects(filled([large, small], SIZE)), GRID)
    owners = {tuple(xy): owner for xy, owner in zip(GRID.xy_L2.tolist(), found.object_L.tolist(), strict=True)}
    level0 = GRID.level_L == 0
    assert owners[(164.0, 164.0)] == 1 and owners[(172.0, 164.0)] == 1
    assert owners[(156.0, 164.0)] == 0  # outside of the small box
    assert set(found.object_L[~level0].tolist()) == {-1}


def by_brute_force(boxes: list[Box], grid: CellGrid) -> list[int]:
    """The owner of every cell, by the words of the specification."""
    limits = {8: (0, 64), 16: (64, 128), 32: (128, 256), 64: (256, 512), 128: (512, 10**9)}
    owners = []
    for (x, y), stride in zip(grid.xy_L2.tolist(), grid.stride_L.tolist(), strict=True):
        candidates = []
        for number, (left, top, right, bottom) in enumerate(boxes):
            centre = ((left + right) / 2, (top + bottom) / 2)
            inside = left < x < right and top < y < bottom
            near = abs(x - centre[0]) < 1.5 * stride and abs(y - centre[1]) < 1.5 * stride
            largest = max(x - left, y - top, right - x, bottom - y)
            if inside and near and limits[int(stride)][0] <= largest <= limits[int(stride)][1]:
                candidates.append(((right - left) * (bottom - top), number))
        owners.append(min(candidates)[1] if candidates else -1)
    return owners


@pytest.mark.parametrize("seed", range(6))
def test_targets_of_filled_boxes_equal_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 320, size=(6, 2, 2))
    boxes = [(int(a[:, 0].min()), int(a[:, 1].min()), int(a[:, 0].max()) + 1, int(a[:, 1].max()) + 1) for a in corners]
    grid = cell_grid(pyramid_sizes((320, 320)))
    found = cell_targets(frame_objects(filled(boxes, (320, 320))), grid)
    assert found.object_L.tolist() == by_brute_force(boxes, grid)
    for cell in (found.object_L >= 0).nonzero()[:, 0].tolist():
        left, top, right, bottom = boxes[int(found.object_L[cell])]
        (x, y), stride = grid.xy_L2[cell].tolist(), float(grid.stride_L[cell])
        want = [(x - left) / stride, (y - top) / stride, (right - x) / stride, (bottom - y) / stride]
        np.testing.assert_allclose(found.ltrb_L4[cell].numpy(), want, rtol=1e-6)


def test_a_frame_without_objects_is_all_background() -> None:
    objects = frame_objects(torch.zeros(2, 64, 64, dtype=torch.bool))
    assert len(objects.place_G) == 0
    assert set(cell_targets(objects, GRID).object_L.tolist()) == {-1}
    assert set(cell_targets(frame_objects(torch.zeros(0, 64, 64, dtype=torch.bool)), GRID).object_L.tolist()) == {-1}
    assert STRIDES == (8, 16, 32, 64, 128)


def targets_of(*pairs: object, size: tuple[int, int] = (64, 96)) -> PairTargets:
    return pair_targets(pairs, cell_grid(pyramid_sizes(size)), size)  # type: ignore[arg-type]


LEFT, RIGHT, MOVED = (4, 8, 34, 38), (50, 20, 90, 60), (30, 4, 60, 34)


def test_the_cells_of_pairs_know_class_identity_mask_and_frame() -> None:
    first = pair_of((LEFT, MOVED), (None, RIGHT), seed=1)
    second = pair_of((RIGHT, None), seed=2, labels_N=torch.tensor([3]), track_ids_N=torch.tensor([6]))
    found = targets_of(first, second)
    assert found.frame_R.tolist() == sorted(found.frame_R.tolist()) and set(found.frame_R.tolist()) == {0, 1, 2}
    assert found.masks_Ihw.shape == (4, 16, 24)
    truths = [filled([box], (64, 96))[0, 2::4, 2::4].float() for box in (LEFT, MOVED, RIGHT, RIGHT)]
    assert torch.equal(found.masks_Ihw, torch.stack(truths))
    what = {
        (frame, truth): (int(found.label_NL[frame, cell]), identity)
        for frame, truth, cell, identity in zip(
            found.frame_R.tolist(),
            found.truth_R.tolist(),
            found.cell_R.tolist(),
            found.identity_R.tolist(),
            strict=True,
        )
    }
    assert what == {(0, 0): (0, 0), (1, 1): (0, 0), (1, 2): (1, 1), (2, 3): (3, 6)}
    assert (found.label_NL >= 0).sum() == len(found.cell_R)
    assert (found.label_NL[3] == -1).all()


def test_partners_are_cells_of_the_same_object_in_the_other_frame() -> None:
    found = targets_of(pair_of((LEFT, MOVED), (RIGHT, None), seed=1), pair_of((RIGHT, LEFT), seed=2))
    alone = 0
    for cell, partner in enumerate(found.partner_R.tolist()):
        if partner < 0:
            alone += 1
            assert (int(found.frame_R[cell]), int(found.identity_R[cell])) == (0, 1)
        else:
            assert int(found.frame_R[partner]) == int(found.frame_R[cell]) ^ 1
            assert found.identity_R[partner] == found.identity_R[cell]
    assert alone > 0


def test_every_cell_of_the_partner_is_equally_likely() -> None:
    counts: Counter[int] = Counter()
    for seed in range(300):
        found = targets_of(pair_of((LEFT, LEFT), seed=seed))
        half = len(found.cell_R) // 2
        counts.update(found.partner_R[:half].tolist())
    assert sorted(counts) == list(range(half, 2 * half))
    expected = 300
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_the_limit_holds_for_each_frame_over_all_groups_and_is_the_same_choice_for_any_grouping() -> None:
    pairs = [pair_of((LEFT, MOVED), (RIGHT, RIGHT), seed=seed) for seed in range(4)]
    apart = limited([targets_of(*pairs[:1]), targets_of(*pairs[1:])], 10)
    (together,) = limited([targets_of(*pairs)], 10)
    assert torch.equal(torch.cat([group.mask_R for group in apart]), together.mask_R)
    for frame in range(2):
        assert int(together.mask_R[together.frame_R % 2 == frame].sum()) == 10
    (free,) = limited([targets_of(*pairs)], 10_000)
    assert bool(free.mask_R.all())
