"""Truth that people made here, as the export reads it: `annotations/current.json`, written by the rounds of annotation.

The masks table and `manifest/tracks.jsonl` hold the tracks; this file says whose truth each clip has, also where
nothing sounds in it, and which clips were dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from avis_data.config import validated
from avis_data.errors import DataError, ProblemsError
from avis_data.io import read_json, write_text
from avis_data.paths import Workspace
from avis_data.records import Record, SafeId

__all__ = ["ACCEPTED", "DRAFT", "LabelledTruth", "labelled_truth", "write_labelled_truth"]

ACCEPTED = "accepted"
"""The round, in the tables, of labels that a reviewer accepted."""
DRAFT = "draft"
"""The round, in the tables, of labels that nobody accepted yet, from whatever round of work they are."""


class LabelledTruth(Record):
    """What people say of one clip now."""

    state: Literal["accepted", "draft", "dropped"] = Field(description="dropped: by a reviewer; never exported.")
    round: str = Field(description="The round of work that the labels are from, as `review-2`.")
    labelled_by: tuple[str, ...]
    reviewed_by: tuple[str, ...]
    labels_sha256: str = Field(description="Of the record in that round that the rows were made from.")
    num_tracks: int = Field(ge=0, description="Those included that never sound.")
    frames_sha256: str = Field(description="Of the stills when the labels were first read; the sound likewise.")
    audio_sha256: str


class _Current(Record):
    """`current.json`."""

    clips: dict[SafeId, LabelledTruth]


def labelled_truth(workspace: Workspace) -> dict[str, LabelledTruth]:
    """All clips that have labels of people, or were dropped by them.

    Raises:
        DataError: if the file is damaged.
    """
    path = workspace.annotations / "current.json"
    if not path.exists():
        return {}
    try:
        return validated(_Current, read_json(path), where=str(path)).clips
    except ProblemsError as error:
        hint = f"remove {path}: the next export makes it again from the rounds"
        raise DataError(error.args[0], hint=hint) from None


def write_labelled_truth(workspace: Workspace, clips: Mapping[str, LabelledTruth]) -> None:
    """Keep all entries, sorted."""
    text = _Current(clips=dict(sorted(clips.items()))).model_dump_json(indent=1)
    write_text(workspace.annotations / "current.json", text + "\n")
