"""Which clips were given to whom in a round, and what they were given to start from.

annotations/<round>/assignments.json

The list only grows: the server's tasks are made from it, so what was written here and not made there (a kill in
between) is made when the same command is run again.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from avis_data.annotation.labels.store import round_dir
from avis_data.config import validated
from avis_data.errors import DataError, ProblemsError
from avis_data.io import read_json, write_text
from avis_data.paths import Workspace
from avis_data.records import Record, SafeId

__all__ = ["Assignment", "add_assignments", "read_assignments"]


class Assignment(Record):
    """One clip for one person, or for anyone, in one round."""

    clip_id: SafeId
    annotator: str | None = Field(default=None, description="E-mail; null: anyone.")
    prev_round: str | None = Field(default=None, description="Round of the labels that it starts from; null: none.")
    prev_by: str | None = Field(default=None, description="E-mail of whose labels it starts from.")
    prev_updated_at: str | None = Field(default=None, description="State of these labels on the server.")
    note: str = Field(default="", description="What the page shows above the clip.")


class _Assignments(Record):
    """`assignments.json`."""

    assignments: tuple[Assignment, ...]


def read_assignments(workspace: Workspace, round_name: str) -> list[Assignment]:
    """What was given to whom in a round, by clip, then by person; nothing where the round was never planned.

    Raises:
        DataError: if the file is damaged.
    """
    path = round_dir(workspace, round_name) / "assignments.json"
    if not path.is_file():
        return []
    try:
        return list(validated(_Assignments, read_json(path), where=str(path)).assignments)
    except ProblemsError as error:
        raise DataError(error.args[0], hint=f"bring {path.name} back from a copy, or remove {path.parent}") from None


def add_assignments(workspace: Workspace, round_name: str, new: Iterable[Assignment]) -> list[Assignment]:
    """Note assignments; a clip that a person was given before stays as it was noted. Gives all of the round."""
    before = read_assignments(workspace, round_name)
    known = {(item.clip_id, item.annotator): item for item in [*new, *before]}
    merged = [known[key] for key in sorted(known, key=lambda key: (key[0], key[1] or ""))]
    if merged != before:
        text = _Assignments(assignments=tuple(merged)).model_dump_json(indent=1)
        write_text(round_dir(workspace, round_name) / "assignments.json", text + "\n")
    return merged
