"""Where the labels of people lie in a workspace: every file's place, written whole or not at all.

annotations/<round>/round.json
                    assignments.json      which clips were given to whom, and what they were given to start from
                    pushed/<clip_id>/<annotator's hash, or `anyone`>.json      what the page was filled with
                    received/<clip_id>/<annotation>-<hash>.json.gz             as received, one file per state
                    labelled/<clip_id>/<annotator's hash>.json                 made from the newest of them
                    repairs/<clip_id>/<annotator's hash>.json                  what commands put right in it since
annotations/prelabels/<clip_id>.json      what is known of a clip before anyone looks
annotations/machine/<clip_id>.json        what machines alone made of it

What was received is never overwritten. The list of assignments only grows: the server's tasks are made from it, so
what was written here and not made there (a kill in between) is made when the same command is run again. By what was
pushed a mask that comes back untouched keeps its maker.

`workspace_labels.py` is what commands read by; these functions read their file each time.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from avis_data.annotation.labels.records import (
    Answer,
    Assignment,
    ClipTask,
    Decision,
    Interval,
    LabelledClip,
    LabelledTrack,
    PreLabels,
    Repairs,
    RoundInfo,
)
from avis_data.annotation.labels.rounds import round_order
from avis_data.config import record_from_json
from avis_data.errors import DataError
from avis_data.io import canonical_json, sha256_text, write_bytes, write_text
from avis_data.paths import Workspace, checked_id
from avis_data.records import Record

__all__ = [
    "Assignments",
    "drawn_sha256",
    "keep_received",
    "labelled_files",
    "labelled_path",
    "machine_path",
    "prelabels_path",
    "read_answer",
    "read_assignments",
    "read_labelled",
    "read_labels",
    "read_machine_labels",
    "read_prelabels",
    "read_pushed",
    "read_repairs",
    "read_round",
    "repairs_path",
    "round_dir",
    "round_names",
    "write_assignments",
    "write_labelled",
    "write_prelabels",
    "write_pushed",
    "write_repairs",
    "write_round",
]

_ROUNDS_HINT = "avis-data annotate push --round draft begins the first, avis-data review start the others"
_PULL_HINT = "move it away, then: avis-data annotate pull asks the server for it again"
_PRELABELS_HINT = "move it away, then: avis-data propagate makes it again"
_MACHINE_HINT = "move it away, then: avis-data prelabel makes it again"
_COPY_HINT = "bring it back from a copy; avis-data doctor --workspace says what else is damaged"


class Assignments(Record):
    """`assignments.json`: what was given to whom in a round."""

    assignments: tuple[Assignment, ...]
    decisions: tuple[Decision, ...] = ()
    """What the lead said, in that order."""


def round_dir(workspace: Workspace, name: str) -> Path:
    """The folder of a round, whether it exists or not."""
    return workspace.annotations / checked_id(name)


def round_names(workspace: Workspace, *, started: bool = False) -> list[str]:
    """The rounds that were planned or started, or only those, in the order in which clips go through them."""
    patterns = ("*/round.json",) if started else ("*/round.json", "*/assignments.json")
    found = {path.parent.name for pattern in patterns for path in workspace.annotations.glob(pattern)}
    return sorted(found, key=round_order)


def read_round(workspace: Workspace, name: str) -> RoundInfo:
    """A round. Raises DataError if it was not started or its file is damaged."""
    path = round_dir(workspace, name) / "round.json"
    if not path.is_file():
        known = ", ".join(round_names(workspace, started=True)) or "none"
        raise DataError(f"no round {name!r} in {workspace.root}; there are: {known}", hint=_ROUNDS_HINT)
    return record_from_json(path, RoundInfo, hint=_COPY_HINT)


def write_round(workspace: Workspace, info: RoundInfo) -> None:
    """Keep a round's file."""
    write_text(round_dir(workspace, info.name) / "round.json", info.model_dump_json(indent=2) + "\n")


def read_assignments(workspace: Workspace, name: str) -> Assignments:
    """What was given to whom in a round, by clip, then by person, and what the lead said; or nothing.

    Raises:
        DataError: if the file is damaged.
    """
    path = round_dir(workspace, name) / "assignments.json"
    if not path.is_file():
        return Assignments(assignments=())
    hint = f"bring {path.name} back from a copy, or remove {path.parent}"
    return record_from_json(path, Assignments, hint=hint)


def write_assignments(
    workspace: Workspace, name: str, assignments: Iterable[Assignment], decisions: Iterable[Decision] = ()
) -> None:
    """Keep what was given to whom in a round, and what the lead said."""
    kept = Assignments(assignments=tuple(assignments), decisions=tuple(decisions))
    write_text(round_dir(workspace, name) / "assignments.json", kept.model_dump_json(indent=1) + "\n")


def read_pushed(workspace: Workspace, name: str, clip_id: str, annotator: str | None) -> ClipTask | None:
    """What a page was filled with; None where it was not by us."""
    path = _pushed_path(workspace, name, clip_id, annotator)
    return record_from_json(path, ClipTask, hint=_COPY_HINT) if path.is_file() else None


def write_pushed(workspace: Workspace, name: str, task: ClipTask, annotator: str | None) -> None:
    """Keep what a page is filled with, before the server gets it."""
    write_text(_pushed_path(workspace, name, task.clip_id, annotator), task.model_dump_json() + "\n")


