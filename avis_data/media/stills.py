"""Still pictures as files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from avis_data.errors import DataError

__all__ = ["open_still"]


def open_still(path: Path) -> Image.Image:
    """A still, decoded, RGB. Raises DataError if it is missing or no picture."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise DataError(f"{path}: no picture ({error})", hint="avis-data validate DATASET --deep") from None
