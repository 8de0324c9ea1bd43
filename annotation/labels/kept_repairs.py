"""Repairs kept beside the labels that they are of, so that a pull brings neither the old state back nor loses them.

annotations/<round>/repairs/<clip_id>/<annotator's hash>.json      the labels as pulled, and what was put right since

What counts (`labelled/`) is made of both, each time anew. The repairs are written first: killed in between, the next
repair, undo or pull makes the labels of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from avis_data.annotation.labels.changes import LabelChanges, changes_between
from avis_data.annotation.labels.records import Answer, ClipProblem, LabelledClip, Repair, Repairs
from avis_data.annotation.labels.repair import repaired
from avis_data.annotation.labels.rounds import ANYONE, clip_place
from avis_data.annotation.labels.states import heard_seconds
from avis_data.annotation.labels.store import drawn_sha256, labelled_path, read_repairs, write_repairs
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import ConfigError, DataError
from avis_data.masks.rle import decode

__all__ = ["RepairReport", "keep_pulled", "repair_labels", "repairs_of", "undo_repair"]

_SAME_OBJECT = 0.5
"""So much of what a repair moved must still be as it was, for the repair to be done again on newer labels."""
_DONE_THERE = 0.9
"""From this on newer labels count as what the repair would make of them."""


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What became of a repair, or of taking one back."""

    labels: LabelledClip
    repair: Repair
    changes: LabelChanges | None
    """None: it was done, or undone, before."""
    was_accepted: bool

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "clip_id": self.labels.clip_id,
            "round": self.labels.round,
            "annotator": self.labels.annotator,
            "repair": self.repair.model_dump(),
            "changed": self.changes is not None,
            "changes": self.changes.as_dict() if self.changes is not None else None,
            "problems": [problem.model_dump() for problem in self.labels.problems],
        }


def repair_labels(
    labels: WorkspaceLabels, clip_id: str, wanted: Repair, *, of: str | None = None, dry_run: bool = False
) -> RepairReport:
    """Put a clip's labels right; the same repair again changes nothing.

    Args:
        labels: of a workspace that the caller has locked.
        clip_id: of the clip.
        wanted: what to do; its number does not count.
        of: e-mail of whose labels; None: those that count.
        dry_run: only say what would change.

    Raises:
        ConfigError: if it names an object or a still that is not there, or somebody has these labels on their page.
        DataError: if the clip has no labels, or a mask is damaged.
    """
    answer = _target(labels, clip_id, of)
    kept = _kept(labels, answer)
    same = [item for item in kept.repairs if item.undone_at is None and item.is_as(wanted)]
    known = next((item for item in same if not item.waits), None)
    if known is not None:
        return _finish(labels, kept, answer, known, dry_run=dry_run)
    repair = wanted.model_copy(update={"number": len(kept.repairs) + 1})
    instead = {"undone_by": wanted.by, "undone_at": wanted.at, "waits": False}
    others = tuple(item.model_copy(update=instead) if item in same else item for item in kept.repairs)
    return _finish(labels, kept.model_copy(update={"repairs": (*others, repair)}), answer, repair, dry_run=dry_run)


def undo_repair(
    labels: WorkspaceLabels, clip_id: str, number: int | None, *, by: str, at: str, of: str | None = None
) -> RepairReport:
    """Take a repair back: the last one, or that of a number; one that was taken back stays so.

    Raises:
        ConfigError: if there is none, or a later one builds on it.
        DataError: if the clip has no labels.
    """
    answer = _target(labels, clip_id, of)
    kept = _kept(labels, answer)
    found = [item for item in kept.repairs if number in (None, item.number)]
    if not found:
        there = ", ".join(str(item.number) for item in kept.repairs) or "none"
        what = "was put right" if number is None else f"has the number {number}"
        raise ConfigError(f"{clip_id}: nothing {what}; repairs: {there}", hint=f"avis-data labels list {clip_id}")
    repair = found[-1]
    if repair.undone_at is None:
        gone = repair.model_copy(update={"undone_by": by, "undone_at": at, "waits": False})
        kept = kept.model_copy(update={"repairs": tuple(gone if item is repair else item for item in kept.repairs)})
        repair = gone
    try:
        return _finish(labels, kept, answer, repair)
    except ConfigError as error:
        hint = f"undo the later ones first: avis-data labels undo {clip_id}"
        raise ConfigError(f"{clip_id}: a later repair builds on {repair.number}: {error}", hint=hint) from None


