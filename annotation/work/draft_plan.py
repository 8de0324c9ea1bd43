"""The first round: which clips, by whom, and which of them twice."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from avis_data.annotation.labels.records import Assignment, RoundKind
from avis_data.annotation.labels.rounds import ClipState, round_name
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import ConfigError

__all__ = ["assign", "current_draft", "num_twice", "plan_draft"]


def current_draft(labels: WorkspaceLabels) -> str:
    """The draft round that clips are given out in: the first that is not closed; `draft`, as long as it is open."""
    closed, number = labels.closed_rounds(), 1
    while (name := round_name(RoundKind.DRAFT, number)) in closed:
        number += 1
    return name


def plan_draft(
    labels: WorkspaceLabels, clip_ids: Sequence[str], *, annotators: Sequence[str], double: float, seed: int
) -> list[Assignment]:
    """Who labels which clip in the current draft round; clips that were given to somebody before stay theirs.

    A clip that was labelled in an earlier draft round is not given out again.

    Args:
        labels: whose assignments count.
        clip_ids: to be labelled.
        annotators: e-mails; none: anyone.
        double: share of the clips, 0 to 1, that two of them label, neither knowing of the other.
        seed: of the choice.

    Raises:
        ConfigError: if clips are to be labelled twice and there are not two annotators.
    """
    before: dict[str, list[Assignment]] = {}
    for item in labels.assignments(current_draft(labels)):
        before.setdefault(item.clip_id, []).append(item)
    known = {clip_id: tuple(item.annotator for item in items) for clip_id, items in before.items()}
    standing = {place.clip_id: place.state for place in labels.places()}
    wanted = [name for name in clip_ids if name in known or standing[name] is ClipState.UNLABELLED]
    at_work = [name for name in known if standing.get(name) is ClipState.DRAFT]
    open_work = Counter(name for place in labels.places() for name in place.waits_for)
    given = assign(
        wanted,
        annotators=annotators,
        double=double,
        seed=seed,
        known=known,
        may_be_twice=at_work,
        open_work=open_work,
    )
    return [
        next((old for old in before.get(clip_id, ()) if old.annotator == annotator), None)
        or Assignment(clip_id=clip_id, annotator=annotator)
        for clip_id, people in given.items()
        for annotator in people
    ]


def assign(
    clip_ids: Iterable[str],
    *,
    annotators: Sequence[str],
    double: float,
    seed: int,
    known: Mapping[str, Sequence[str | None]],
    may_be_twice: Collection[str] = (),
    open_work: Mapping[str, int] | None = None,
) -> dict[str, tuple[str | None, ...]]:
    """Clips to people: all have as much open work as the others (to one), and the choice is the same on every machine.

    Args:
        clip_ids: to be labelled.
        annotators: e-mails; none: anyone.
        double: share of the clips that two people label.
        seed: of the choice.
        known: who has which clip already; it stays theirs.
        open_work: how many clips wait for whom now; None: all that are known.
        may_be_twice: of these, clips that a second person may get where new clips do not make up the share.

    Returns:
        By clip id, sorted: one person, or two for the clips that are labelled twice, or None for anyone.
    """
    people = list(dict.fromkeys(annotators))
    if double > 0 and len(people) < 2:
        raise ConfigError("labelling clips twice takes two annotators", hint="--annotators a@example.com,b@example.com")
    wanted = sorted(set(clip_ids))
    shuffled = sorted(wanted, key=lambda clip_id: hashlib.sha256(f"{seed}:{clip_id}".encode()).digest())
    fresh = [clip_id for clip_id in shuffled if clip_id not in known]
    twice_before = sum(len(known[clip_id]) > 1 for clip_id in wanted if clip_id in known)
    more_twice = max(0, num_twice(double, len(wanted)) - twice_before)
    load: Counter[str | None] = Counter()
    if open_work is None:
        load.update(person for clip_id in wanted for person in known.get(clip_id, ()))
    else:
        load.update(dict(open_work))
    given: dict[str, tuple[str | None, ...]] = {name: tuple(known[name]) for name in wanted if name in known}
    for index, clip_id in enumerate(fresh):
        chosen = _least_loaded(people, load)[: 2 if index < more_twice else 1]
        load.update(chosen)
        given[clip_id] = tuple(chosen) or (None,)
    single = [name for name in shuffled if name in may_be_twice and len(given[name]) == 1 and given[name] != (None,)]
    left = max(0, more_twice - len(fresh))
    for clip_id in single:
        second = [person for person in _least_loaded(people, load) if person not in given[clip_id]][: min(1, left)]
        load.update(second)
        left -= len(second)
        given[clip_id] = (*given[clip_id], *second)
    return {clip_id: given[clip_id] for clip_id in wanted}


def num_twice(double: float, num_clips: int) -> int:
    """How many clips are labelled twice: the share, rounded up, so that few clips have one too."""
    return math.ceil(double * num_clips - 1e-9)


def _least_loaded(people: Sequence[str], load: Mapping[str | None, int]) -> list[str]:
    return sorted(people, key=lambda person: (load.get(person, 0), people.index(person)))
