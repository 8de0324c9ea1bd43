"""A clip as a task of Label Studio: what its page shows, which labels it offers, what it is filled with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict
from urllib.parse import quote

from avis_data.annotation.labels.first_labels import flags_note
from avis_data.annotation.labels.records import ClipTask, RoundKind
from avis_data.annotation.labels.track_problems import split_identity
from avis_data.annotation.labelstudio.regions import Region, regions_from_tracks
from avis_data.records import Clip

__all__ = ["START", "NewTask", "task_labels", "task_of", "with_more_labels"]

START = "start"
"""Name of the prediction that new annotations are filled with."""

_NUMBERS_OF_NAMED, _NUMBERS_OF_OTHERS = 4, 2
"""How many of a category there are labels for: of those that the list names, and where it names none."""
_SPARE = 2
"""Labels of a category beyond the highest number in use."""
_COLOURS = (
    "#1E88E5 #D81B60 #43A047 #FB8C00 #8E24AA #00ACC1 #F4511E #7CB342 #3949AB #C0CA33 #6D4C41 #00897B #E53935 #5E35B1"
    " #FDD835 #039BE5"
).split()
_HOTKEYS = "12345678"  # 9 and 0 are taken by the marks that every clip has


class _TaskData(TypedDict):
    """What a page shows (`configuration.py`) and what a click is answered from (`serve/click_request.py`)."""

    clip_id: str
    round: str
    media: dict[str, str] | None
    num_seconds: int
    width: int
    height: int
    headline: str
    hint: str
    video: str
    frames: list[str]
    labels: list[dict[str, str]]


class _Prediction(TypedDict):
    """What a page is filled with."""

    model_version: str
    result: list[Region]


class NewTask(TypedDict):
    """What the server is sent for one clip."""

    data: _TaskData
    predictions: list[_Prediction]


def task_of(clip: Clip, start: ClipTask, *, round_name: str, categories: Sequence[str], media_prefix: str) -> NewTask:
    """A clip as a task.

    Args:
        clip: from the manifest.
        start: what the page is filled with.
        round_name: `draft`, `review`, ...
        categories: all of the category set, in its order.
        media_prefix: from the root of the server's local files to the workspace, "" or `name/`.
    """
    folder = f"{media_prefix}clips/{clip.clip_id}"
    data: _TaskData = {
        "clip_id": clip.clip_id,
        "round": round_name,
        "media": start.media.model_dump() if start.media is not None else None,
        "num_seconds": clip.num_seconds,
        "width": clip.width,
        "height": clip.height,
        "headline": _headline(clip, start, round_name),
        "hint": _hint(start),
        "video": _media_url(f"{folder}/preview.mp4"),
        "frames": [_media_url(f"{folder}/frames/{frame:05d}.jpg") for frame in range(clip.num_seconds)],
        "labels": task_labels(clip.categories, [track.identity for track in start.tracks], categories),
    }
    regions = regions_from_tracks(start.tracks, off_screen=start.off_screen, silence=start.silence)
    predictions: list[_Prediction] = [{"model_version": START, "result": regions}] if regions else []
    return {"data": data, "predictions": predictions}


def task_labels(named: Sequence[str], in_use: Iterable[str], categories: Sequence[str]) -> list[dict[str, str]]:
    """The labels of one clip, each an identity: `person_1`, `person_2`, ...

    Args:
        named: categories that the list of videos gives for the clip; none: all of the set are offered.
        in_use: identities that are there already.
        categories: of the set, in its order, by which colours are the same in every clip.
    """
    used = set(in_use)
    offered = [name for name in categories if name in set(named)] or list(categories)
    highest: dict[str, int] = {}
    for identity in used:
        category, number = split_identity(identity)
        highest[category] = max(highest.get(category, 0), number or 0)
    identities = []
    for category in [*categories, *sorted(highest.keys() - set(categories))]:
        at_least = 0 if category not in offered else _NUMBERS_OF_NAMED if named else _NUMBERS_OF_OTHERS
        number = max(at_least, highest[category] + _SPARE if category in highest else 0)
        identities += [f"{category}_{k}" for k in range(1, number + 1)]
    identities += sorted(used - set(identities))
    first = sorted(identities, key=lambda identity: (identity not in used, split_identity(identity)[0] not in named))
    return [_label(identity, index, categories) for index, identity in enumerate(first)]


def with_more_labels(
    labels: Sequence[dict[str, str]], wanted: Mapping[str, int], categories: Sequence[str]
) -> list[dict[str, str]]:
    """Labels with so many of some categories at least; those that are there stay as they are, keys included.

    Args:
        labels: of a clip.
        wanted: category to how many.
        categories: of the set, in its order.
    """
    found = list(labels)
    for category, number in wanted.items():
        there = {label["value"] for label in found}
        own = [place for place, label in enumerate(found) if split_identity(label["value"])[0] == category]
        place = own[-1] + 1 if own else len(found)
        new = [f"{category}_{k}" for k in range(1, number + 1) if f"{category}_{k}" not in there]
        found[place:place] = [_label(identity, len(_HOTKEYS), categories) for identity in new]
    return found


def _label(identity: str, index: int, categories: Sequence[str]) -> dict[str, str]:
    category, number = split_identity(identity)
    place = categories.index(category) if category in categories else len(categories)
    colour = _COLOURS[(place + 5 * ((number or 1) - 1)) % len(_COLOURS)]
    label = {"value": identity, "background": colour}
    return label | {"hotkey": _HOTKEYS[index]} if index < len(_HOTKEYS) else label


def _headline(clip: Clip, start: ClipTask, round_name: str) -> str:
    what = "sent back" if round_name.startswith(RoundKind.FIX) else "labelled"
    by = f" · {what} by {start.previous_annotator}" if start.previous_annotator else ""
    return f"{round_name} · clip {clip.clip_id} · {clip.num_seconds} s{by}"


def _hint(start: ClipTask) -> str:
    lines = []
    if start.flags:
        lines.append(flags_note(start.flags))
    if start.note:
        lines.append(f"Note: {start.note}")
    if any(track.masks for track in start.tracks):
        lines = lines or ["Nothing was flagged."]
    elif start.tracks and not lines:
        lines.append(f"Spans of sound are guesses from {_guessed(start)}: check them, and outline who sounds.")
    elif not lines:
        lines.append("Nothing is known yet: click each object that sounds.")
    if start.heard_categories:
        lines.append(f"Perhaps heard: {', '.join(start.heard_categories)}.")
    return "\n".join(lines)


def _guessed(start: ClipTask) -> str:
    return "speech and loudness" if any("speaks" in name for name in start.heard_by) else "loudness"


def _media_url(path: str) -> str:
    return f"/data/local-files/?d={quote(path)}"
