"""Rounds of two workspaces become the rounds of a merged one: who was given what, what they said, what was received.

A round of one name is one round afterwards, and closed: its tasks are on the servers of the two workspaces, where
people may go on. What is open in it stands where it stood before, and gets its task in the next round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from avis_data.annotation.labels.made_masks import made_lines, made_path, read_made
from avis_data.annotation.labels.records import (
    Assignment,
    ClipTask,
    Decision,
    LabelledClip,
    LabelledTrack,
    PreLabels,
    Repair,
    Repairs,
    Revision,
    RoundInfo,
    RoundProject,
)
from avis_data.annotation.labels.store import (
    drawn_sha256,
    labelled_files,
    machine_path,
    prelabels_path,
    read_assignments,
    read_labels,
    read_machine_labels,
    read_prelabels,
    read_round,
    round_dir,
    round_names,
    write_assignments,
    write_labelled,
    write_round,
)
from avis_data.annotation.labels.tables import update_tables
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.config import record_from_json
from avis_data.io import sha256_file, write_bytes, write_text
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.merge.plan import MergePlan, Preferred
from avis_data.pipelines.truth_records import LabelledTruth, write_labelled_truth

__all__ = ["MergedRounds"]

_CLOSED = "merged into a workspace of its own: its tasks are on the server of the one that it comes from"

Tracked = TypeVar("Tracked", LabelledClip, ClipTask, PreLabels)


class MergedRounds:
    """Brings them over: files first, tables when there is a ledger."""

    def __init__(self, *, today: str) -> None:
        """`today`: YYYY-MM-DD, UTC; when the rounds end that were open."""
        self._now = f"{today}T00:00:00+00:00"

    def files(self, plan: MergePlan, workspace: Workspace) -> None:
        """Bring the files of all rounds, and what machines made for people. Raises DataError for a damaged one."""
        sides = [_From(plan, name, workspace) for name in plan.sides]
        entries: dict[str, LabelledTruth] = {}
        for side in sides:
            side.of_clips()
        for name in sorted({name for side in sides for name in round_names(side.workspace)}):
            self._round(name, sides, workspace)
        for side in sides:
            entries |= side.entries()
        if entries:
            write_labelled_truth(workspace, entries)

    def tables(self, workspace: Workspace, ledger: Ledger) -> None:
        """Make the rows of people's labels from what they said."""
        labels = WorkspaceLabels(workspace)
        if labels.round_names() or labels.in_tables():
            update_tables(labels, ledger)

    def _round(self, name: str, sides: Sequence[_From], workspace: Workspace) -> None:
        infos: list[RoundInfo] = []
        given: list[Assignment] = []
        decisions: list[Decision] = []
        for side in sides:
            taken = {project.project_id for info in infos for project in info.projects}
            numbers: dict[int, int] = {}
            if (round_dir(side.workspace, name) / "round.json").is_file():
                info = read_round(side.workspace, name)
                numbers = _numbers(info.projects, taken)
                infos.append(info.model_copy(update={"projects": tuple(_numbered(info.projects, numbers))}))
            given += side.assignments(name)
            decisions += side.decisions(name)
            side.said(name, numbers)
        if given or decisions:
            ordered = sorted(given, key=lambda item: (item.clip_id, item.annotator or ""))
            write_assignments(workspace, name, ordered, sorted(decisions, key=lambda item: item.at))
        if infos:
            write_round(workspace, self._joined(infos))

    def _joined(self, infos: Sequence[RoundInfo]) -> RoundInfo:
        was_open = any(info.closed_at is None for info in infos)
        reasons = [info.close_reason for info in infos if info.close_reason is not None]
        reasons += [_CLOSED] if was_open else []
        return infos[0].model_copy(
            update={
                "created_at": min(info.created_at for info in infos),
                "projects": tuple(project for info in infos for project in info.projects),
                "closed_at": self._now if was_open else max(info.closed_at or "" for info in infos),
                "close_reason": "; ".join(dict.fromkeys(reasons)) or None,
            }
        )