def repairs_of(labels: WorkspaceLabels, clip_id: str) -> list[tuple[Answer, tuple[Repair, ...]]]:
    """All repairs of a clip, by the labels that they are of, undone ones too. Raises DataError if a file is damaged."""
    found = []
    for passage in labels.clip_passages(clip_id):
        for answer in passage.answers:
            kept = read_repairs(labels.workspace, answer.round, clip_id, answer.annotator)
            if kept is not None and kept.repairs:
                found.append((answer, kept.repairs))
    return found


def keep_pulled(labels: WorkspaceLabels, received: LabelledClip) -> tuple[LabelledClip, list[str]]:
    """Keep labels as they were pulled, with what was put right in them before.

    A repair of what is still as it was is done again. If the person did the same on the page, nothing is left to do.
    If they changed these objects otherwise, what they say counts, and the repair waits for a person: a problem of the
    clip says so.

    Returns:
        The labels that count, and a line for each repair.

    Raises:
        DataError: if a file of repairs is damaged.
    """
    kept = read_repairs(labels.workspace, received.round, received.clip_id, received.annotator)
    if kept is None:
        labels.keep_labelled(received)
        return received, []
    repairs, told = _carried(kept, received, labels.categories)
    kept = Repairs(base=received, repairs=tuple(repairs))
    write_repairs(labels.workspace, kept)
    made = _made(kept, labels.categories)
    labels.keep_labelled(made)
    return made, told


def _finish(
    labels: WorkspaceLabels, kept: Repairs, answer: Answer, repair: Repair, *, dry_run: bool = False
) -> RepairReport:
    """Write what changed; after a kill in between that is the labels alone."""
    before = labels.labels_of(answer)
    fits = kept.base.model_copy(update={"media": labels.media_of(answer)})  # somebody may have confirmed them since
    kept = kept.model_copy(update={"base": fits})
    after = _made(kept, labels.categories)
    if not dry_run:
        if kept != _kept(labels, answer):
            write_repairs(labels.workspace, kept)
        if after != before:
            labels.keep_labelled(after)
    return RepairReport(
        labels=after,
        repair=repair,
        changes=changes_between(before, after) if after != before else None,
        was_accepted=_is_accepted(labels, after),
    )


def _is_accepted(labels: WorkspaceLabels, after: LabelledClip) -> bool:
    place = clip_place(after.clip_id, labels.clip_passages(after.clip_id))
    return place.labels is not None and after.annotator in place.reviewers and place.labels.round == after.round


def _kept(labels: WorkspaceLabels, answer: Answer) -> Repairs:
    kept = read_repairs(labels.workspace, answer.round, answer.clip_id, answer.annotator)
    if kept is not None:
        return kept
    return Repairs(base=labels.labels_of(answer), repairs=())


def _made(kept: Repairs, categories: Collection[str]) -> LabelledClip:
    """The labels that count, with the repairs that are in them."""
    made = kept.base
    for repair in kept.repairs:
        if repair.counts:
            made = repaired(made, repair, categories)
    waiting = [item for item in kept.repairs if item.waits and item.undone_at is None]
    problems = (*made.problems, *(_waits(item, kept.base) for item in waiting))
    done = tuple(item for item in kept.repairs if item.counts)
    drawn = drawn_sha256(made.tracks, made.off_screen)
    return made.model_copy(update={"repairs": done, "problems": problems, "drawn_sha256": drawn})


def _waits(repair: Repair, base: LabelledClip) -> ClipProblem:
    message = (
        f"repair {repair.number} ({repair.text()}, by {repair.by}) was not done again: {base.annotator} changed these"
        f" objects since; give the same command again, or avis-data labels undo {base.clip_id} {repair.number}"
    )
    return ClipProblem(kind="repair_waits", identity=repair.identities[0], frame=repair.first, message=message)


def _carried(kept: Repairs, received: LabelledClip, categories: Collection[str]) -> tuple[list[Repair], list[str]]:
    old, new = kept.base, received
    repairs, told = [], []
    for repair in kept.repairs:
        if not repair.counts:
            repairs.append(repair)
            continue
        done = repaired(old, repair, categories)
        new, repair, outcome = _on_newer(old, done, new, repair, categories)
        old = done
        told.append(
            f"{received.round}/{received.clip_id}: repair {repair.number} ({repair.text()}, {repair.by}) {outcome}"
        )
        repairs.append(repair)
    return repairs, told


