"""What a clip's page was filled with before anyone looked: by it a mask that comes back untouched keeps its maker.

annotations/<round>/pushed/<clip_id>/<annotator's hash, or `anyone`>.json
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from avis_data.annotation.labels.records import Flag, Interval, LabelledTrack
from avis_data.annotation.labels.store import round_dir
from avis_data.config import validated
from avis_data.io import read_json, sha256_text, write_text
from avis_data.paths import Workspace, checked_id
from avis_data.records import Record, SafeId

__all__ = ["ClipTask", "read_pushed", "write_pushed"]


class ClipTask(Record):
    """One clip for one person, and what they begin with."""

    clip_id: SafeId
    tracks: tuple[LabelledTrack, ...] = Field(default=(), description="Masks and spans to fill the page with.")
    off_screen: tuple[Interval, ...] = ()
    silence: tuple[Interval, ...] = Field(default=(), description="Where there is nothing to hear.")
    flags: tuple[Flag, ...] = Field(default=(), description="Stills that need a look, told first.")
    note: str = Field(default="", description="Of the person before.")
    previous_annotator: str | None = Field(default=None, description="Whose labels these are, e-mail.")


def read_pushed(workspace: Workspace, round_name: str, clip_id: str, annotator: str | None) -> ClipTask | None:
    """What was pushed; None where it was not by us."""
    path = _path(workspace, round_name, clip_id, annotator)
    return validated(ClipTask, read_json(path), where=str(path)) if path.is_file() else None


def write_pushed(workspace: Workspace, round_name: str, task: ClipTask, annotator: str | None) -> None:
    """Keep it, before the server gets it."""
    write_text(_path(workspace, round_name, task.clip_id, annotator), task.model_dump_json() + "\n")


def _path(workspace: Workspace, round_name: str, clip_id: str, annotator: str | None) -> Path:
    name = sha256_text(annotator)[:12] if annotator else "anyone"
    return round_dir(workspace, round_name) / "pushed" / checked_id(clip_id) / f"{name}.json"
