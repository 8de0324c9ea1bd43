"""Whose truth each clip of a workspace has now: from a file that was imported, or from the labels of people.

The masks table and `manifest/tracks.jsonl` hold the tracks. The records here say whose they are, also of clips in which
nothing sounds, and which clips were dropped: `annotations/import-*/import.json` for each file, written by imports, and
`annotations/current.json`, written from the rounds of annotation. Exports read both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from avis_data.config import record_from_json
from avis_data.io import write_json, write_text
from avis_data.paths import Workspace
from avis_data.records import Record, SafeId

__all__ = [
    "ACCEPTED",
    "DRAFT",
    "IMPORTED",
    "ImportRecord",
    "ImportedClip",
    "LabelledTruth",
    "imported_clips",
    "labelled_truth",
    "read_import",
    "truth_that_counts",
    "write_imported",
    "write_labelled_truth",
]

IMPORTED = "import"
"""The round, in the tables, of all that comes from a file."""
ACCEPTED = "accepted"
"""The round, in the tables, of labels that a reviewer accepted."""
DRAFT = "draft"
"""The round, in the tables, of labels that nobody accepted yet, from whatever round of work they are."""

_RECORD = "import.json"


class LabelledTruth(Record):
    """What people say of one clip now; kept for each clip in `current.json`."""

    state: Literal["accepted", "draft", "sent back", "dropped"] = Field(
        description="sent back: by a reviewer, and not mended yet; dropped: by a reviewer. Neither is exported."
    )
    round: str = Field(description="The round of work that the labels are from, as `review-2`.")
    labelled_by: tuple[str, ...]
    reviewed_by: tuple[str, ...]
    own_review: bool = Field(default=False, description="One of those who labelled it said so.")
    labels_sha256: str = Field(description="Of the record in that round that the rows were made from.")
    num_tracks: int = Field(ge=0, description="Those included that never sound.")
    drawn_sha256: str | None = Field(default=None, description="Of masks and spans, whatever else was said.")
    frames_sha256: str = Field(description="Of the stills that it was drawn on, empty: not known; the sound likewise.")
    audio_sha256: str
    confirmed: bool = Field(default=False, description="Somebody looked, and says that these stills and sound fit.")


class _Current(Record):
    """`current.json`."""

    clips: dict[SafeId, LabelledTruth]


@dataclass(config=ConfigDict(extra="forbid"), frozen=True, slots=True, kw_only=True)
class ImportedClip:
    """The stills and the sound that a clip had when its truth was imported; kept for each clip in `import.json`.

    No record, which takes seven times the memory: there is one for every clip of an imported file.
    """

    frames_sha256: str
    audio_sha256: str
    num_tracks: int
    """Tracks of its truth, those included that never sound."""


class ImportRecord(Record):
    """`import.json`: the file that was received, and the clips whose truth is from it now."""

    format: str
    file: str
    sha256: str
    kept_sha256: str | None = None
    """Of the file that lies beside this record, where removed videos were taken out of it."""
    clips: dict[str, ImportedClip]


def imported_clips(workspace: Workspace) -> dict[str, ImportedClip]:
    """All clips that have truth from a file, those in which nothing sounds (no track, no row) among them.

    Raises:
        DataError: if a record of an import cannot be read.
    """
    found: dict[str, ImportedClip] = {}
    for path in sorted(workspace.annotations.glob(f"import-*/{_RECORD}")):
        found |= read_import(path).clips
    return found


def truth_that_counts(
    workspace: Workspace, labels: Mapping[str, LabelledTruth], *, include_draft: bool
) -> dict[str, ImportedClip | LabelledTruth]:
    """What each clip's truth is from: what a reviewer accepted, else a file, else (if asked for) a draft.

    Raises:
        DataError: as `imported_clips`.
    """
    found: dict[str, ImportedClip | LabelledTruth] = {}
    found |= {clip_id: entry for clip_id, entry in labels.items() if include_draft and entry.state == "draft"}
    found |= imported_clips(workspace)
    return found | {clip_id: entry for clip_id, entry in labels.items() if entry.state == "accepted"}


def write_imported(
    workspace: Workspace,
    format_name: str,
    file: str,
    sha256: str,
    new: Mapping[str, ImportedClip],
    *,
    kept_sha256: str | None = None,
) -> None:
    """Say of a file which clips have their truth from it, and of the others that these have it no more.

    Args:
        format_name: of the file or folder, as `--format` takes it.
        file: its name.
        sha256: of the file.
        new: the clips, and what they were when its truth was imported.
        kept_sha256: of the copy that was kept, where it is not the file.
    """
    own = workspace.annotations / f"import-{sha256[:8]}" / _RECORD
    before: dict[str, ImportedClip] = {}
    for path in sorted(workspace.annotations.glob(f"import-*/{_RECORD}")):
        record = read_import(path)
        if path == own:
            before = record.clips
        elif record.clips.keys() & new.keys():
            kept = {clip_id: of for clip_id, of in record.clips.items() if clip_id not in new}
            write_json(path, record.model_copy(update={"clips": kept}).model_dump(exclude_none=True))
    clips = dict(sorted({**before, **new}.items()))
    if clips != before or not own.exists():
        record = ImportRecord(format=format_name, file=file, sha256=sha256, kept_sha256=kept_sha256, clips=clips)
        write_json(own, record.model_dump(exclude_none=True))


def labelled_truth(workspace: Workspace) -> dict[str, LabelledTruth]:
    """All clips that have labels of people, or were dropped by them.

    Raises:
        DataError: if the file is damaged.
    """
    path = workspace.annotations / "current.json"
    if not path.exists():
        return {}
    hint = f"remove {path}: the next export makes it again from the rounds (avis-data doctor --workspace --repair, too)"
    return record_from_json(path, _Current, hint=hint).clips


def write_labelled_truth(workspace: Workspace, clips: Mapping[str, LabelledTruth]) -> None:
    """Keep all entries, sorted."""
    text = _Current(clips=dict(sorted(clips.items()))).model_dump_json(indent=1)
    write_text(workspace.annotations / "current.json", text + "\n")


def read_import(path: Path) -> ImportRecord:
    """An `import.json`. Raises DataError if it is damaged."""
    return record_from_json(path, ImportRecord, hint=f"move {path.parent} away, and import the file again")
