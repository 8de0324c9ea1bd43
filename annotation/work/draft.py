"""The first round: which clips, by whom, which of them twice, and what is known of each before anyone looks."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from avis_data.annotation.labels.assignments import Assignment, read_assignments
from avis_data.annotation.labels.prefill import ClipTask
from avis_data.annotation.labels.records import Interval, LabelledMask, LabelledTrack, MaskOrigin, PreLabels, RoundKind
from avis_data.annotation.labels.rounds import ClipState, places
from avis_data.annotation.labels.states import heard_seconds, intervals_from_seconds, states
from avis_data.annotation.labels.store import read_prelabels, round_name, rounds
from avis_data.categories import category_set
from avis_data.errors import ConfigError
from avis_data.features.activity import clip_activity
from avis_data.manifest import read_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.recipe import load_recipe
from avis_data.records import Clip, MaskRow, State

__all__ = [
    "assign",
    "check_rate",
    "chosen_clips",
    "current_draft",
    "first_labels",
    "imported_tracks",
    "num_twice",
    "plan_draft",
]


def current_draft(workspace: Workspace) -> str:
    """The draft round that clips are given out in: the first that is not closed; `draft`, as long as it is open."""
    closed = {info.name for info in rounds(workspace) if info.closed_at is not None}
    number = 1
    while (name := round_name(RoundKind.DRAFT, number)) in closed:
        number += 1
    return name


def plan_draft(
    workspace: Workspace, clip_ids: Sequence[str], *, annotators: Sequence[str], double: float, seed: int
) -> list[Assignment]:
    """Who labels which clip in the current draft round; clips that were given to somebody before stay theirs.

    A clip that was labelled in an earlier draft round is not given out again.

    Args:
        workspace: whose assignments count.
        clip_ids: to be labelled.
        annotators: e-mails; none: anyone.
        double: share of the clips, 0 to 1, that two of them label, neither knowing of the other.
        seed: of the choice.

    Raises:
        ConfigError: if clips are to be labelled twice and there are not two annotators.
    """
    before: dict[str, list[Assignment]] = {}
    for item in read_assignments(workspace, current_draft(workspace)):
        before.setdefault(item.clip_id, []).append(item)
    known = {clip_id: tuple(item.annotator for item in items) for clip_id, items in before.items()}
    standing = {place.clip_id: place.state for place in places(workspace)}
    wanted = [name for name in clip_ids if name in known or standing[name] is ClipState.UNLABELLED]
    at_work = [name for name in known if standing.get(name) is ClipState.DRAFT]
    given = assign(wanted, annotators=annotators, double=double, seed=seed, known=known, may_be_twice=at_work)
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
) -> dict[str, tuple[str | None, ...]]:
    """Clips to people: everybody gets as many as the others (to one), and the choice is the same on every machine.

    Args:
        clip_ids: to be labelled.
        annotators: e-mails; none: anyone.
        double: share of the clips that two people label.
        seed: of the choice.
        known: who has which clip already; it stays theirs.
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
    load = Counter(person for clip_id in wanted for person in known.get(clip_id, ()))
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


def first_labels(workspace: Workspace, clip: Clip) -> ClipTask:
    """What is known of a clip: masks of propagation, else of an imported file, and spans suggested from loudness.

    A track whose source says when it sounds keeps that; the others get the seconds in which they are seen and
    something is heard. Where no mask is known and the list names one category only, its first object gets all seconds
    in which something is heard: with several, loudness does not tell whose they are.
    """
    spans = clip_activity(workspace.clip_dir(clip.clip_id) / "audio.wav")
    active = [Interval(start_s=start_s, end_s=end_s) for start_s, end_s in spans]
    any_sound = heard_seconds(active, clip.num_seconds, share=0.0)
    found = read_prelabels(workspace, clip.clip_id)
    tracks = found.tracks if found is not None else imported_tracks(workspace, clip)
    if not tracks:
        tracks = _only_object(workspace, clip, active)
    return ClipTask(
        clip_id=clip.clip_id,
        tracks=tuple(_with_spans(track, active, clip.num_seconds) for track in tracks),
        silence=intervals_from_seconds([not heard for heard in any_sound]),
        flags=found.flags if found is not None else (),
        note=_note(found),
    )


