"""Still pictures as files."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from avis_data.errors import DataError

__all__ = ["UNREADABLE_PICTURE", "open_still"]

UNREADABLE_PICTURE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow was seen to raise of files that are no whole picture, in its many formats (`UnidentifiedImageError` is an
OSError). Whoever opens a picture catches all of it."""


def open_still(path: Path) -> Image.Image:
    """A still, decoded, RGB. Raises DataError if it is missing or no picture."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except UNREADABLE_PICTURE as error:
        raise DataError(f"{path}: no picture ({error})", hint="avis-data validate DATASET --deep") from None
