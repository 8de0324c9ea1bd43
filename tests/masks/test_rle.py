"""Masks as run lengths: against sets of pixels, against pycocotools, and against corrupt input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from avis_data.errors import DataError
from avis_data.masks.rle import (
    Rle,
    area,
    box,
    coco_dict,
    decode,
    encode,
    rle_from_runs,
    rle_from_segmentation,
    runs_from_rle,
)


def random_masks() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    sizes = [(1, 1), (1, 9), (9, 1), (2, 2), (7, 5), (5, 7), (13, 11), (40, 33)]
    masks = [rng.random(size) < density for size in sizes for density in (0.0, 0.1, 0.5, 0.9, 1.0)]
    long_runs = np.zeros((300, 400), dtype=bool)
    long_runs[:, 100:300] = True
    return [*masks, long_runs]


@pytest.mark.parametrize("mask_HW", random_masks(), ids=lambda mask: f"{mask.shape}")
def test_round_trip_area_and_box_agree_with_sets_of_pixels(mask_HW: np.ndarray) -> None:
    rle = encode(mask_HW)
    pixels = {(y, x) for y in range(mask_HW.shape[0]) for x in range(mask_HW.shape[1]) if mask_HW[y, x]}
    decoded = decode(rle)
    assert decoded.dtype == bool and decoded.shape == mask_HW.shape
    assert {(int(y), int(x)) for y, x in np.argwhere(decoded)} == pixels
    assert area(rle) == len(pixels)
    if pixels:
        ys, xs = zip(*pixels, strict=True)
        assert box(rle) == (min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
    else:
        assert box(rle) == (0, 0, 0, 0)


@pytest.mark.parametrize("mask_HW", random_masks(), ids=lambda mask: f"{mask.shape}")
def test_counts_are_read_as_pycocotools_reads_them(mask_HW: np.ndarray) -> None:
    coded = coco_mask.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    foreign = {"size": list(mask_HW.shape), "counts": coded["counts"].decode()}
    rle = rle_from_segmentation(foreign, height=mask_HW.shape[0], width=mask_HW.shape[1])
    assert rle is not None
    np.testing.assert_array_equal(decode(rle), coco_mask.decode(coded).astype(bool))
    np.testing.assert_array_equal(coco_mask.decode(coco_dict(rle)).astype(bool), mask_HW)


def test_the_coding_by_hand() -> None:
    # 3 rows, 4 columns; column order. Runs 4, 2, 6: pixel (1, 1) and (2, 1).
    rle = rle_from_runs([4, 2, 6], height=3, width=4)
    assert rle.counts == "426"  # each run below 16 is one character, "0" + run
    assert np.argwhere(decode(rle)).tolist() == [[1, 1], [2, 1]]
    assert runs_from_rle(Rle(3, 4, "426")).tolist() == [4, 2, 6]
    assert runs_from_rle(Rle(3, 4, "0<")).tolist() == [0, 12]


def test_runs_of_nothing_are_joined_so_that_equal_masks_have_equal_text() -> None:
    assert rle_from_runs([1, 2, 0, 3, 6], height=3, width=4) == rle_from_runs([1, 5, 6], height=3, width=4)
    assert rle_from_runs([0, 12, 0], height=3, width=4) == rle_from_runs([0, 12], height=3, width=4)
    assert rle_from_runs([12, 0], height=3, width=4) == encode(np.zeros((3, 4), dtype=bool))
    assert rle_from_runs([0, 0, 12], height=3, width=4) == encode(np.zeros((3, 4), dtype=bool))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ("", "empty"),
        ("42", "6 pixels in all"),
        ("4266", "corrupt"),
        ("42P", "break off"),
        ("4\x0126", "character"),
        ("426é", "character"),
        ("426🎻", "character"),
        ("oooooooooooooooo0", "16 characters|17 characters"),
        ("O26", "a run of -"),
        ("PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP", "break off"),
    ],
)
def test_corrupt_counts_are_an_error_in_words_and_never_reach_c_code(counts: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rle_from_segmentation({"size": [3, 4], "counts": counts}, height=3, width=4)
    for function in (decode, area, box):
        with pytest.raises(DataError):
            function(Rle(3, 4, counts))


def test_random_text_never_crashes() -> None:
    """Text of any kind, which is never a mask; and that of masks with a character changed, which may be one."""
    rng, read = np.random.default_rng(1), 0
    for number in range(3000):
        counts = "".join(chr(code) for code in rng.integers(32, 127, rng.integers(0, 12)))
        if number % 2:
            whole = list(encode(rng.random((6, 5)) < 0.4).counts)
            whole[int(rng.integers(len(whole)))] = chr(int(rng.integers(48, 112)))
            counts = "".join(whole)
        try:
            rle = rle_from_segmentation({"size": [6, 5], "counts": counts}, height=6, width=5)
        except DataError:
            continue
        assert rle is not None and decode(rle).shape == (6, 5)
        read += 1
    assert 10 < read < 1500


POLYGON = [1.0, 1.0, 6.0, 1.0, 6.0, 4.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ("text", "neither null"),
        (7, "neither null"),
        ({}, "size"),
        ({"size": [3, 4]}, "size is"),
        ({"size": [8, 9], "counts": None}, "must be text"),
        ({"size": [9, 8], "counts": [72]}, "size is"),
        ({"size": [8, 9], "counts": [71]}, "71 pixels"),
        ({"size": [8, 9], "counts": [80, -8]}, "no possible run"),
        ({"size": [8, 9], "counts": [71.5, 0.5]}, "no possible run"),
        ({"size": [8, 9], "counts": [1e300]}, "no possible run"),
        ({"size": [8, 9], "counts": [float("nan")]}, "no possible run"),
        ({"size": [8, 9], "counts": [True, 71]}, "no possible run"),
        ({"size": [8, 9], "counts": ["72"]}, "no possible run"),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "neither null"),
        ([POLYGON, {"size": [8, 9], "counts": [72]}], "neither null"),
        ([[1, 1, 6, 1, 6, float("nan")]], "far outside"),
        ([[1, 1, 6, 1, 6, float("inf")]], "far outside"),
        ([[1, 1, 6, 1, 6, 1e12]], "far outside"),
        ([[1, 1, 6, 1, 6, 10**400]], "far outside"),
        ([[1, 1, 6, 1, 6, "4"]], "no number"),
        ([[1, 1, 6, 1, 6, None]], "no number"),
    ],
)
def test_what_is_no_segmentation_says_why(segmentation: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rle_from_segmentation(segmentation, height=8, width=9)


@pytest.mark.parametrize("size", [(0, 4), (-3, 4), (True, 4), (3, 10**9), (2.0, 4)])
def test_impossible_sizes_are_refused(size: tuple[Any, Any]) -> None:
    with pytest.raises(DataError, match=r"is not possible|more than"):
        rle_from_segmentation(None, height=size[0], width=size[1])


def test_all_forms_of_one_mask_give_the_same_mask() -> None:
    mask_HW = np.zeros((8, 9), dtype=bool)
    mask_HW[1:4, 1:6] = True
    runs = runs_from_rle(encode(mask_HW)).tolist()
    half = np.zeros_like(mask_HW)
    half[1:4, 1:3] = True
    forms = [
        [POLYGON],
        [[1, 1, 6, 1, 6, 4, 1, 4]],
        {"size": [8, 9], "counts": encode(mask_HW).counts},
        {"size": [8, 9], "counts": runs},
        [{"size": [8, 9], "counts": runs}],
        [{"size": [8, 9], "counts": runs}, {"size": [8, 9], "counts": runs_from_rle(encode(half)).tolist()}],
        [[1, 1, 4, 1, 4, 4, 1, 4], [3, 1, 6, 1, 6, 4, 3, 4]],
    ]
    for form in forms:
        rle = rle_from_segmentation(form, height=8, width=9)
        assert rle is not None
        np.testing.assert_array_equal(decode(rle), mask_HW)


def test_null_and_empty_list_are_no_mask_but_an_empty_rle_is_one() -> None:
    assert rle_from_segmentation(None, height=3, width=4) is None
    assert rle_from_segmentation([], height=3, width=4) is None
    empty = rle_from_segmentation({"size": [3, 4], "counts": [12]}, height=3, width=4)
    assert empty is not None and area(empty) == 0


def test_polygons_that_the_official_loader_drops_are_dropped_and_named() -> None:
    dropped: list[str] = []
    rle = rle_from_segmentation([POLYGON, [1, 1, 5, 5], [1, 1, 5, 5, 7, 7, 3]], height=8, width=9, dropped=dropped)
    assert rle is not None and area(rle) == 15
    assert [line.split(" has ")[0] for line in dropped] == ["polygon 1", "polygon 2"]
    assert rle_from_segmentation([[1, 1, 5, 5]], height=8, width=9) is None


def test_polygon_pixels_are_those_whose_middle_lies_inside_but_for_the_border() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        corners = rng.uniform(2, 38, (3, 2))
        rle = rle_from_segmentation([corners.ravel().tolist()], height=40, width=40)
        assert rle is not None
        inside = decode(rle)
        ys, xs = np.mgrid[:40, :40]
        signs, distances = [], []
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            cross = (bx - ax) * (ys + 0.5 - ay) - (by - ay) * (xs + 0.5 - ax)
            signs.append(cross > 0)
            distances.append(np.abs(cross) / np.hypot(bx - ax, by - ay))
        expected = np.all(signs, axis=0) | ~np.any(signs, axis=0)
        clear = np.min(distances, axis=0) > 1.0
        np.testing.assert_array_equal(inside[clear], expected[clear])


def test_encode_wants_two_dimensions() -> None:
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        encode(np.zeros((2, 3, 4), dtype=bool))
