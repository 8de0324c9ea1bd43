"""The engine for photographs without a GPU: what stands out in windows around the box, colours and place, and a choice.

U²-Net says what stands out; `object_chances` says it of colours and of places; `mask_choice` takes the best of several
masks by the IoU that is expected of each. Clicks that mend a mask are GrabCut's.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.segmenters.mask_choice import best_of, soft_iou
from avis_data.annotation.segmenters.object_chances import (
    Box,
    Map,
    View,
    chances_around_point,
    chances_in_box,
    connected,
    extent,
    view_of,
)
from avis_data.annotation.segmenters.saliency_maps import Network, Window, saliency, square, warped, widened
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt

__all__ = ["Saliency", "box_windows", "point_windows"]

_WIDER = (0.25, 0.6, 1.2)
"""How much wider than the box the windows are, as parts of its longer side."""
_REACHES = (0.2, 0.45)
"""How far the windows around a point reach, as parts of the picture's shorter side."""
_GUESSED_ABOVE = 0.45
"""Chances above which a pixel is of the guess from a point, whose box is looked at closer."""
_BY_POINT = 0.7
"""What the point says beside what that box says."""
_IN_ABOVE = 0.35
"""Chances above which a pixel is of the mask: the mask of the best expected IoU lies below one half."""


class Saliency:
    """Segments from a box, or from a point; mends with GrabCut. Answering changes nothing in it."""

    name = "saliency"
    embeds = False

    def __init__(self, network: Network, *, weights_sha256: str) -> None:
        """With weights that are loaded."""
        self._network, self.weights_sha256 = network, weights_sha256
        self._mending = GrabCut()

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        """Nothing: all work needs the prompt."""
        return {}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        """The object; its confidence is the IoU that is expected of the mask."""
        if prompt.mask_HW is not None and (prompt.inside or prompt.outside or prompt.box is None):
            return self._mending.segment(picture_HW3, embedding, prompt)
        if prompt.box is not None:
            found, left = self._in_box(picture_HW3, _on(picture_HW3, prompt.box)), prompt.inside
        elif prompt.inside:
            found, left = self._around_point(picture_HW3, prompt.inside[0]), prompt.inside[1:]
        else:
            raise ValueError("a prompt needs a point inside, a box or a mask")
        if not (left or prompt.outside) or not found.mask_HW.any():
            return found
        mending = Prompt(inside=prompt.inside, outside=prompt.outside, mask_HW=found.mask_HW)
        return replace(self._mending.segment(picture_HW3, embedding, mending), confidence=found.confidence)

    def _in_box(self, picture_HW3: NDArray[np.uint8], box: Box) -> Found:
        maps = self._maps(picture_HW3, box_windows(box, *picture_HW3.shape[:2]))
        view = view_of(picture_HW3, box)
        seen = [warped(found, window, view.window, view.size) for window, found in maps]
        mask, expected = best_of(view, box, chances_in_box(view, box), seen)
        return Found(mask_HW=_at_full_size(picture_HW3, view, mask), confidence=expected)

    def _around_point(self, picture_HW3: NDArray[np.uint8], point: tuple[float, float]) -> Found:
        height, width = picture_HW3.shape[:2]
        point = (min(max(point[0], 0.0), width - 1.0), min(max(point[1], 0.0), height - 1.0))
        maps = self._maps(picture_HW3, point_windows(point, height, width))
        whole = view_of(picture_HW3, None)
        first = chances_around_point(whole, point, maps)
        box = extent(whole, connected(whole, point, first > _GUESSED_ABOVE))
        view = view_of(picture_HW3, box)
        by_point = _scores(warped(first, whole.window, view.window, view.size))
        score = _BY_POINT * by_point + (1 - _BY_POINT) * _scores(chances_in_box(view, box))
        chances = np.asarray(1 / (1 + np.exp(-score)), dtype=np.float32)
        mask = connected(view, point, chances > _IN_ABOVE)
        return Found(mask_HW=_at_full_size(picture_HW3, view, mask), confidence=min(1.0, soft_iou(mask, chances)))

    def _maps(self, picture_HW3: NDArray[np.uint8], windows: list[Window]) -> list[tuple[Window, Map]]:
        """What stands out in each window; asked once where the picture's edges make two of them one."""
        found = {window: saliency(self._network, picture_HW3, window) for window in dict.fromkeys(windows)}
        return [(window, found[window]) for window in windows]


def box_windows(box: Box, height: int, width: int) -> list[Window]:
    """Where it is asked what stands out, for a box."""
    return [widened(box, part, height, width) for part in _WIDER]


def point_windows(point: tuple[float, float], height: int, width: int) -> list[Window]:
    """The same for a point: the whole picture, and a small and a large window around the point."""
    reaches = [square(point, reach * min(height, width), height, width) for reach in _REACHES]
    return [(0, 0, width, height), *reaches]


def _scores(chances: Map) -> Map:
    return np.asarray(np.log((chances + 0.02) / (1.02 - chances)), dtype=np.float32)


def _at_full_size(picture_HW3: NDArray[np.uint8], view: View, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = view.window
    whole = np.zeros(picture_HW3.shape[:2], dtype=np.bool_)
    way = cv2.INTER_LINEAR if x1 - x0 > view.size[0] else cv2.INTER_AREA
    whole[y0:y1, x0:x1] = cv2.resize(mask.astype(np.float32), (x1 - x0, y1 - y0), interpolation=way) > 0.5
    return whole


def _on(picture_HW3: NDArray[np.uint8], box: Box) -> Box:
    """The box in the picture, its corners in order."""
    height, width = picture_HW3.shape[:2]
    (x0, x1), (y0, y1) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    x0, y0 = min(max(x0, 0.0), width - 1.0), min(max(y0, 0.0), height - 1.0)
    return x0, y0, max(x0 + 1, min(x1, float(width))), max(y0 + 1, min(y1, float(height)))