def keep_received(workspace: Workspace, name: str, clip_id: str, annotation_id: int, text: str) -> Path:
    """Keep an annotation as the server sent it; the same state again is the same file. Gives its path.

    Args:
        workspace: it belongs to.
        name: of the round.
        clip_id: of the clip.
        annotation_id: on the server.
        text: the annotation as canonical JSON.
    """
    folder = round_dir(workspace, name) / "received" / checked_id(clip_id)
    path = folder / f"{annotation_id:08d}-{sha256_text(text)[:12]}.json.gz"
    if not path.exists():
        write_bytes(path, gzip.compress(text.encode(), mtime=0))
    return path


def labelled_path(workspace: Workspace, name: str, clip_id: str, annotator: str) -> Path:
    """The file of what one person said of a clip in a round, whether it exists or not."""
    return round_dir(workspace, name) / "labelled" / checked_id(clip_id) / f"{sha256_text(annotator)[:12]}.json"


def labelled_files(workspace: Workspace, name: str, clip_id: str | None = None) -> list[Path]:
    """The files of what people said in a round, by clip; of one clip or of all."""
    pattern = f"{checked_id(clip_id)}/*.json" if clip_id is not None else "*/*.json"
    return sorted((round_dir(workspace, name) / "labelled").glob(pattern))


def write_labelled(workspace: Workspace, labelled: LabelledClip) -> None:
    """Keep what one person said of a clip in a round, in place of what was made from an earlier state."""
    path = labelled_path(workspace, labelled.round, labelled.clip_id, labelled.annotator)
    drawn = {"drawn_sha256": drawn_sha256(labelled.tracks, labelled.off_screen)}
    write_text(path, labelled.model_copy(update=drawn).model_dump_json() + "\n")


def drawn_sha256(tracks: Iterable[LabelledTrack], off_screen: Iterable[Interval]) -> str:
    """What masks and spans are, in one hash: the same whoever made them, and whatever was noted beside them."""
    drawn = [
        [
            track.identity,
            track.category,
            [[span.start_s, span.end_s] for span in track.intervals],
            [[mask.frame, mask.height, mask.width, mask.counts] for mask in track.masks],
        ]
        for track in sorted(tracks, key=lambda track: track.identity)
    ]
    return sha256_text(canonical_json([drawn, [[span.start_s, span.end_s] for span in off_screen]]))


def read_labelled(workspace: Workspace, name: str, clip_id: str | None = None) -> Iterator[LabelledClip]:
    """What people said in a round, by clip, then by annotator; of one clip or of all, one at a time."""
    for path in labelled_files(workspace, name, clip_id):
        yield read_labels(path)


def read_labels(path: Path) -> LabelledClip:
    """All that one person said of a clip in a round, masks included. Raises DataError if the file is damaged."""
    return record_from_json(path, LabelledClip, hint=_PULL_HINT)


def read_answer(path: Path) -> Answer:
    """The head of what one person said, without masks. Raises DataError if the file is damaged."""
    try:
        data = path.read_bytes()
        return Answer.model_validate_json(data).model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    except (ValidationError, IsADirectoryError, FileNotFoundError) as error:
        raise DataError(f"{path}: damaged: {str(error).splitlines()[0]}", hint=_PULL_HINT) from None


def repairs_path(workspace: Workspace, name: str, clip_id: str, annotator: str) -> Path:
    """The file of what was put right in one person's labels of a clip, whether it exists or not."""
    return round_dir(workspace, name) / "repairs" / checked_id(clip_id) / f"{sha256_text(annotator)[:12]}.json"


def read_repairs(workspace: Workspace, name: str, clip_id: str, annotator: str) -> Repairs | None:
    """What was put right in one person's labels; None: nothing ever was. Raises DataError if the file is damaged."""
    path = repairs_path(workspace, name, clip_id, annotator)
    return record_from_json(path, Repairs, hint=_COPY_HINT) if path.is_file() else None


def write_repairs(workspace: Workspace, repairs: Repairs) -> None:
    """Keep what was put right, with the labels as they were before."""
    base = repairs.base
    path = repairs_path(workspace, base.round, base.clip_id, base.annotator)
    write_text(path, repairs.model_dump_json() + "\n")


def prelabels_path(workspace: Workspace, clip_id: str) -> Path:
    """The file of a clip's pre-labels, whether it exists or not."""
    return workspace.annotations / "prelabels" / f"{checked_id(clip_id)}.json"


def write_prelabels(workspace: Workspace, labels: PreLabels) -> None:
    """Keep the pre-labels of a clip, in place of earlier ones."""
    write_text(prelabels_path(workspace, labels.clip_id), labels.model_dump_json() + "\n")


def read_prelabels(workspace: Workspace, clip_id: str) -> PreLabels | None:
    """The pre-labels of a clip; None where there are none. Raises DataError if the file is damaged."""
    path = prelabels_path(workspace, clip_id)
    return record_from_json(path, PreLabels, hint=_PRELABELS_HINT) if path.is_file() else None


def machine_path(workspace: Workspace, clip_id: str) -> Path:
    """The file of a clip's machine labels, whether it exists or not."""
    return workspace.annotations / "machine" / f"{checked_id(clip_id)}.json"


def read_machine_labels(workspace: Workspace, clip_id: str) -> PreLabels | None:
    """What machines alone made of a clip; None where they made nothing. Raises DataError if the file is damaged."""
    path = machine_path(workspace, clip_id)
    return record_from_json(path, PreLabels, hint=_MACHINE_HINT) if path.is_file() else None


def _pushed_path(workspace: Workspace, name: str, clip_id: str, annotator: str | None) -> Path:
    file = sha256_text(annotator)[:12] if annotator else "anyone"
    return round_dir(workspace, name) / "pushed" / checked_id(clip_id) / f"{file}.json"
