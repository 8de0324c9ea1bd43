"""U²-Net in ONNX: how much each pixel of a picture stands out, and windows of a picture to ask it about.

Source: Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.weights.networks import Session, load_onnx

__all__ = ["Network", "Window", "load_network", "saliency", "square", "warped", "widened"]

Map = NDArray[np.float32]
Window = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in pixels of the picture, inside it."""

_SIDE_PX = 320
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


@dataclass(frozen=True)
class Network:
    """Weights that are loaded. Asking changes nothing in them, so threads may share them."""

    session: Session
    given: str
    """Name of the input."""
    answer: str
    """Name of the output at full size, which all others went into."""


def load_network(path: Path) -> Network:
    """U²-Net or U²-Netp from an ONNX file, on one thread of the CPU.

    Raises:
        DataError: if the file is no ONNX, or its input is not one picture of 320 x 320.
    """
    session = load_onnx(path)
    (given, *others), outputs = session.get_inputs(), session.get_outputs()
    if others or not outputs or list(given.shape)[1:] != [3, _SIDE_PX, _SIDE_PX]:
        raise DataError(
            f"{path}: no U²-Net: its input is {list(given.shape)}, not one picture of {_SIDE_PX} x {_SIDE_PX}",
            hint="avis-data weights get u2netp",
        )
    return Network(session, given.name, outputs[0].name)


def saliency(network: Network, picture_HW3: NDArray[np.uint8], window: Window) -> Map:
    """How much each place of a window stands out in it, (320, 320) in [0, 1]."""
    x0, y0, x1, y1 = window
    seen = np.ascontiguousarray(picture_HW3[y0:y1, x0:x1])
    way = cv2.INTER_AREA if min(seen.shape[:2]) > _SIDE_PX else cv2.INTER_LINEAR
    pixels = cv2.resize(seen, (_SIDE_PX, _SIDE_PX), interpolation=way).astype(np.float32)
    pixels = (pixels / max(float(pixels.max()), 1e-6) - _MEAN) / _STD
    (found,) = network.session.run(
        [network.answer], {network.given: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])}
    )
    return np.asarray(found[0, 0], dtype=np.float32)


def widened(box: tuple[float, float, float, float], part: float, height: int, width: int) -> Window:
    """The window around a box: wider on all sides by a part of the box's longer side."""
    x0, y0, x1, y1 = box
    more = part * max(x1 - x0, y1 - y0)
    return _inside((x0 - more, y0 - more, x1 + more, y1 + more), height, width)


def square(point: tuple[float, float], reach: float, height: int, width: int) -> Window:
    """The window around a point, that far to all sides."""
    return _inside((point[0] - reach, point[1] - reach, point[0] + reach, point[1] + reach), height, width)


def warped(found: Map, window: Window, view: Window, size: tuple[int, int]) -> Map:
    """What was found in a window, as a view at its size (width, height) sees it; beyond the window its rim goes on."""
    height, width = found.shape
    places = [
        (low + (np.arange(number) + 0.5) * (high - low) / number - begin) / (end - begin) * cells - 0.5
        for low, high, number, begin, end, cells in (
            (view[0], view[2], size[0], window[0], window[2], width),
            (view[1], view[3], size[1], window[1], window[3], height),
        )
    ]
    across, down = np.meshgrid(places[0].astype(np.float32), places[1].astype(np.float32))
    return np.asarray(
        cv2.remap(found, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32
    )


def _inside(window: tuple[float, float, float, float], height: int, width: int) -> Window:
    x0, y0 = (min(max(0, int(np.floor(low))), most - 1) for low, most in ((window[0], width), (window[1], height)))
    x1, y1 = min(width, int(np.ceil(window[2]))), min(height, int(np.ceil(window[3])))
    return x0, y0, max(x0 + 1, x1), max(y0 + 1, y1)
