"""The masks that machines made for people, so that one which comes back unchanged is known again by its content.

annotations/made/<clip_id>.jsonl      one line for each mask, only ever appended to
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from avis_data.annotation.labels.records import MaskOrigin
from avis_data.io import append_lines, sha256_text
from avis_data.masks.rle import Rle, rle_from_runs, runs_from_rle
from avis_data.paths import Workspace, checked_id
from avis_data.records import Record, Sha256

__all__ = ["MadeMask", "made_lines", "made_masks", "made_path", "mask_sha256", "read_made", "record_made"]


class MadeMask(Record):
    """One mask as a machine gave it."""

    sha256: Sha256 = Field(description="Of the mask's content, `mask_sha256`.")
    identity: str
    frame: int = Field(ge=0)
    origin: MaskOrigin
    engine: str
    weights_sha256: Sha256 | None = None
    confidence: float | None = None
    at: str = Field(description="When, UTC.")
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    counts: str = Field(description="The mask, COCO's compressed runs: what a hand changes in it later is known by it.")
    hand_inside: str | None = Field(default=None, description="Pixels that a hand set before it was made, as `counts`.")
    hand_outside: str | None = Field(default=None, description="Pixels that a hand took away, as `counts`.")

    @property
    def rle(self) -> Rle:
        """The mask."""
        return Rle(self.height, self.width, self.counts)

    @classmethod
    def of(cls, rle: Rle, **more: object) -> MadeMask:
        """With the hash, the size and the runs of a mask; `more` are the other fields."""
        size = {"height": rle.height, "width": rle.width, "counts": rle.counts}
        return cls.model_validate({"sha256": mask_sha256(rle), **size, **more})


def mask_sha256(rle: Rle) -> str:
    """Hash of a mask's size and pixels; the same however it was encoded. Raises DataError for a damaged one."""
    canonical = rle_from_runs(runs_from_rle(rle), height=rle.height, width=rle.width)
    return sha256_text(f"{rle.height}x{rle.width}:{canonical.counts}")


def record_made(workspace: Workspace, clip_id: str, made: Sequence[MadeMask]) -> None:
    """Append to a clip's masks; several processes may do so at once, and a kill costs at most the last line."""
    append_lines(made_path(workspace, clip_id), made_lines(made))


def made_lines(made: Iterable[MadeMask]) -> str:
    """Masks as the lines of a clip's file."""
    return "".join(mask.model_dump_json() + "\n" for mask in made)


def made_masks(workspace: Workspace, clip_id: str) -> dict[str, MadeMask]:
    """What machines made for a clip, by the hash of the mask; of equal masks the last. Torn lines are passed over."""
    return {mask.sha256: mask for mask in read_made(workspace, clip_id)}


def read_made(workspace: Workspace, clip_id: str) -> list[MadeMask]:
    """All that machines made for a clip, in the order in which they made it. Torn lines are passed over."""
    path = made_path(workspace, clip_id)
    found = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            found.append(MadeMask.model_validate(json.loads(line)))
        except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError):
            continue
    return found


def made_path(workspace: Workspace, clip_id: str) -> Path:
    """The file of a clip, whether it exists or not."""
    return workspace.annotations / "made" / f"{checked_id(clip_id)}.jsonl"
