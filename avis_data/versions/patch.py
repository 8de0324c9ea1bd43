"""The changes between two versions as one small file, which makes the new truth files out of the old ones.

Entries of `videos` and `annotations` that stayed nearly the same are written as the id of the old entry and what is
different, lists of one value per frame only where they differ. Hashes of both versions' content are in the file: what
is made is the very content of the new version, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avis_data.errors import DataError
from avis_data.format_numbers import CHANGES
from avis_data.io import atomic_dir, canonical_json, read_json, sha256_text, write_json
from avis_data.paths import checked_id
from avis_data.versions.changes import Changes
from avis_data.versions.version import Version

__all__ = ["apply_changes", "changes_json"]

_TABLES = ("videos", "annotations")
_Entry = dict[str, Any]
_Raw = dict[str, _Entry]
"""Split -> content of its file."""


def changes_json(old: Version, new: Version, changes: Changes) -> dict[str, Any]:
    """What `avis-data diff --save` writes.

    Args:
        old: the version that the file will be applied to.
        new: the version that it will make.
        changes: between the two.
    """
    before, after = (_raw(version.files) for version in (old, new))
    partners: dict[tuple[str, str, int], tuple[str, int]] = {}
    for video in changes.videos:
        if video.old_split is None or video.new_split is None or video.old_id is None or video.new_id is None:
            continue
        partners["videos", video.new_split, video.new_id] = (video.old_split, video.old_id)
        for track in video.tracks:
            if track.old_id is not None and track.new_id is not None:
                partners["annotations", video.new_split, track.new_id] = (video.old_split, track.old_id)
    known = {table: _by_id(before, table) for table in _TABLES}
    files = {}
    for split, content in after.items():
        files[split] = {key: None if key in _TABLES else value for key, value in content.items()}
        for table in _TABLES:
            if table in content:
                files[split][table] = [
                    _changed(entry, known[table], partners.get((table, split, entry["id"]))) for entry in content[table]
                ]
    return {
        "changes": CHANGES.number,
        "old": _hashes(before),
        "new": _hashes(after),
        "summary": {name: value for name, value in changes.as_dict().items() if name not in ("old", "new")},
        "files": files,
    }


def apply_changes(path: Path, old: Mapping[str, Path], out: Path) -> list[Path]:
    """Make the truth files of the new version.

    Args:
        path: what `avis-data diff --save` wrote.
        old: the truth files of the old version, by split.
        out: the folder that is made.

    Returns:
        The files in it.

    Raises:
        DataError: if the file is damaged or of another kind, or begins with another version than `old`.
    """
    found = read_json(path)
    if not isinstance(found, dict) or "changes" not in found:
        raise DataError(f"{path}: is no file of changes", hint="avis-data diff OLD NEW --save FILE writes one")
    CHANGES.check(found["changes"], path)
    before = _raw(old)
    if found.get("old") != _hashes(before):
        raise DataError(f"{path}: these changes begin with another version than the one given", hint=_which(found))
    try:
        made = _made(found["files"], {table: _by_id(before, table) for table in _TABLES})
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"{path}: files: not as avis-data diff writes them ({error!r:.80})") from None
    if found.get("new") != _hashes(made):
        raise DataError(f"{path}: is damaged: what it makes is not the new version that it names")
    with atomic_dir(out) as part:
        for split, content in made.items():
            write_json(part / f"{split}.json", content, indent=None)
    return [out / f"{split}.json" for split in made]


def _raw(files: Mapping[str, Path]) -> _Raw:
    return {split: read_json(file) for split, file in files.items()}


def _hashes(content: _Raw) -> dict[str, str]:
    return {split: sha256_text(canonical_json(file)) for split, file in content.items()}


def _by_id(content: _Raw, table: str) -> dict[tuple[str, int], _Entry]:
    return {(split, entry["id"]): entry for split, file in content.items() for entry in file.get(table) or []}


def _changed(entry: _Entry, known: Mapping[tuple[str, int], _Entry], partner: tuple[str, int] | None) -> _Entry:
    """An entry of the new version, told by what is different from its partner in the old one."""
    if partner is None:
        return {"whole": entry}
    old = known[partner]
    told: _Entry = {"from": list(partner)}
    fields, places = {}, {}
    for key, value in entry.items():
        if key in old and canonical_json(old[key]) == canonical_json(value):
            continue
        before = old.get(key)
        if isinstance(value, list) and isinstance(before, list) and len(value) == len(before):
            places[key] = {
                str(n): item
                for n, item in enumerate(value)
                if canonical_json(item) != canonical_json(before[n])  # 1 and 1.0 and true are different texts
            }
        else:
            fields[key] = value
    gone = [key for key in old if key not in entry]
    return told | {name: part for name, part in (("set", fields), ("at", places), ("drop", gone)) if part}


def _made(files: Mapping[str, _Entry], known: Mapping[str, Mapping[tuple[str, int], _Entry]]) -> _Raw:
    made = {}
    for split, told in files.items():
        made[checked_id(split)] = {
            key: [_entry(item, known[key]) for item in value] if key in _TABLES and value is not None else value
            for key, value in told.items()
        }
    return made


def _entry(told: _Entry, known: Mapping[tuple[str, int], _Entry]) -> _Entry:
    if "whole" in told:
        return dict(told["whole"])
    split, number = told["from"]
    entry = {key: value for key, value in known[split, number].items() if key not in told.get("drop", [])}
    entry |= told.get("set", {})
    for key, places in told.get("at", {}).items():
        values = list(entry[key])
        for place, value in places.items():
            values[int(place)] = value
        entry[key] = values
    return entry


def _which(found: Mapping[str, Any]) -> str:
    old = found.get("old")
    named = ", ".join(f"{split} {str(digest)[:12]}" for split, digest in old.items()) if isinstance(old, dict) else ""
    return f"content hashes of the version that it begins with: {named or 'not said'}"
