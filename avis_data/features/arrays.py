"""Arrays from files: whole, and numbers. What is not is told where it enters, or it ends in results without a word."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError

__all__ = ["UNREADABLE_ARRAY", "check_finite", "check_rows", "load_npy"]

UNREADABLE_ARRAY = (
    *(OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError),
    *(RuntimeError, BadZipFile, zlib.error),
)
"""What NumPy raises of damaged `.npy` and `.npz` files: some of it when an array of an archive is taken."""


def load_npy(file: Path, *, mapped: bool = False) -> NDArray[Any]:
    """The array in an `.npy` file, as it is; nothing but numbers and texts are made of one.

    Args:
        file: its path.
        mapped: leave it on the disk until it is used.

    Raises:
        DataError: if it holds no array, several, Python objects, is cut off, or says a size that no memory holds.
    """
    try:
        found = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    except UNREADABLE_ARRAY as error:
        raise DataError(f"{file}: no npy array ({error!s:.200})") from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise DataError(f"{file}: no npy array (an archive of arrays, .npz)")
    return found


def check_rows(values: NDArray[Any], *, what: str, num_rows: int | None = None, width: int | None = None) -> None:
    """Refuse what is not a row of finite float numbers for each frame.

    Args:
        values: of any shape and kind.
        what: it in words, with the file.
        num_rows: T; None: any.
        width: numbers in a row; None: any.

    Raises:
        DataError: saying what is there.
    """
    wanted = f"float ({'T' if num_rows is None else num_rows}, {'D' if width is None else width})"
    fits = values.ndim == 2 and values.dtype.kind == "f"
    if not fits or num_rows not in (None, len(values)) or width not in (None, values.shape[1]):
        raise DataError(f"{what}: holds {values.dtype} {values.shape}, must be {wanted}")
    if not np.isfinite(values).all():
        raise DataError(f"{what}: holds values that are NaN or infinite")


def check_finite(values: NDArray[np.floating], path: Path, *, what: str = "values", hint: str | None = None) -> None:
    """Refuse an array with NaN or infinity.

    Args:
        values: float, of any shape.
        path: the file that it is from.
        what: the array in words: "embeddings of a1".
        hint: what to do.

    Raises:
        DataError: naming the file, and the first row (along the first axis) that holds such a value.
    """
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise DataError(f"{path}: {what} are NaN or infinite, first in row {row} (of {len(values)})", hint=hint)