def _numbers(projects: Iterable[RoundProject], taken: set[int]) -> dict[int, int]:
    """Other numbers for the projects of another server, where they would be mistaken for those of the first."""
    own = {project.project_id for project in projects}
    free = max(own | taken, default=0)
    numbers = {}
    for number in sorted(own & taken):
        free += 1
        numbers[number] = free
    return numbers


def _numbered(projects: Iterable[RoundProject], numbers: Mapping[int, int]) -> Iterator[RoundProject]:
    for project in projects:
        number = numbers.get(project.project_id, project.project_id)
        yield project.model_copy(update={"project_id": number})


@dataclass
class _From:
    """One side, and the workspace that its labels go to."""

    plan: MergePlan
    name: Preferred
    target: Workspace

    def __post_init__(self) -> None:
        name = self.name
        self.workspace = self.plan.sides[name].workspace
        self._clips = self.plan.clip_ids(name)
        self._received = self.plan.clip_ids(name, owned=False)
        self._categories = self.plan.choices.categories if name == "B" else {}
        self._labelled = self.plan.sides[name].labelled
        self._identities: dict[str, dict[str, str]] = {}
        self._sha256: dict[str, str] = {}
        """Of files of labels that were changed: the hash before to the one now."""
        self._drawn: dict[str | None, str] = {}
        """The same of what is drawn in them."""

    def of_clips(self) -> None:
        """First labels, and masks that machines made."""
        for old, new in self._clips.items():
            for place, read in ((prelabels_path, read_prelabels), (machine_path, read_machine_labels)):
                found = read(self.workspace, old)
                if found is not None:
                    source, target = place(self.workspace, old), place(self.target, new)
                    changed = self._tracks(found, old).model_copy(update={"clip_id": new})
                    same = changed == found
                    _copy(source, target) if same else write_text(target, changed.model_dump_json() + "\n")
            made = made_path(self.workspace, old)
            if made.is_file() and not self._names(old):
                _copy(made, made_path(self.target, new))
            elif made.is_file():
                names = self._names(old)
                masks = read_made(self.workspace, old)
                renamed = (
                    mask.model_copy(update={"identity": names.get(mask.identity, mask.identity)}) for mask in masks
                )
                write_text(made_path(self.target, new), made_lines(renamed))

    def assignments(self, name: str) -> Iterator[Assignment]:
        """Who was given which clip of this side."""
        for item in read_assignments(self.workspace, name).assignments:
            if item.clip_id in self._clips:
                yield item.model_copy(update={"clip_id": self._clips[item.clip_id]})

    def decisions(self, name: str) -> Iterator[Decision]:
        """What the lead said of the clips of this side."""
        for item in read_assignments(self.workspace, name).decisions:
            if item.clip_id in self._clips:
                yield item.model_copy(update={"clip_id": self._clips[item.clip_id]})

    def said(self, name: str, numbers: Mapping[int, int]) -> None:
        """What people said, what their pages were filled with, and what was received: that of all clips."""
        folder, target = round_dir(self.workspace, name), round_dir(self.target, name)
        for old, new in self._received.items():
            for path in sorted((folder / "received" / old).glob("*")):
                _copy(path, target / "received" / new / path.name)
        for old, new in self._clips.items():
            for path in labelled_files(self.workspace, name, old):
                labels = read_labels(path)
                changed = self._tracks(labels, old)
                revision = _revision(labels.revision, numbers, old, new)
                repairs = self._repairs(labels.repairs, old)
                changed = changed.model_copy(update={"clip_id": new, "revision": revision, "repairs": repairs})
                if changed == labels:
                    _copy(path, target / "labelled" / new / path.name)
                else:
                    write_labelled(self.target, changed)
                    self._sha256[sha256_file(path)] = sha256_file(target / "labelled" / new / path.name)
                    self._drawn[labels.drawn_sha256] = drawn_sha256(changed.tracks, changed.off_screen)
            for path in sorted((folder / "repairs" / old).glob("*.json")):
                kept = record_from_json(path, Repairs)
                base = self._tracks(kept.base, old)
                base = base.model_copy(
                    update={"clip_id": new, "revision": _revision(kept.base.revision, numbers, old, new)}
                )
                copy = target / "repairs" / new / path.name
                write_text(copy, Repairs(base=base, repairs=self._repairs(kept.repairs, old)).model_dump_json() + "\n")
            for path in sorted((folder / "pushed" / old).glob("*.json")):
                task = record_from_json(path, ClipTask)
                filled = self._tracks(task, old).model_copy(update={"clip_id": new})
                copy = target / "pushed" / new / path.name
                _copy(path, copy) if filled == task else write_text(copy, filled.model_dump_json() + "\n")

    def entries(self) -> dict[str, LabelledTruth]:
        """Whose labels each clip has; the hashes are those of the files as they are now."""
        return {
            self._clips[clip_id]: entry.model_copy(
                update={
                    "labels_sha256": self._sha256.get(entry.labels_sha256, entry.labels_sha256),
                    "drawn_sha256": self._drawn.get(entry.drawn_sha256, entry.drawn_sha256),
                }
            )
            for clip_id, entry in self._labelled.items()
            if clip_id in self._clips
        }

    def _tracks(self, said: Tracked, clip_id: str) -> Tracked:
        names = self._names(clip_id)
        if not names:
            return said
        tracks = tuple(
            track.model_copy(
                update={
                    "identity": names.get(track.identity, track.identity),
                    "category": self._categories.get(track.category, track.category),
                }
            )
            for track in said.tracks
        )
        return said.model_copy(update={"tracks": tracks})

    def _repairs(self, repairs: Sequence[Repair], clip_id: str) -> tuple[Repair, ...]:
        names = self._names(clip_id)
        renamed = (tuple(names.get(name, name) for name in repair.identities) for repair in repairs)
        return tuple(
            repair.model_copy(update={"identities": identities})
            for repair, identities in zip(repairs, renamed, strict=True)
        )

    def _names(self, clip_id: str) -> dict[str, str]:
        """New names of the objects of a clip whose category has another name here: category, next free number."""
        if not self._categories:
            return {}
        if clip_id not in self._identities:
            tracks = {track.identity: track.category for track in self._all_tracks(clip_id)}
            taken = {identity for identity, category in tracks.items() if category not in self._categories}
            names = {}
            for identity in sorted(tracks.keys() - taken):
                category, number = self._categories[tracks[identity]], identity.rpartition("_")[2]
                new = f"{category}_{number}"
                while new in taken:
                    number = str(int(number) + 1) if number.isascii() and number.isdigit() else "1"
                    new = f"{category}_{number}"
                taken.add(new)
                names[identity] = new
            self._identities[clip_id] = names
        return self._identities[clip_id]

    def _all_tracks(self, clip_id: str) -> Iterator[LabelledTrack]:
        for found in (read_prelabels(self.workspace, clip_id), read_machine_labels(self.workspace, clip_id)):
            yield from found.tracks if found is not None else ()
        for name in round_names(self.workspace):
            for path in labelled_files(self.workspace, name, clip_id):
                yield from read_labels(path).tracks
            for path in sorted((round_dir(self.workspace, name) / "repairs" / clip_id).glob("*.json")):
                yield from record_from_json(path, Repairs).base.tracks
            for path in sorted((round_dir(self.workspace, name) / "pushed" / clip_id).glob("*.json")):
                yield from record_from_json(path, ClipTask).tracks


def _revision(found: Revision | None, numbers: Mapping[int, int], old: str, new: str) -> Revision | None:
    if found is None:
        return None
    number = numbers.get(found.project_id, found.project_id)
    return found.model_copy(
        update={"project_id": number, "file": found.file.replace(f"/received/{old}/", f"/received/{new}/")}
    )


def _copy(source: Path, target: Path) -> None:
    """A file of its own: some of these grow in their place."""
    if not target.exists():
        write_bytes(target, source.read_bytes())
