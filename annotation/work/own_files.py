"""The files of labelling in a workspace, for `avis-data doctor --workspace`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from avis_data.annotation.labels.made_masks import Filling, MadeMask
from avis_data.annotation.labels.records import ClipTask, LabelledClip, PreLabels, Repairs, RoundInfo
from avis_data.annotation.labels.store import Assignments
from avis_data.annotation.labels.tables import bring_up_to_date
from avis_data.annotation.labelstudio.projects import read_workspace_id
from avis_data.annotation.labelstudio.settings import Secrets, ServerSettings
from avis_data.config import record_from_json
from avis_data.errors import DataError
from avis_data.io import read_json
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.files import FileKind, OwnFiles, not_read
from avis_data.pipelines.truth_records import labelled_truth
from avis_data.records import Record

__all__ = ["FILES"]

_COPY = "bring it back from a copy of the workspace"
_PULL = "move it away, then: avis-data annotate pull asks the server for it again"


def _record(kind: type[Record]) -> Callable[[Workspace, Path], object]:
    return lambda _, path: record_from_json(path, kind)


def _received(_workspace: Workspace, path: Path) -> None:
    if not isinstance(read_json(path), dict):
        raise DataError(f"{path}: is no annotation of Label Studio")


def _pulled(_workspace: Workspace, path: Path) -> None:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            good = isinstance(json.loads(line), list)
        except (ValueError, RecursionError):
            good = False
        if not good:
            raise DataError(f"{path}:{number}: not a task that was pulled")


FILES = OwnFiles(
    name="labels",
    kinds=(
        FileKind(
            name="whose labels count",
            places=("annotations/current.json",),
            read=lambda workspace, _: labelled_truth(workspace),
            advice="",
            rebuild="the rounds",
            again=lambda workspace: bring_up_to_date(workspace, command="avis-data doctor"),
        ),
        FileKind(
            name="id of the workspace on the server",
            places=("annotations/workspace-id",),
            read=lambda _, path: read_workspace_id(path),
            advice=f"{_COPY}: by it the projects on the server are found again",
        ),
        FileKind(name="round", places=("annotations/*/round.json",), read=_record(RoundInfo), advice=_COPY),
        FileKind(
            name="what was given to whom",
            places=("annotations/*/assignments.json",),
            read=_record(Assignments),
            advice=_COPY,
        ),
        FileKind(
            name="what a page was filled with",
            places=("annotations/*/pushed/*/*.json",),
            read=_record(ClipTask),
            advice=f"{_COPY}: by it a mask that comes back untouched keeps its maker",
        ),
        FileKind(
            name="annotation as received",
            places=("annotations/*/received/*/*.json.gz",),
            read=_received,
            advice=_PULL,
        ),
        FileKind(
            name="labels of a person",
            places=("annotations/*/labelled/*/*.json",),
            read=_record(LabelledClip),
            advice=_PULL,
        ),
        FileKind(
            name="repairs of labels",
            places=("annotations/*/repairs/*/*.json",),
            read=_record(Repairs),
            advice=f"{_COPY}, or move it away: the labels stay as they are, and their repairs cannot be undone",
        ),
        FileKind(
            name="which tasks were pulled",
            places=("annotations/*/pulled.jsonl",),
            read=_pulled,
            advice="nothing is lost: avis-data annotate pull asks for those tasks again",
        ),
        FileKind(
            name="first labels",
            places=("annotations/prelabels/*.json",),
            read=_record(PreLabels),
            advice="move it away, then: avis-data propagate makes it again",
        ),
        FileKind(
            name="machine labels",
            places=("annotations/machine/*.json",),
            read=_record(PreLabels),
            advice="move it away, then: avis-data prelabel makes it again",
        ),
        FileKind(
            name="masks that machines made",
            places=("annotations/made/*.jsonl",),
            read=lambda _, path: list(read_manifest(path, MadeMask)),
            advice="remove the line that is named: a mask of it that comes back untouched counts as drawn by hand",
        ),
        FileKind(
            name="address of the server",
            places=("label-studio/server.json",),
            read=_record(ServerSettings),
            advice="remove it, then: avis-data annotate serve",
        ),
        FileKind(
            name="secrets of the server",
            places=("label-studio/secrets.json",),
            read=_record(Secrets),
            advice=f"{_COPY}: it holds the only token of the first account",
        ),
        FileKind(
            name="boxes that are being filled",
            places=("annotations/filling/*.json",),
            read=_record(Filling),
            advice="remove it: the box is not filled on, and can be drawn again",
        ),
        FileKind(
            name="Label Studio's own",
            places=("label-studio/data", "label-studio/embeddings"),
            read=not_read,
            advice="",
            is_folder=True,
        ),
        FileKind(name="server's", places=("label-studio/*",), read=not_read, advice=""),
        FileKind(name="lock", places=("annotations/*/.lock",), read=not_read, advice=""),
    ),
)