def _on_newer(
    old: LabelledClip, done: LabelledClip, new: LabelledClip, repair: Repair, categories: Collection[str]
) -> tuple[LabelledClip, Repair, str]:
    """Newer labels with the repair or, where it is done there or a person must look, as they are."""
    as_before, as_done = _likeness(old, new, repair), _likeness(done, new, repair)
    if as_done > as_before and as_done >= _DONE_THERE:
        on_page = repair.model_copy(update={"done_on_page": True})
        return new, on_page, f"is not done again: {new.annotator} did the same on the page"
    if as_before >= _SAME_OBJECT and as_before > as_done:
        with suppress(ConfigError, DataError):
            outcome = "stays in the labels" if as_before == 1 else f"is done again on what {new.annotator} changed"
            return repaired(new, repair, categories), repair, outcome
    waiting = repair.model_copy(update={"waits": True})
    return new, waiting, f"is not done again: {new.annotator} changed these objects since, and that counts"


def _likeness(a: LabelledClip, b: LabelledClip, repair: Repair) -> float:
    """How much of what a repair is about is the same in both, in [0, 1]: IoU of masks, else whether it is heard."""
    end = a.num_frames if repair.last is None else repair.last + 1
    stills = set(range(repair.first, min(end, a.num_frames))) | set(repair.onto)
    values = [value for name in repair.identities for value in _likenesses(a, b, name, stills)]
    return float(np.mean(values)) if values else 1.0


def _likenesses(a: LabelledClip, b: LabelledClip, identity: str, stills: Iterable[int]) -> list[float]:
    one, other = (next((track for track in clip.tracks if track.identity == identity), None) for clip in (a, b))
    masks_a, masks_b = ({} if track is None else track.rle_by_frame() for track in (one, other))
    heard_a, heard_b = (heard_seconds(() if track is None else track.intervals, a.num_frames) for track in (one, other))
    values = []
    for still in sorted(stills):
        mask_a, mask_b = masks_a.get(still), masks_b.get(still)
        if mask_a is not None and mask_b is not None:
            a_HW, b_HW = decode(mask_a), decode(mask_b)
            values.append(1.0 if mask_a == mask_b else float((a_HW & b_HW).sum() / max((a_HW | b_HW).sum(), 1)))
        elif mask_a is not None or mask_b is not None:
            values.append(0.0)
        if heard_a[still] or heard_b[still]:
            values.append(float(heard_a[still] == heard_b[still]))
    return values


def _target(labels: WorkspaceLabels, clip_id: str, of: str | None) -> Answer:
    """Whose labels are meant. Raises ConfigError if it is not clear, or if they are on somebody's page."""
    passages = labels.clip_passages(clip_id)
    place = clip_place(clip_id, passages)
    answered = next((passage.answers for passage in reversed(passages) if passage.answers), ())
    those: Sequence[Answer] = [place.labels, *place.others] if place.labels is not None else answered
    if not those:
        raise DataError(f"{clip_id}: no labels of people were pulled", hint="avis-data annotate pull")
    if of is None and place.labels is None and len(those) > 1:
        raise ConfigError(f"{clip_id}: labels of {_people(those)}", hint=f"--of {those[0].annotator}")
    answer = next((item for item in those if of in (None, item.annotator)), None)
    if answer is None:
        raise ConfigError(f"{clip_id}: no labels of {of} that count; there are those of {_people(those)}")
    if not labelled_path(labels.workspace, answer.round, clip_id, answer.annotator).is_file():
        raise DataError(f"{clip_id}: the labels of {answer.annotator} are gone", hint="avis-data annotate pull")
    for passage in passages:
        for item in passage.waiting() if passage.is_pushed and not passage.is_closed else ():
            if (item.prev_round, item.prev_by) == (answer.round, answer.annotator):
                person = item.annotator or ANYONE
                raise ConfigError(
                    f"{clip_id}: these labels are on the page of {person} ({passage.round}); what is said there will"
                    " take their place, and a repair would be lost",
                    hint="avis-data annotate pull when that is done, then repair what was left there",
                )
    return answer


def _people(answers: Iterable[Answer]) -> str:
    return " and ".join(sorted({answer.annotator for answer in answers}))
