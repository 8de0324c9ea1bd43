"""Outlines drawn: through pixel centres as OpenCV draws them, holes cut back exactly, crossings found."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from avis_data.errors import DataError
from avis_data.masks.outlines import crosses_itself, mask_from_borders, mask_from_centres, mask_of_ellipse, rotated_box
from avis_data.masks.rle import area, decode


@pytest.mark.parametrize("method", [cv2.CHAIN_APPROX_NONE, cv2.CHAIN_APPROX_SIMPLE])
def test_traced_masks_come_back_to_the_pixel(method: int) -> None:
    rng = np.random.default_rng(method)
    for _ in range(80):
        height, width = (int(side) for side in rng.integers(1, 40, 2))
        mask_HW = rng.random((height, width)) < rng.choice([0.3, 0.6, 0.9])
        contours, kinship = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_CCOMP, method)
        found_HW = np.zeros((height, width), bool)
        holes_HW = np.zeros((height, width), bool)
        for contour, (_, _, _, parent) in zip(contours, kinship[0] if kinship is not None else [], strict=True):
            points = contour[:, 0].astype(float)
            assert not crosses_itself(points), "a contour goes back along itself, and crosses nothing"
            inside = mask_from_centres(points, height=height, width=width, with_outline=parent < 0)
            (found_HW if parent < 0 else holes_HW)[decode(inside)] = True
        islands_HW = mask_HW & holes_HW  # pieces that lie in holes, drawn before these are cut
        assert ((found_HW & ~holes_HW) | islands_HW == mask_HW).all()


def test_any_outline_is_filled_as_opencv_does() -> None:
    rng = np.random.default_rng(5)
    for _ in range(400):
        height, width, number = (int(value) for value in rng.integers((2, 2, 1), (40, 40, 9)))
        points_N2 = np.column_stack((rng.integers(0, width, number), rng.integers(0, height, number)))
        theirs = cv2.fillPoly(np.zeros((height, width), np.uint8), [points_N2.astype(np.int32)], (1,))
        ours = decode(mask_from_centres(points_N2.astype(float), height=height, width=width))
        assert (ours == theirs.astype(bool)).all(), points_N2.tolist()


def test_a_crossing_is_found_wherever_it_is() -> None:
    def crossing(points: np.ndarray) -> bool:
        """By lines solved pair by pair."""
        sides = list(zip(points, np.roll(points, -1, axis=0), strict=True))
        for (a, b), (c, d) in itertools.combinations(sides, 2):
            system = np.column_stack((b - a, c - d))
            if abs(np.linalg.det(system)) > 1e-9:
                along, other = np.linalg.solve(system, c - a)
                if 1e-9 < along < 1 - 1e-9 and 1e-9 < other < 1 - 1e-9:
                    return True
        return False

    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        points = rng.random((int(rng.integers(3, 8)), 2)) * 50
        found.append(crosses_itself(points))
        assert found[-1] == crossing(points), points.tolist()
    assert 50 < sum(found) < 250
    turns = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    ring = np.column_stack((np.cos(turns), np.sin(turns))) * 400 + 500
    assert not crosses_itself(ring)
    ring[[700, 2900]] = ring[[2900, 700]]
    assert crosses_itself(ring)
    teeth = np.arange(20_000)
    comb = np.column_stack((np.where((teeth + 1) // 2 % 2, 0.0, 1000.0), teeth // 2 / 20))
    assert not crosses_itself(comb), "sides that lie beside each other cross nothing"


def test_what_is_no_outline_is_refused() -> None:
    for points in ([[1.0, 1], [2, 2]], [[0, 0], [np.nan, 1], [3, 3]], [[0, 0], [1e9, 1], [3, 3]]):
        with pytest.raises(DataError):
            mask_from_borders(np.array(points, float), height=5, width=5)
    for points in ([[0, 0], [np.inf, 1], [3, 3]], [[0, 0], [1e9, 1], [3, 3]]):
        with pytest.raises(DataError):
            mask_from_centres(np.array(points, float), height=5, width=5)
    with pytest.raises(DataError):
        mask_from_centres(np.zeros((0, 2)), height=5, width=5)
    for radii in ((0.0, 1.0), (np.nan, 1.0), (1e9, 2.0)):
        with pytest.raises(DataError):
            mask_of_ellipse((2, 2), radii, 0, height=5, width=5)


def test_turning_by_a_full_circle_changes_nothing() -> None:
    for angle in (0, 360, -720):
        assert np.allclose(rotated_box(1, 2, 6, 4, angle), [[1, 2], [6, 2], [6, 4], [1, 4]])
    upright = mask_of_ellipse((6, 6), (5, 2), 90, height=12, width=12)
    assert (decode(upright) == decode(mask_of_ellipse((6, 6), (2, 5), 0, height=12, width=12))).all()
    assert area(upright) == 32
