"""`python -m support.gated_engine FOLDER ...`: the segmenter's real service with an engine that waits for a test.

`FOLDER/load` lets the engine be loaded (a text in it: loading fails with that), `FOLDER/fill` lets the other stills of
boxes be looked at (a text in it: the engine breaks down over them).
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.segmenters.engines import SEGMENTERS
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt, SegmenterSpec
from avis_data.annotation.serve.segmenter import main
from avis_data.errors import DataError

__all__ = ["BREAKS_AT_X", "NOTHING_AT_X", "GatedEngine"]

NOTHING_AT_X, BREAKS_AT_X = 20, 80
"""Points left of the one find nothing; right of the other the engine breaks down."""


class GatedEngine:
    """Marks the box, or a square around a point."""

    name, weights_sha256, embeds = "gated", "ab" * 32, True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        said = self._opened("load")
        if said:
            raise DataError(said)

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        return {"corner": picture_HW3[:1, :1, 0].astype(np.float16)}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        if threading.current_thread().name == "fills" and self._opened("fill"):
            raise ZeroDivisionError("of the engine")
        mask = np.zeros(picture_HW3.shape[:2], bool)
        x, y = prompt.inside[0] if prompt.inside else (40.0, 30.0)
        if x > BREAKS_AT_X:
            raise ZeroDivisionError("of the engine")
        if x >= NOTHING_AT_X:
            x0, y0, x1, y1 = (round(side) for side in prompt.box or (x - 5, y - 5, x + 5, y + 5))
            mask[y0:y1, x0:x1] = True
        return Found(mask_HW=mask, confidence=0.9)

    def _opened(self, name: str) -> str:
        """Wait for a file, and read it."""
        path = self._folder / name
        while not path.exists():
            time.sleep(0.02)
        return path.read_text()


if __name__ == "__main__":
    gates = Path(sys.argv[1])
    with SEGMENTERS.with_added(SegmenterSpec(name="gated", load=lambda: GatedEngine(gates))):
        sys.exit(main([*sys.argv[2:], "--engine", "gated"]))
