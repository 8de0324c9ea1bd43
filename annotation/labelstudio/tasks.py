"""A clip as a task of Label Studio: what its page shows, which labels it offers, what it is filled with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypedDict
from urllib.parse import quote

from avis_data.annotation.labels.first_labels import flags_note
from avis_data.annotation.labels.records import ClipTask, RoundKind
from avis_data.annotation.labels.track_problems import split_identity
from avis_data.annotation.labelstudio.regions import Region, regions_from_tracks
from avis_data.records import Clip

__all__ = ["START", "NewTask", "headline", "task_labels", "task_of", "with_lines", "with_more_labels"]

START = "start"
"""Name of the prediction that new annotations are filled with."""

_NUMBERS_OF_ONE, _NUMBERS = 4, 2
"""How many of a category there are labels for: of the only one that the list names, and of any other."""
_SPARE = 1
"""Labels of a category that are shown beyond the highest number in use."""
_FIRST = 6
"""So many labels are shown where nothing says what a clip needs."""
_FOLLOWING = 8
"""So many more of a category the page has ready: each is shown when the number before it is chosen."""
_FOLLOWS, _OTHER = "avis-follows", "avis-other"
"""Marks of labels that the page does not show at first (`page.css`)."""
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
        "headline": headline(clip, start, round_name),
        "hint": _hint(start),
        "video": _media_url(f"{folder}/preview.mp4"),
        "frames": [_media_url(f"{folder}/frames/{frame:05d}.jpg") for frame in range(clip.num_seconds)],
        "labels": task_labels(
            clip.categories, [track.identity for track in start.tracks], categories, start.heard_categories
        ),
    }
    regions = regions_from_tracks(start.tracks, off_screen=start.off_screen, silence=start.silence)
    predictions: list[_Prediction] = [{"model_version": START, "result": regions}] if regions else []
    return {"data": data, "predictions": predictions}


def task_labels(
    listed: Sequence[str], in_use: Iterable[str], categories: Sequence[str], heard: Sequence[str] = ()
) -> list[dict[str, str]]:
    """The labels of one clip, each an identity: `person_1`, `person_2`, ...

    The page shows those of the categories that are listed, heard or in use (where there are none, the first six), the
    next number of such a category when the one before it is chosen, and all others when they are searched for.

    Args:
        listed: categories that the list of videos gives for the clip.
        in_use: identities that are there already.
        categories: of the set, in its order, by which colours are the same in every clip.
        heard: categories that a tagger hears, where there is one.
    """
    used, named = set(in_use), [*listed, *(category for category in heard if category not in listed)]
    highest = _highest(used)
    shown, following = [], set[str]()
    for category in [*categories, *sorted(highest.keys() - set(categories))]:
        at_least = _NUMBERS_OF_ONE if [category] == list(named) else _NUMBERS
        number = max(at_least, highest[category] + _SPARE if category in highest else 0)
        is_short = category in named or category in highest
        shown += [f"{category}_{k}" for k in range(1, number + is_short * _FOLLOWING + 1)]
        following |= {f"{category}_{k}" for k in range(number + 1, number + is_short * _FOLLOWING + 1)}
    shown += sorted(used - set(shown))
    short = set(named) | highest.keys()
    first = sorted(
        shown,
        key=lambda identity: (identity not in used, _category(identity) not in named, _category(identity) not in short),
    )
    num_shown = 0
    found = []
    for identity in first:
        is_shown = _category(identity) in short or (not short and num_shown < _FIRST)
        mark = None if identity in used else _FOLLOWS if identity in following else None if is_shown else _OTHER
        found.append(_label(identity, categories, mark=mark, index=num_shown))
        num_shown += mark is None
    return found


def with_more_labels(
    labels: Sequence[dict[str, str]], wanted: Mapping[str, int], in_use: Iterable[str], categories: Sequence[str]
) -> list[dict[str, str]]:
    """Labels with so many of some categories at least; those that are there keep their colours and keys.

    Args:
        labels: of a clip.
        wanted: category to how many.
        in_use: identities that people use by now: their labels are shown, and more of their categories.
        categories: of the set, in its order.
    """
    used = set(in_use)
    spare = {category: number + _SPARE for category, number in _highest(used).items()}
    found = list(labels)
    for category in [*wanted, *sorted(spare.keys() - wanted.keys())]:
        number = max(wanted.get(category, 0), spare.get(category, 0))
        shown = {f"{category}_{k}" for k in range(1, number + 1)}
        found = [_shown(label) if label["value"] in shown else label for label in found]
        there = {label["value"] for label in found}
        own = [place for place, label in enumerate(found) if _category(label["value"]) == category]
        place = own[-1] + 1 if own else len(found)
        new = [f"{category}_{k}" for k in range(1, number + _FOLLOWING + 1) if f"{category}_{k}" not in there]
        marks = [(identity, None if identity in shown else _FOLLOWS) for identity in new]
        found[place:place] = [_label(identity, categories, mark=mark) for identity, mark in marks]
    return [_shown(label) if label["value"] in used else label for label in found]


def _highest(identities: Iterable[str]) -> dict[str, int]:
    """The highest number of each category."""
    highest: dict[str, int] = {}
    for identity in identities:
        category, number = split_identity(identity)
        highest[category] = max(highest.get(category, 0), number or 0)
    return highest


def _category(identity: str) -> str:
    return split_identity(identity)[0]


def _shown(label: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in label.items() if key != "html"}


def _label(identity: str, categories: Sequence[str], *, mark: str | None, index: int | None = None) -> dict[str, str]:
    """A label as the page takes it. `index`: its place among those that are shown, which the first keys go to."""
    category, number = split_identity(identity)
    place = categories.index(category) if category in categories else len(categories)
    colour = _COLOURS[(place + 5 * ((number or 1) - 1)) % len(_COLOURS)]
    label = {"value": identity, "background": colour}
    if mark is not None:
        return label | {"html": f'<span class="{mark}">{escape(identity)}</span>'}
    return label | {"hotkey": _HOTKEYS[index]} if index is not None and index < len(_HOTKEYS) else label


def headline(clip: Clip, start: ClipTask, round_name: str) -> str:
    """What stands over a page: the round, the clip, and who had it before."""
    what = "sent back" if round_name.startswith(RoundKind.FIX) else "labelled"
    by = f" · {what} by {start.previous_annotator}" if start.previous_annotator else ""
    return f"{round_name} · clip {clip.clip_id} · {clip.num_seconds} s{by}"


def with_lines(hint: str, lines: Iterable[str]) -> str:
    """What a page tells, and below it those lines that it does not tell yet."""
    told = hint.split("\n")
    return "\n".join([*told, *(line for line in dict.fromkeys(lines) if line not in told)])


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
    if start.heard_speech and not any(track.intervals for track in start.tracks):
        spans = [(round(span.start_s) + 1, round(span.end_s)) for span in start.heard_speech]
        lines.append(f"Perhaps speech: pages {', '.join(_pages(first, last) for first, last in spans)}.")
    return "\n".join(lines)


def _pages(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def _guessed(start: ClipTask) -> str:
    return "speech and loudness" if any("speaks" in name for name in start.heard_by) else "loudness"


def _media_url(path: str) -> str:
    return f"/data/local-files/?d={quote(path)}"
