"""Who gets which clip next: the tasks of the coming review and fix rounds, planned from where the clips stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from avis_data.annotation.agreement.adjudication import summary_of_others
from avis_data.annotation.labels.changes import changes_between
from avis_data.annotation.labels.records import Answer, Assignment, RoundKind, Verdict
from avis_data.annotation.labels.rounds import ClipState, Place, round_name, round_order
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels

__all__ = ["Plan", "plan_next"]

_PROBLEMS_SHOWN = 5
_CHANGES_SHOWN = 8
_DECISIONS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """New tasks by round, and the clips for which there is nobody."""

    assignments: dict[str, list[Assignment]]
    without_reviewer: dict[str, str]
    """Clip to the reason."""


def plan_next(labels: WorkspaceLabels, *, reviewers: Sequence[str] = (), allow_own: bool = False) -> Plan:
    """Give every clip that was labelled to a reviewer, and every clip that was sent back to those who labelled it.

    Nobody reviews what they labelled themselves, unless that is allowed and nobody else is there. Of those who may,
    the one takes a clip that reviewed it before, else the one with the least open work.

    Args:
        labels: only read.
        reviewers: e-mails; none: all who labelled or reviewed so far, or anyone if that is fewer than two people.
        allow_own: people may review what they labelled themselves.

    Raises:
        DataError: if a file of a round is damaged.
    """
    standing, closed = labels.places(), labels.closed_rounds()
    given = {name: labels.assignments(name) for name in labels.round_names()}
    prev_by = {(name, item.clip_id): item.prev_by for name, items in given.items() for item in items}
    people = _people(standing, (item for items in given.values() for item in items))
    chosen = list(dict.fromkeys(reviewers)) or (sorted(people) if len(people) > 1 else [])
    load = Counter(name for place in standing for name in place.waits_for)
    plan = Plan(assignments={}, without_reviewer={})
    for place in standing:
        if place.labels is None:
            continue
        if place.state is ClipState.TO_FIX:
            name = _next_round(place, RoundKind.FIX, closed)
            author = _last_author(place, prev_by.get((place.labels.round, place.clip_id)))
            note = _fix_note(place.labels) + _story(labels, place, place.labels) + _media_note(labels, place.labels)
            plan.assignments.setdefault(name, []).append(_assignment(place, place.labels, author, note))
        elif place.state is ClipState.TO_REVIEW:
            found = _reviewer(place, chosen, allow_own=allow_own, load=load)
            if found is None and chosen:
                reason = f"{' and '.join(place.authors)} labelled it and cannot review it"
                plan.without_reviewer[place.clip_id] = reason
                continue
            name = _next_round(place, RoundKind.REVIEW, closed)
            note = _review_note(labels, place, place.labels) + _story(labels, place, place.labels)
            note += _media_note(labels, place.labels)
            given_out = _assignment(place, place.labels, found, note).model_copy(update={"allow_own": allow_own})
            plan.assignments.setdefault(name, []).append(given_out)
    return plan


def _assignment(place: Place, labels: Answer, annotator: str | None, note: str) -> Assignment:
    return Assignment(
        clip_id=place.clip_id,
        annotator=annotator,
        prev_round=labels.round,
        prev_by=labels.annotator,
        prev_updated_at=labels.updated_at or None,
        note=note,
    )


def _reviewer(place: Place, chosen: Sequence[str], *, allow_own: bool, load: Counter[str]) -> str | None:
    able = [name for name in chosen if name not in place.authors] or (list(chosen) if allow_own else [])
    if not able:
        return None
    before = [name for name in reversed(place.reviewers) if name in able]
    found = before[0] if before else min(able, key=lambda name: (load[name], chosen.index(name)))
    load[found] += 1
    return found


def _next_round(place: Place, kind: RoundKind, closed: Collection[str]) -> str:
    """The first round of a kind after the last one of the clip that is not closed."""
    assert place.round is not None  # it has labels, so it was in a round
    number, _ = round_order(place.round)
    if kind is RoundKind.REVIEW and not place.round.startswith(RoundKind.DRAFT):
        number += 1
    while round_name(kind, number) in closed:
        number += 1
    return round_name(kind, number)


def _last_author(place: Place, prev_by: str | None) -> str | None:
    """The person whose labels went to the review that sent the clip back."""
    return prev_by if prev_by in place.authors else next(iter(place.authors), None)


def _people(standing: Iterable[Place], given: Iterable[Assignment]) -> set[str]:
    found = {name for place in standing for name in (*place.authors, *place.reviewers)}
    return found | {item.annotator for item in given if item.annotator is not None}


def _review_note(labels: WorkspaceLabels, place: Place, answer: Answer) -> str:
    lines = [f"Labelled by {answer.annotator} ({answer.round})."]
    if answer.verdict is Verdict.DROP:
        lines.append("They would drop this clip.")
    if answer.note:
        lines.append(f"Their note: {answer.note}")
    shown = [problem.text() for problem in answer.problems[:_PROBLEMS_SHOWN]]
    more = len(answer.problems) - len(shown)
    if shown:
        lines.append("To look at: " + "; ".join(shown) + (f"; and {more} more." if more else "."))
    if place.others:
        lines += summary_of_others(labels, answer, place.others)
    return "\n".join(lines)


def _story(labels: WorkspaceLabels, place: Place, answer: Answer) -> str:
    """What was asked of those labels, what they changed, and what the lead said: for the next person's page."""
    passages = labels.clip_passages(place.clip_id)
    passage = next((item for item in passages if item.round == answer.round), None)
    given = passage.given_for(answer) if passage is not None else None
    lines = []
    if given is not None and given.prev_round is not None:
        before = next(
            (item for item in labels.answers(given.prev_round, place.clip_id) if item.annotator == given.prev_by), None
        )
        if before is not None and before.verdict is Verdict.SEND_BACK:
            asked = ", ".join(before.reasons) + (f": {before.note}" if before.note else "")
            lines.append(f"{before.annotator} had asked ({before.round}): {asked or 'no reason given'}")
        if before is not None and passage is not None:
            page = labels.pushed(passage.round, place.clip_id, given.annotator)
            now = labels.labels_of(answer)
            was = now.model_copy(update={"tracks": page.tracks, "off_screen": page.off_screen}) if page else now
            changed = changes_between(was, now).lines() if page is not None else []
            more = [f"and {len(changed) - _CHANGES_SHOWN} more"] if len(changed) > _CHANGES_SHOWN else []
            said = "; ".join([*changed[:_CHANGES_SHOWN], *more])
            if said or before.verdict is Verdict.SEND_BACK:
                lines.append(f"{answer.annotator} changed ({answer.round}): {said or 'nothing'}")
    lines += [decision.text() for item in passages for decision in item.decisions][-_DECISIONS_SHOWN:]
    return "".join(f"\n{line}" for line in lines)


def _media_note(labels: WorkspaceLabels, answer: Answer) -> str:
    return "" if labels.fits(answer) else "\nStills or sound were made again after this was drawn: see that it fits."


def _fix_note(labels: Answer) -> str:
    what = ", ".join(labels.reasons)
    lines = [f"Sent back by {labels.annotator} ({labels.round})" + (f": {what}." if what else ".")]
    return "\n".join([*lines, f"Their note: {labels.note}"] if labels.note else lines)
