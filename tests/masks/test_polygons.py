"""Masks written as polygons: COCO's own rasteriser must give back every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage

from avis_data.masks.polygons import polygons_from_mask


def rasterised(polygons: list[list[int]], shape: tuple[int, int]) -> np.ndarray:
    """As the official evaluation does it: each polygon rasterised, then united."""
    if not polygons:
        return np.zeros(shape, dtype=bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))).astype(bool)


def named_masks() -> dict[str, np.ndarray]:
    ring = np.ones((7, 8), dtype=bool)
    ring[2:5, 3:6] = False
    nested = np.ones((11, 11), dtype=bool)
    nested[1:10, 1:10] = False
    nested[3:8, 3:8] = True
    nested[5, 5] = False
    diagonal = np.eye(6, dtype=bool)
    checker = np.indices((6, 7)).sum(axis=0) % 2 == 0
    two_holes = np.ones((5, 9), dtype=bool)
    two_holes[2, 2] = two_holes[2, 6] = False
    touching_hole = np.ones((6, 6), dtype=bool)
    touching_hole[2, 2] = touching_hole[3, 3] = False
    full, dot = np.ones((3, 4), dtype=bool), np.zeros((9, 9), dtype=bool)
    dot[8, 8] = True
    return {
        "ring": ring,
        "nested": nested,
        "diagonal": diagonal,
        "checker": checker,
        "two holes": two_holes,
        "holes that touch": touching_hole,
        "full": full,
        "last pixel": dot,
        "empty": np.zeros((4, 4), dtype=bool),
        "one pixel": np.ones((1, 1), dtype=bool),
    }


@pytest.mark.parametrize("name", named_masks())
def test_every_pixel_comes_back(name: str) -> None:
    mask_HW = named_masks()[name]
    np.testing.assert_array_equal(rasterised(polygons_from_mask(mask_HW), mask_HW.shape), mask_HW)


def test_every_pixel_of_random_masks_comes_back() -> None:
    rng = np.random.default_rng(11)
    for _ in range(400):
        shape = tuple(rng.integers(1, 24, 2))
        mask_HW = rng.random(shape) < rng.random()
        np.testing.assert_array_equal(rasterised(polygons_from_mask(mask_HW), shape), mask_HW)


def test_every_pixel_of_smooth_masks_with_holes_comes_back() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        mask_HW = ndimage.gaussian_filter(rng.standard_normal((90, 160)), 4) > 0
        np.testing.assert_array_equal(rasterised(polygons_from_mask(mask_HW), mask_HW.shape), mask_HW)


def test_the_loader_keeps_every_polygon_and_none_has_a_hole() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        mask_HW = ndimage.gaussian_filter(rng.standard_normal((40, 60)), 2) > 0
        polygons = polygons_from_mask(mask_HW)
        assert all(len(polygon) >= 8 and len(polygon) % 2 == 0 for polygon in polygons)
        assert sum(int(rasterised([polygon], mask_HW.shape).sum()) for polygon in polygons) == mask_HW.sum()
        for polygon in polygons:
            piece = rasterised([polygon], mask_HW.shape)
            np.testing.assert_array_equal(ndimage.binary_fill_holes(piece, np.ones((3, 3))), piece)


def test_a_rectangle_is_four_corners() -> None:
    mask_HW = np.zeros((6, 9), dtype=bool)
    mask_HW[2:5, 3:8] = True
    assert polygons_from_mask(mask_HW) == [[3, 2, 8, 2, 8, 5, 3, 5]]


@pytest.mark.parametrize("flip", [False, True])
def test_pixels_that_touch_at_a_corner_only_are_apart(flip: bool) -> None:
    rng = np.random.default_rng(8)
    masks = [np.eye(5, dtype=bool), *(rng.random((5, 6)) < 0.35 for _ in range(60))]
    for mask_HW in masks:
        turned = mask_HW[:, ::-1] if flip else mask_HW
        if (ndimage.binary_fill_holes(turned, np.ones((3, 3))) != turned).any():
            continue  # a mask with a hole is cut into more pieces
        assert len(polygons_from_mask(turned)) == ndimage.label(turned)[1]
