"""A picture of any form with bytes changed is a picture still, or our error: never another one of Pillow's."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.errors import DataError
from avis_data.media.stills import open_still


def picture(form: str) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "TGA", "PCX", "SGI", "DDS"])
def test_pictures_with_bytes_changed_are_pictures_or_our_error(form: str, tmp_path: Path) -> None:
    rng, whole, path = np.random.default_rng(3), picture(form), tmp_path / "a.png"
    for _ in range(60):
        data = bytearray(whole[: int(rng.integers(len(whole)))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, max(1, min(len(data), 200)), int(rng.integers(1, 8))).tolist() if data else []:
            data[place] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        try:
            assert open_still(path).mode == "RGB"
        except DataError as error:
            assert "a.png" in str(error)
