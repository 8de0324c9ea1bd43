"""Removed videos stay away: what a file of labels says of them is left out before anything else looks at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from avis_data.categories import category_set
from avis_data.errors import DataError
from avis_data.io import read_json, sha256_text
from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.pipelines.upkeep.tombstones import read_tombstones
from avis_data.recipe import Recipe

__all__ = ["Received", "read_received", "redaction_of"]


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file of labels without removed videos."""

    value: object
    """What its JSON holds."""
    text: str | None = None
    """As it is to be kept; None: as it was received, nothing was left out."""
    num_removed: int = 0
    """Videos that were left out."""

    @property
    def sha256(self) -> str | None:
        """Of the text."""
        return None if self.text is None else sha256_text(self.text)


def read_received(truth: Path, redaction: Redaction | None) -> Received:
    """Read a YTVIS file without what it says of removed videos (`redaction_of`).

    Raises:
        DataError: if it cannot be read, or all its videos were removed from this workspace.
    """
    value = read_json(truth)
    if redaction is None:
        return Received(value=value)
    kept = redaction.received_json(value)
    if kept == value:
        return Received(value=value)
    before, after = _num_videos(value), _num_videos(kept)
    if before and not after:
        raise DataError(f"{truth}: all {before} video(s) of it were removed from this workspace, nothing imported")
    text = json.dumps(kept, ensure_ascii=False, allow_nan=False) + "\n"
    return Received(value=kept, text=text, num_removed=before - after)


def redaction_of(workspace: Workspace, recipe: Recipe) -> Redaction | None:
    """What leaves removed videos out of labels; None where none was removed."""
    stones = read_tombstones(workspace)
    categories = {category.name for category in category_set(recipe.categories).categories}
    return Redaction(stones, categories=categories) if stones else None


def _num_videos(value: object) -> int:
    videos = value.get("videos") if isinstance(value, dict) else None
    return len(videos) if isinstance(videos, list) else 0