def chosen_clips(workspace: Workspace, names: Sequence[str] | None) -> dict[str, Clip]:
    """The clips of the manifest with these ids, or all, by id.

    Raises:
        ConfigError: if one is not there, or there are none at all.
    """
    check_rate(workspace)
    there = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    missing = [name for name in names or () if name not in there]
    if missing:
        raise ConfigError(f"no clip {missing[0]!r} in the manifest ({len(missing)} not found)", hint="avis-data status")
    if not there:
        raise ConfigError(f"{workspace.root}: no clips yet", hint="avis-data run")
    return there if names is None else {name: there[name] for name in sorted(set(names))}


def check_rate(workspace: Workspace) -> None:
    """Raise ConfigError if the dataset has not one still a second: the page's timeline counts whole seconds."""
    fps = load_recipe(workspace).extract.fps
    if fps != 1:
        raise ConfigError(
            f"labelling goes second by second, this dataset has {fps:g} stills a second (extract.fps in recipe.yaml)",
            hint="avis-data import --format ytvis TRUTH takes truth that was made elsewhere",
        )


def _note(found: PreLabels | None) -> str:
    return f"masks from {found.source}" if found is not None and found.tracks else ""


def _only_object(workspace: Workspace, clip: Clip, active: Sequence[Interval]) -> tuple[LabelledTrack, ...]:
    known = {category.name for category in category_set(load_recipe(workspace).categories).categories}
    intervals = intervals_from_seconds(heard_seconds(active, clip.num_seconds))
    if len(clip.categories) != 1 or clip.categories[0] not in known or not intervals:
        return ()
    (category,) = clip.categories
    found = states(intervals, (), clip.num_seconds)
    return (LabelledTrack(identity=f"{category}_1", category=category, intervals=intervals, states=found, masks=()),)


def _with_spans(track: LabelledTrack, active: Sequence[Interval], num_seconds: int) -> LabelledTrack:
    if track.intervals:
        return track
    heard = heard_seconds(active, num_seconds)
    seen = {mask.second for mask in track.masks}
    intervals = intervals_from_seconds([heard[second] and second in seen for second in range(num_seconds)])
    return track.model_copy(update={"intervals": intervals, "states": states(intervals, seen, num_seconds)})


def imported_tracks(workspace: Workspace, clip: Clip) -> tuple[LabelledTrack, ...]:
    """Tracks of an imported file, numbered within their category by their first second."""
    of_clip = (row for _, rows in read_masks(workspace.masks, [clip.clip_id]) for row in rows)
    rows = [row for row in of_clip if row.counts is not None and row.round == "import"]
    by_track: dict[str, list[MaskRow]] = {}
    for row in rows:
        by_track.setdefault(row.track_id, []).append(row)
    numbers: Counter[str] = Counter()
    tracks = []
    for track_rows in sorted(by_track.values(), key=lambda rows: (rows[0].second, rows[0].track_id)):
        category = track_rows[0].category
        numbers[category] += 1
        tracks.append(_track(f"{category}_{numbers[category]}", track_rows, clip.num_seconds))
    return tuple(tracks)


def _track(identity: str, rows: Sequence[MaskRow], num_seconds: int) -> LabelledTrack:
    sounding = {row.second for row in rows if row.state is State.SOUNDING}
    intervals = intervals_from_seconds([second in sounding for second in range(num_seconds)])
    masks = tuple(LabelledMask(**_mask(row)) for row in rows)
    return LabelledTrack(
        identity=identity,
        category=rows[0].category,
        intervals=intervals,
        states=states(intervals, {row.second for row in rows}, num_seconds),
        masks=masks,
    )


def _mask(row: MaskRow) -> dict[str, Any]:
    place = {name: getattr(row, name) for name in ("second", "height", "width", "counts", "annotator")}
    return place | {"origin": MaskOrigin.IMPORTED}
