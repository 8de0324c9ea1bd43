"""Numbers from files are numbers: NaN and infinity are told where they enter, or they end in results without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError

__all__ = ["check_finite"]


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
