"""Where every clip stands between draft and accepted, derived from the files of the rounds and from nothing else.

    draft -> review -> accepted | dropped
                    -> fix -> review-2 -> ...

The n-th review of a clip takes place in the round `review-n` (the first in `review`), and what it sends back is mended
in `fix-n`. So the rounds of different clips do not wait for each other, and the order of the rounds is the order in
which a clip went through them. What a closed round left open does not count: the clip stands where it stood before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from avis_data.annotation.labels.records import Answer, Assignment, Decision, RoundInfo, RoundKind, Verdict

__all__ = [
    "ACCEPT_CHANGED",
    "ACCEPT_EMPTIED",
    "ANYONE",
    "FIXED_UNCHANGED",
    "OWN_LABELS",
    "ClipState",
    "Passage",
    "Place",
    "clip_place",
    "passages_of",
    "round_kind",
    "round_name",
    "round_order",
]

ANYONE = "anyone"
"""The person of a task that was given to nobody in particular."""


ACCEPT_EMPTIED, ACCEPT_CHANGED, FIXED_UNCHANGED = "accept_emptied", "accept_changed", "fixed_unchanged"
"""Kinds of problems that ask a reviewer back: the verdict is not what the page says, and does not count until then."""
OWN_LABELS = "own_labels"
"""The kind of problem of a review that leaves masks of nobody but the reviewer: a second person has to see them."""

_ASKS_BACK = (ACCEPT_EMPTIED, ACCEPT_CHANGED, FIXED_UNCHANGED)
_ORDER = [RoundKind.DRAFT, RoundKind.REVIEW, RoundKind.FIX]


def round_name(kind: RoundKind, number: int) -> str:
    """`draft`, `review`, `fix`; from the second of a kind on with its number."""
    return kind.value if number == 1 else f"{kind.value}-{number}"


def round_kind(name: str) -> RoundKind:
    """What is done in a round, by its name: `fix-2` is a `fix`."""
    return RoundKind(name.partition("-")[0])


def round_order(name: str) -> tuple[int, int]:
    """The key that sorts rounds: number, then draft, review, fix. (The draft round `draft` has the number 1.)"""
    kind, _, number = name.partition("-")
    return int(number or 1), _ORDER.index(RoundKind(kind))


class ClipState(StrEnum):
    """What happens to a clip now, or next."""

    UNLABELLED = "unlabelled"
    DRAFT = "draft"
    TO_REVIEW = "to review"
    """Labelled; waits for `review start`. The same with `to fix`: sent back."""
    REVIEW = "review"
    TO_FIX = "to fix"
    FIX = "fix"
    ACCEPTED = "accepted"
    DROPPED = "dropped"


_OUTCOMES = {
    Verdict.ACCEPT: ClipState.ACCEPTED,
    Verdict.FIXED: ClipState.ACCEPTED,
    Verdict.SEND_BACK: ClipState.TO_FIX,
    Verdict.DROP: ClipState.DROPPED,
}
"""What a reviewer's verdict makes of the clip."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One clip in one round: to whom it was given and what they said."""

    round: str
    kind: RoundKind
    is_closed: bool
    is_pushed: bool
    """The round has its projects on the server."""
    given: tuple[Assignment, ...]
    answers: tuple[Answer, ...]
    projects: Mapping[int, str | None] = field(default_factory=dict)
    """Whose each project of the round is; None: anyone's."""
    decisions: tuple[Decision, ...] = ()
    """What the lead said of it, the oldest first."""

    @property
    def finished(self) -> tuple[Answer, ...]:
        """The answers with a verdict that ends the task, but for those to a task that was given to another since."""
        finished = tuple(answer for answer in self.answers if answer.is_finished and not self.is_taken_away(answer))
        is_review = self.kind is RoundKind.REVIEW
        return tuple(answer for answer in finished if answer.verdict in _OUTCOMES) if is_review else finished

    def waiting(self, counted: Iterable[Answer] | None = None) -> tuple[Assignment, ...]:
        """What was given and has no finished answer; in a project it counts whoever pressed the button.

        Args:
            counted: the finished answers that count; None: all.
        """
        answered = {self._given_to(answer) for answer in (self.finished if counted is None else counted)}
        return tuple(item for item in self.given if item.annotator not in answered)

    def open_answer(self, given: Assignment) -> Answer | None:
        """What was said so far to a task that waits: without a verdict, or unsure."""
        return next((answer for answer in self.answers if self._given_to(answer) == given.annotator), None)

    def given_for(self, answer: Answer) -> Assignment | None:
        """The task that an answer is to."""
        person = self._given_to(answer)
        return next((item for item in self.given if item.annotator == person), None)

    def is_taken_away(self, answer: Answer) -> bool:
        """Whether an answer is to a task that was given to somebody else since."""
        known = answer.revision is not None and answer.revision.project_id in self.projects
        return known and bool(self.given) and self.given_for(answer) is None

    def _given_to(self, answer: Answer) -> str | None:
        if answer.revision is not None and answer.revision.project_id in self.projects:
            return self.projects[answer.revision.project_id]
        return answer.annotator if any(item.annotator == answer.annotator for item in self.given) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one clip stands."""

    clip_id: str
    state: ClipState = ClipState.UNLABELLED
    round: str | None = None
    """The last round that it was given to somebody in."""
    waits_for: tuple[str, ...] = ()
    """Whose answers are missing, by e-mail, or `anyone`."""
    labels: Answer | None = None
    """The newest finished answer, whose labels are the clip's; of two drafts the one that goes to review."""
    others: tuple[Answer, ...] = ()
    """Finished answers of the same round beside it: the other draft of a clip that was labelled twice."""
    authors: tuple[str, ...] = ()
    """Who labelled or mended it, sorted."""
    reviewers: tuple[str, ...] = ()
    """Who reviewed it, the last one last."""
    is_own: bool = False
    """Accepted or dropped by somebody who made the labels, as `review start --allow-own` lets them."""
    remarks: tuple[str, ...] = ()
    """What a person should know, as `unsure: cannot tell the dogs apart`."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "clip_id": self.clip_id,
            "state": self.state.value,
            "round": self.round,
            "waits_for": list(self.waits_for),
            "verdict": self.labels.verdict if self.labels else None,
            "labelled_by": list(self.authors),
            "reviewed_by": list(self.reviewers),
            "own_review": self.is_own,
            "num_drafts": 1 + len(self.others) if self.labels else 0,
            "remarks": list(self.remarks),
        }


def clip_place(clip_id: str, passages: Iterable[Passage]) -> Place:
    """Where a clip stands after its passages, in their order."""
    place = Place(clip_id=clip_id)
    for passage in passages:
        after = _after_review if passage.kind is RoundKind.REVIEW else _after_labelling
        place = _decided(after(place, passage), place, passage)
    return place


def passages_of(
    name: str,
    info: RoundInfo | None,
    given: Iterable[Assignment],
    answers: Iterable[Answer],
    decisions: Iterable[Decision] = (),
) -> Iterator[tuple[str, Passage]]:
    """Clip by clip who was given it in a round and what they said.

    Args:
        name: of the round.
        info: of the round; None where it was only planned.
        given: what was given to whom in it.
        answers: what people said in it.
        decisions: what the lead said in it.
    """
    given_of, answers_of, decisions_of = defaultdict(list), defaultdict(list), defaultdict(list)
    for decision in decisions:
        decisions_of[decision.clip_id].append(decision)
    for item in given:
        given_of[item.clip_id].append(item)
    for answer in answers:
        answers_of[answer.clip_id].append(answer)
    for clip_id in sorted(given_of.keys() | answers_of.keys()):
        passage = Passage(
            round=name,
            kind=round_kind(name),
            is_closed=info is not None and info.closed_at is not None,
            is_pushed=info is not None,
            given=tuple(given_of[clip_id]),
            answers=tuple(sorted(answers_of[clip_id], key=lambda answer: answer.annotator)),
            decisions=tuple(decisions_of[clip_id]),
            projects={project.project_id: project.annotator for project in info.projects} if info else {},
        )
        yield clip_id, passage


def _after_labelling(place: Place, passage: Passage) -> Place:
    """The place of a clip after a draft or a fix."""
    finished, waiting = sorted(passage.finished, key=_preference), passage.waiting()
    authors = tuple(sorted({*place.authors, *(name for answer in passage.answers for name in _people(answer))}))
    place = replace(place, round=passage.round, authors=authors, waits_for=(), remarks=())
    would_drop = [f"{answer.annotator} would drop it" for answer in finished if answer.verdict is Verdict.DROP]
    if not passage.is_closed and (waiting or not finished):
        state = ClipState.DRAFT if passage.kind is RoundKind.DRAFT else ClipState.FIX
        remarks = (*_open_remarks(passage, waiting), *would_drop)
        return replace(place, state=state, waits_for=_names(passage, waiting), remarks=remarks)
    if not finished:
        return place
    labels, others = finished[0], tuple(finished[1:])
    return replace(place, state=ClipState.TO_REVIEW, labels=labels, others=others, remarks=tuple(would_drop))


def _after_review(place: Place, passage: Passage) -> Place:
    refused = {id(answer): why for answer in passage.finished if (why := _refusal(place, passage, answer))}
    finished = sorted(
        (answer for answer in passage.finished if id(answer) not in refused),
        key=lambda answer: (answer.updated_at, answer.annotator),
    )
    waiting = passage.waiting(finished)
    outcomes = {_outcome(passage, answer) for answer in finished}
    remarks = [*refused.values(), *_self_remarks(place, finished), *_changed_remarks(place, passage)]
    place = replace(place, round=passage.round, waits_for=(), remarks=(), is_own=False)
    if not waiting and len(outcomes) == 1:
        reviewers = tuple(dict.fromkeys([*place.reviewers, *(answer.annotator for answer in finished)]))
        authors, own = place.authors, [answer for answer in finished if _is_own(place, answer)]
        state = outcomes.pop()
        if state is ClipState.TO_REVIEW:  # what the reviewer drew is theirs: the next review is somebody else's
            authors = tuple(sorted({*authors, *_people(finished[-1])}))
            remarks.append(f"{finished[-1].annotator} made all masks that are left: somebody else has to review them")
        is_own = bool(own) and state in (ClipState.ACCEPTED, ClipState.DROPPED)
        place = replace(place, authors=authors, is_own=is_own)
        ended = replace(place, state=state, labels=finished[-1], others=(), reviewers=reviewers)
        return replace(ended, remarks=tuple(remarks))
    if passage.is_closed:
        return place
    remarks += _open_remarks(passage, waiting)
    if len(outcomes) > 1:
        said = ", ".join(f"{answer.annotator}: {answer.verdict}" for answer in finished)
        remarks.append(f"the reviewers disagree, one of them must change the verdict ({said})")
    return replace(place, state=ClipState.REVIEW, waits_for=_names(passage, waiting), remarks=tuple(remarks))


def _decided(place: Place, before: Place, passage: Passage) -> Place:
    """The place of a clip after what the lead said of it in a round."""
    told = tuple(decision.text() for decision in passage.decisions[-_REMARKS_OF_LEAD:])
    decision = next((item for item in reversed(passage.decisions) if item.kind != "comment"), None)
    if decision is None:
        return replace(place, remarks=(*place.remarks, *told))
    if decision.kind == "reopen":
        is_ended = place.state in (ClipState.ACCEPTED, ClipState.DROPPED)
        state = ClipState.TO_REVIEW if is_ended else place.state
        return replace(place, state=state, is_own=place.is_own and not is_ended, remarks=(*place.remarks, *told))
    answer = next((item for item in passage.answers if item.annotator == decision.of), None)
    if answer is None or decision.verdict is None:
        gone = f"what {decision.of} said is gone, so nothing is settled"
        return replace(place, remarks=(*place.remarks, *told, gone))
    state = _OUTCOMES[decision.verdict]
    reviewers = tuple(dict.fromkeys([*place.reviewers, answer.annotator]))
    return replace(
        place,
        state=state,
        labels=answer,
        others=(),
        waits_for=(),
        reviewers=reviewers,
        is_own=_is_own(before, answer) and state in (ClipState.ACCEPTED, ClipState.DROPPED),
        remarks=told,
    )


_REMARKS_OF_LEAD = 3


def _people(answer: Answer) -> set[str]:
    """Who said it, and who changed it after them."""
    return {answer.annotator, *([answer.updated_by] if answer.updated_by else [])}


def _is_own(place: Place, answer: Answer) -> bool:
    made_all = any(problem.kind == OWN_LABELS for problem in answer.problems)
    return made_all or not _people(answer).isdisjoint(place.authors)


def _allows_own(passage: Passage, answer: Answer) -> bool:
    given = passage.given_for(answer)
    return given is not None and given.allow_own


def _refusal(place: Place, passage: Passage, answer: Answer) -> str | None:
    """Why a verdict of a review does not count; None: it does."""
    own = sorted(_people(answer) & set(place.authors))
    if own and not _allows_own(passage, answer):
        return f"{own[0]} labelled it and said {answer.verdict}: it does not count (review start --allow-own)"
    asked = next((problem.message for problem in answer.problems if problem.kind in _ASKS_BACK), None)
    return f"{answer.annotator} said {answer.verdict}, {asked}" if asked is not None else None


def _outcome(passage: Passage, answer: Answer) -> ClipState:
    """What a verdict that counts makes of the clip."""
    assert answer.verdict is not None  # as `Passage.finished` gives them
    state = _OUTCOMES[answer.verdict]
    made_all = any(problem.kind == OWN_LABELS for problem in answer.problems)
    return ClipState.TO_REVIEW if made_all and not _allows_own(passage, answer) else state


def _preference(answer: Answer) -> tuple[bool, int, str]:
    """Which of two drafts goes to review: one with labels, then the one with fewer problems, then by name."""
    return answer.verdict is Verdict.DROP, len(answer.problems), answer.annotator


def _names(passage: Passage, waiting: Sequence[Assignment]) -> tuple[str, ...]:
    if waiting:
        return tuple(item.annotator or ANYONE for item in waiting)
    return tuple(answer.annotator for answer in passage.answers)


def _open_remarks(passage: Passage, waiting: Iterable[Assignment]) -> Iterator[str]:
    if not passage.is_pushed:
        yield "not on the server yet"
    for late in passage.answers:
        if late.is_finished and passage.is_taken_away(late):
            yield f"{late.annotator} said {late.verdict} after it was given to another: it does not count"
    for item in waiting:
        answer = passage.open_answer(item)
        if answer is not None:
            note = f": {answer.note}" if answer.note else ""
            yield f"{answer.annotator} said {answer.verdict or 'nothing yet'}{note}"


def _self_remarks(place: Place, finished: Iterable[Answer]) -> Iterator[str]:
    for answer in finished:
        for name in sorted(_people(answer) & set(place.authors)):
            yield f"{name} reviewed labels of their own"


def _changed_remarks(place: Place, passage: Passage) -> Iterator[str]:
    labels = place.labels
    for item in passage.given:
        is_same = labels is not None and (labels.round, labels.annotator) == (item.prev_round, item.prev_by)
        if labels is not None and is_same and item.prev_updated_at not in (None, labels.updated_at):
            yield f"{labels.annotator} changed the labels of {labels.round} after they were given to {passage.round}"
