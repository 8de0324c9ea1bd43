"""Versions of an export: their order, and the page CHANGES.md that says what is new since the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.errors import AvisError, ConfigError, DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import canonical_json, read_json, sha256_text, write_text
from avis_data.paths import Workspace

if TYPE_CHECKING:
    from avis_data.pipelines.exports.inputs import Piece
    from avis_data.pipelines.exports.spec import Hashes, Statement

__all__ = ["CHANGES_PAGE", "ExportVersion", "Previous", "folder_of", "planned_version", "write_changes"]

CHANGES_PAGE = "CHANGES.md"
_NUMBER = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
_Row = tuple[str, str, int, int, str]
"""Of a clip: its split, a hash of its truth, numbers of tracks and masks, its categories."""


@dataclass(frozen=True, kw_only=True)
class Previous:
    """The version before, as its certificate says it."""

    name: str
    """Folder below `exports/`."""
    number: str
    key: str
    clips: Mapping[str, _Row] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ExportVersion:
    """Which version an export is."""

    number: str
    """`MAJOR.MINOR.PATCH`."""
    before: Previous | None
    """None: the first one."""

    def statement(self, splits: Mapping[str, Sequence[Piece]]) -> Statement:
        """What the certificate says of it; the next version is compared with this."""
        since = None if self.before is None else {"name": self.before.name, "version": self.before.number}
        return {
            "number": self.number,
            "since": since,
            "clips": {name: list(row) for name, row in _rows(splits).items()},
        }


def folder_of(base: str, number: str | None) -> str:
    """The folder below `exports/` of a version; of an export without one, `base` itself.

    Raises:
        ConfigError: if it is no version number.
    """
    if number is None:
        return base
    if not _NUMBER.fullmatch(number):
        raise ConfigError(f"--version {number!r:.40}: is no version", hint="three whole numbers: --version 1.0.0")
    return f"{base}-{number.replace('.', '-')}"


def planned_version(workspace: Workspace, base: str, number: str) -> ExportVersion:
    """What an export is going to be.

    Args:
        workspace: where its versions are.
        base: what the folders of all versions begin with.
        number: of the new one.

    Raises:
        ConfigError: if it is no version number, or a later version is there, so that this one would have no place.
    """
    there = sorted(_found(workspace, base), key=lambda other: _order(other.number))
    folder = workspace.exports / folder_of(base, number)
    later = [other for other in there if _order(other.number) > _order(number)]
    if later and not folder.exists():
        hint = f"take a later number than {later[-1].number}, or another --name"
        raise ConfigError(f"--version {number}: {later[-1].number} is there already ({later[-1].name})", hint=hint)
    earlier = [other for other in there if _order(other.number) < _order(number)]
    return ExportVersion(number=number, before=earlier[-1] if earlier else None)


def write_changes(
    workspace: Workspace, folder: Path, version: ExportVersion, splits: Mapping[str, Sequence[Piece]]
) -> Hashes:
    """Write CHANGES.md: mask by mask where both versions are in the YTVIS layout, else clip by clip."""
    title = f"{version.number}"
    if version.before is None:
        text = f"# {title}\n\nThe first version.\n"
    else:
        title += f", changes since {version.before.number}"
        text = _by_masks(workspace.exports / version.before.name, folder, title) or _by_clips(version, splits, title)
    write_text(folder / CHANGES_PAGE, text)
    return {CHANGES_PAGE: sha256_text(text)}


def _order(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))


def _found(workspace: Workspace, base: str) -> Iterator[Previous]:
    """The finished versions that are there; what is no version of this export, or is damaged, is passed over."""
    for path in sorted(workspace.exports.glob(f"{base}-*/{CERTIFICATE}")):
        try:
            said = read_json(path)
            version = said["version"]
            number, key = version["number"], said["key"]
            if not isinstance(key, str) or not _NUMBER.fullmatch(number):
                continue
            clips = {name: _row(row) for name, row in version["clips"].items()}
        except (AvisError, KeyError, TypeError, ValueError, AttributeError):
            continue
        if path.parent.name == folder_of(base, number):
            yield Previous(name=path.parent.name, number=number, key=key, clips=clips)


def _row(row: Sequence[object]) -> _Row:
    split, digest, tracks, masks, categories = row
    return str(split), str(digest), int(str(tracks)), int(str(masks)), str(categories)


def _rows(splits: Mapping[str, Sequence[Piece]]) -> dict[str, _Row]:
    return {piece.name: _row_of(split, piece) for split, pieces in splits.items() for piece in pieces}


def _row_of(split: str, piece: Piece) -> _Row:
    truth = [
        [
            track.track.category,
            [None if track.masks[t] is None else track.masks[t].counts for t in piece.frames],  # type: ignore[union-attr]  # asked just before
            [track.sounding[t] for t in piece.frames],
        ]
        for track in piece.tracks
    ]
    masks = sum(mask is not None for entry in truth for mask in entry[1])
    categories = ", ".join(sorted({track.track.category for track in piece.tracks}))
    return split, sha256_text(canonical_json(truth))[:16], len(truth), masks, categories


def _by_masks(old: Path, new: Path, title: str) -> str | None:
    from avis_data.versions.changes import compare_versions, read_version
    from avis_data.versions.text import markdown

    try:
        versions = read_version(old), read_version(new)
    except DataError:  # of another layout
        return None
    return markdown(compare_versions(*versions), title=title)


def _by_clips(version: ExportVersion, splits: Mapping[str, Sequence[Piece]], title: str) -> str:
    assert version.before is not None
    old, new = version.before.clips, _rows(splits)
    totals = [
        [len(rows), sum(row[2] for row in rows.values()), sum(row[3] for row in rows.values())] for rows in (old, new)
    ]
    lines = [f"# {title}", "", "| | before | now |", "|---|---:|---:|"]
    lines += [
        f"| {what} | {totals[0][n]:,} | {totals[1][n]:,} |" for n, what in enumerate(("clips", "tracks", "masks"))
    ]
    lines += ["", *_different(old, new), ""]
    return "\n".join(lines)


def _different(old: Mapping[str, _Row], new: Mapping[str, _Row]) -> Iterator[str]:
    for name in sorted(old.keys() | new):
        if name not in old:
            yield f"- `{name}`: added ({new[name][0]}, {new[name][2]} track(s))"
        elif name not in new:
            yield f"- `{name}`: removed ({old[name][0]}, {old[name][2]} track(s))"
        elif words := _words(old[name], new[name]):
            yield f"- `{name}`: {'; '.join(words)}"


def _words(old: _Row, new: _Row) -> list[str]:
    words = [] if old[0] == new[0] else [f"moved from {old[0]} to {new[0]}"]
    if old[1] != new[1]:
        words.append(f"labels changed: {old[2]} -> {new[2]} track(s), {old[3]} -> {new[3]} mask(s)")
    if old[4] != new[4]:
        words.append(f"categories: {old[4] or 'none'} -> {new[4] or 'none'}")
    return words
