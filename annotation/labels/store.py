"""Where annotation lies in a workspace, written whole or not at all, and never overwritten as received.

annotations/<round>/round.json
                    received/<clip_id>/<annotation>-<hash>.json.gz    as received, one file per state
                    labelled/<clip_id>/<annotator's hash>.json        made from the newest of them
annotations/prelabels/<clip_id>.json                                  what is known before anyone looks
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from avis_data.annotation.labels.records import LabelledClip, PreLabels, RoundInfo, RoundKind
from avis_data.errors import DataError
from avis_data.io import canonical_json, read_json, sha256_text, write_bytes, write_text
from avis_data.paths import Workspace, checked_id
from avis_data.records import Record

__all__ = [
    "keep_received",
    "labelled_files",
    "prelabels_path",
    "read_labelled",
    "read_prelabels",
    "read_round",
    "round_dir",
    "round_name",
    "round_order",
    "rounds",
    "write_labelled",
    "write_prelabels",
    "write_round",
]

AnyRecord = TypeVar("AnyRecord", bound=Record)

_ROUNDS_HINT = "avis-data annotate push --round draft begins the first, avis-data review start the others"
_ORDER = [RoundKind.DRAFT, RoundKind.REVIEW, RoundKind.FIX]


def round_name(kind: RoundKind, number: int) -> str:
    """`draft`, `review`, `fix`; from the second of a kind on with its number."""
    return kind.value if number == 1 else f"{kind.value}-{number}"


def round_dir(workspace: Workspace, name: str) -> Path:
    """The folder of a round, whether it exists or not."""
    return workspace.annotations / checked_id(name)


def rounds(workspace: Workspace) -> list[RoundInfo]:
    """The rounds that were started, in their order: draft, review, fix, review-2, fix-2, ..."""
    found = [read_round(workspace, path.parent.name) for path in workspace.annotations.glob("*/round.json")]
    return sorted(found, key=lambda info: round_order(info.name))


def round_order(name: str) -> tuple[int, int]:
    """By what rounds are sorted: number, then draft, review, fix. (The draft round `draft` has the number 1.)"""
    kind, _, number = name.partition("-")
    return int(number or 1), _ORDER.index(RoundKind(kind))


def read_round(workspace: Workspace, name: str) -> RoundInfo:
    """A round. Raises DataError if it was not started or its file is damaged."""
    path = round_dir(workspace, name) / "round.json"
    if not path.is_file():
        known = ", ".join(info.name for info in rounds(workspace)) or "none"
        raise DataError(f"no round {name!r} in {workspace.root}; there are: {known}", hint=_ROUNDS_HINT)
    return _read(path, RoundInfo)


def write_round(workspace: Workspace, info: RoundInfo) -> None:
    """Keep a round's file."""
    write_text(round_dir(workspace, info.name) / "round.json", info.model_dump_json(indent=2) + "\n")


def keep_received(workspace: Workspace, name: str, clip_id: str, annotation: dict[str, Any]) -> Path:
    """Keep an annotation as the server sent it; the same state again is the same file. Gives its path."""
    text = canonical_json(annotation)
    folder = round_dir(workspace, name) / "received" / checked_id(clip_id)
    path = folder / f"{int(annotation['id']):08d}-{sha256_text(text)[:12]}.json.gz"
    if not path.exists():
        write_bytes(path, gzip.compress(text.encode(), mtime=0))
    return path


def write_labelled(workspace: Workspace, labelled: LabelledClip) -> None:
    """Keep what one person said of a clip in a round, in place of what was made from an earlier state."""
    write_text(_labelled_path(workspace, labelled), labelled.model_dump_json() + "\n")


def read_labelled(workspace: Workspace, name: str, clip_id: str | None = None) -> Iterator[LabelledClip]:
    """What people said in a round, by clip, then by annotator; of one clip or of all, one at a time."""
    for path in labelled_files(workspace, name, clip_id):
        yield _read(path, LabelledClip)


def labelled_files(workspace: Workspace, name: str, clip_id: str | None = None) -> list[Path]:
    """The files of what people said in a round, by clip; of one clip or of all."""
    pattern = f"{checked_id(clip_id)}/*.json" if clip_id is not None else "*/*.json"
    return sorted((round_dir(workspace, name) / "labelled").glob(pattern))


def write_prelabels(workspace: Workspace, labels: PreLabels) -> None:
    """Keep the pre-labels of a clip, in place of earlier ones."""
    write_text(prelabels_path(workspace, labels.clip_id), labels.model_dump_json() + "\n")


def read_prelabels(workspace: Workspace, clip_id: str) -> PreLabels | None:
    """The pre-labels of a clip; None where there are none. Raises DataError if the file is damaged."""
    path = prelabels_path(workspace, clip_id)
    return _read(path, PreLabels) if path.is_file() else None


def _labelled_path(workspace: Workspace, labelled: LabelledClip) -> Path:
    folder = round_dir(workspace, labelled.round) / "labelled" / labelled.clip_id
    return folder / f"{sha256_text(labelled.annotator)[:12]}.json"


def prelabels_path(workspace: Workspace, clip_id: str) -> Path:
    """The file of a clip's pre-labels, whether it exists or not."""
    return workspace.annotations / "prelabels" / f"{checked_id(clip_id)}.json"


def _read(path: Path, record: type[AnyRecord]) -> AnyRecord:
    try:
        return record.model_validate(read_json(path))
    except (ValidationError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: damaged: {str(error).splitlines()[0]}", hint="avis-data annotate pull") from None
