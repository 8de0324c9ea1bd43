"""A division that somebody wrote down: CSV or JSON of clip (or source video) to split."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.io import read_json
from avis_data.splits.assign import SPLIT_NAMES, Assignment, SplitClip

__all__ = ["SplitEntry", "assign_from_entries", "read_split_file"]

_NAMES = SPLIT_NAMES[3]
_ID_FIELDS = ("clip_id", "video_id")


@dataclass(frozen=True, kw_only=True)
class SplitEntry:
    """One line of a split file."""

    where: str
    """File and line, or JSON key, for messages."""
    id: str
    field: str | None
    """`clip_id` or `video_id`; None where the file does not say: then a clip, else a source video of that id."""
    split: str


def read_split_file(path: Path) -> list[SplitEntry]:
    """Read a split file.

    CSV: a header with `clip_id,split` or `video_id,split` (other columns are ignored). JSON: a list of such objects,
    `{"<id>": "train", ...}`, or `{"train": ["<id>", ...], "val": [...]}`.

    What the entries say is looked at by `assign_from_entries`, all at once.

    Raises:
        DataError: if the file is missing, unreadable or has another shape.
    """
    entries = _from_json(path) if path.suffix.lower() == ".json" else _from_csv(path)
    if not entries:
        raise DataError(f"{path}: holds no entries", hint="a CSV with the header clip_id,split and one line per clip")
    return entries


def assign_from_entries(clips: Sequence[SplitClip], entries: Sequence[SplitEntry], *, origin: str) -> Assignment:
    """Give every clip the split that the entries name.

    Args:
        clips: all clips to divide.
        entries: of a split file, or of the list's own column.
        origin: what to call the entries in messages and in the certificate.

    Raises:
        ProblemsError: with every entry that lacks an id or names no split or nothing known, every clip named twice or
            not at all, and every group (clips of one source) that would be divided.
    """
    by_clip = {clip.clip_id: [clip.clip_id] for clip in clips}
    by_video: dict[str, list[str]] = {}
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        by_video.setdefault(clip.video_id, []).append(clip.clip_id)

    problems: list[Problem] = []
    split_of: dict[str, str] = {}
    said_at: dict[str, str] = {}
    for entry in entries:
        named = _named(entry, by_clip, by_video)
        problems += _entry_problems(entry, known=bool(named))
        for clip_id in named:
            if clip_id in split_of:
                message = f"clip {clip_id!r} was already given {split_of[clip_id]!r} at {said_at[clip_id]}"
                problems.append(Problem(entry.where, "split", message))
            else:
                split_of[clip_id], said_at[clip_id] = entry.split, entry.where
    missing = [clip.clip_id for clip in clips if clip.clip_id not in split_of]
    problems += [Problem(origin, "clip_id", f"{clip_id!r} is not named") for clip_id in sorted(missing)]
    problems += _crossing(clips, split_of, origin)
    if problems:
        raise ProblemsError(f"{origin}: {len(problems)} problem(s) with the division", problems)
    used = set(split_of.values())
    names = _NAMES if "test" in used else SPLIT_NAMES[2]
    ordered = tuple(sorted(clips, key=lambda clip: clip.clip_id))
    return Assignment(request=origin, seed=None, names=names, clips=ordered, split_of=split_of)


def _entry_problems(entry: SplitEntry, *, known: bool) -> Iterator[Problem]:
    if entry.split not in _NAMES:
        yield Problem(entry.where, "split", f"{entry.split!r} is none of {', '.join(_NAMES)}")
    if not entry.id:
        yield Problem(entry.where, entry.field or "id", "is empty")
    elif not known:
        yield Problem(entry.where, entry.field or "id", f"{entry.id!r} is no clip of this export")


def _named(entry: SplitEntry, by_clip: dict[str, list[str]], by_video: dict[str, list[str]]) -> list[str]:
    if entry.field == "clip_id":
        return by_clip.get(entry.id, [])
    if entry.field == "video_id":
        return by_video.get(entry.id, [])
    return by_clip.get(entry.id) or by_video.get(entry.id, [])


def _crossing(clips: Sequence[SplitClip], split_of: dict[str, str], origin: str) -> list[Problem]:
    sides: dict[str, dict[str, str]] = {}
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        if split_of.get(clip.clip_id) in _NAMES:
            sides.setdefault(clip.group, {}).setdefault(split_of[clip.clip_id], clip.clip_id)
    return [
        Problem(
            origin, "split", f"source {group!r} would be divided: " + ", ".join(f"{c} in {s}" for s, c in of.items())
        )
        for group, of in sorted(sides.items())
        if len(of) > 1
    ]


def _from_csv(path: Path) -> list[SplitEntry]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = [name.strip() for name in rows.fieldnames or []]
    rows.fieldnames = header
    field = next((name for name in _ID_FIELDS if name in header), None)
    if field is None or "split" not in header:
        raise DataError(f"{path}: the header must have clip_id (or video_id) and split, is {','.join(header)!r}")
    try:
        return [
            SplitEntry(
                where=f"{path}:{rows.line_num}", id=(row[field] or "").strip(), field=field, split=_name(row["split"])
            )
            for row in rows
        ]
    except csv.Error as error:
        raise DataError(f"{path}:{rows.line_num}: not CSV ({error})") from None


def _from_json(path: Path) -> list[SplitEntry]:
    value = read_json(path)
    if isinstance(value, dict) and value and all(isinstance(ids, list) for ids in value.values()):
        return [
            SplitEntry(where=f"{path}: {split}[{index}]", id=str(name), field=None, split=_name(split))
            for split, ids in value.items()
            for index, name in enumerate(ids)
        ]
    if isinstance(value, dict):
        return [SplitEntry(where=f"{path}: {name}", id=name, field=None, split=_name(of)) for name, of in value.items()]
    if isinstance(value, list):
        return [_from_object(path, index, item) for index, item in enumerate(value)]
    raise DataError(f'{path}: must be a list of objects, {{"id": "split"}} or {{"split": ["id"]}}')


def _from_object(path: Path, index: int, item: Any) -> SplitEntry:
    field = next((name for name in _ID_FIELDS if isinstance(item, dict) and name in item), None)
    if field is None or "split" not in item:
        raise DataError(f"{path}: [{index}]: must be an object with clip_id (or video_id) and split")
    return SplitEntry(where=f"{path}: [{index}]", id=str(item[field]), field=field, split=_name(item["split"]))


def _name(value: Any) -> str:
    return str(value or "").strip().lower()
