"""The stills of a workspace as the segmenter sees them: found by clip and number, never by a path that came along."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.links.check import is_inside
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bring_clip

__all__ = ["Still", "Stills"]

_KEPT = 16
"""Decoded stills that are kept: those of the clips that people are at."""


@dataclass(frozen=True, eq=False)
class Still:
    """One still."""

    sha256: str
    """Hash of its file."""
    picture_HW3: NDArray[np.uint8]
    """RGB."""


class Stills:
    """Reads the stills of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._decoded = lru_cache(maxsize=_KEPT)(_decoded)

    def read(self, clip_id: str, frame: int) -> Still:
        """One still.

        Raises:
            DataError: if there is none, it leads out of the workspace, or is no picture.
        """
        path = self._workspace.frame(clip_id, frame)
        if not path.exists():
            bring_clip(self._workspace, clip_id)
        try:
            if not is_inside(self._workspace.root, path.resolve(strict=True)):
                raise DataError(f"{self._workspace.relative(path)}: leads out of the workspace")
            data = path.read_bytes()
        except OSError:
            raise DataError(f"{self._workspace.relative(path)}: no such still", hint="avis-data extract") from None
        return Still(hashlib.sha256(data).hexdigest(), self._decoded(data))


def _decoded(data: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))
    except UNREADABLE_PICTURE as error:
        raise DataError(f"a still is no picture ({error})") from None
