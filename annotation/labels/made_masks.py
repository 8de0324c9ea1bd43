"""The masks that machines made for people, so that one which comes back unchanged is known again by its content.

annotations/made/<clip_id>.jsonl             one line for each mask, only ever appended to
annotations/filling/<clip_id>.<key>.json     a box whose other stills are being filled; gone when the page has them
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from avis_data.annotation.labels.records import MaskOrigin
from avis_data.errors import DataError
from avis_data.io import append_lines, read_json, sha256_text
from avis_data.masks.rle import Rle, rle_from_runs, runs_from_rle
from avis_data.paths import Workspace, checked_id
from avis_data.records import Record, SafeId, Sha256

__all__ = [
    "Filling",
    "MadeMask",
    "filling_path",
    "fillings",
    "made_lines",
    "made_masks",
    "made_path",
    "mask_sha256",
    "read_made",
    "record_made",
]


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


class Filling(Record):
    """A box that asks for many stills: what is needed to go on with it after a kill, and how far it is."""

    key: str = Field(pattern=r"^[0-9a-f]{32}$", description="Names it; the page asks for the rest by it.")
    task_id: int
    clip_id: SafeId
    owner: str = Field(description="Whose page it is, as the server names people; empty: not known.")
    identity: str
    frame: int = Field(ge=0, description="The still with the box.")
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    counts: str = Field(description="The mask on that still, COCO's compressed runs.")
    confidence: float
    wanted: tuple[int, ...] = Field(description="The other stills that are asked for.")
    looked_at: int = Field(default=0, ge=0, description="How many of them are done.")
    began_at: str = Field(description="UTC.")

    def words(self) -> str:
        """How far it is, for people."""
        return f"{self.identity}: {self.looked_at + 1} of {len(self.wanted) + 1} stills"

    def waits(self) -> str:
        """What is still to happen once all stills were looked at; empty before."""
        return ", which the page gets when it asks" if self.looked_at == len(self.wanted) else ""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        shown = {"clip_id": self.clip_id, "identity": self.identity, "frame": self.frame}
        return {**shown, "looked_at": self.looked_at + 1, "stills": len(self.wanted) + 1}


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


def filling_path(workspace: Workspace, clip_id: str, key: str) -> Path:
    """The file of a box that is being filled, whether it exists or not."""
    return workspace.annotations / "filling" / f"{checked_id(clip_id)}.{key}.json"


def fillings(workspace: Workspace) -> list[Filling]:
    """Boxes whose stills are being filled or wait for their page, the oldest first. Damaged files are passed over."""
    found = []
    for path in (workspace.annotations / "filling").glob("*.json"):
        try:
            found.append(Filling.model_validate(read_json(path)))
        except (ValidationError, DataError):
            continue
    return sorted(found, key=lambda filling: (filling.began_at, filling.key))
