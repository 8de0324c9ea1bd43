"""Versions of an export: their order, and the page CHANGES.md that says what is new since the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from avis_data.errors import AvisError, ConfigError, DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import read_json, sha256_text, write_text

__all__ = [
    "CHANGES_PAGE",
    "ClipTruth",
    "ExportVersion",
    "Previous",
    "folder_of",
    "next_number",
    "planned_version",
    "write_changes",
]

CHANGES_PAGE = "CHANGES.md"
_NUMBER = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")


class ClipTruth(NamedTuple):
    """What a version keeps of the truth of a clip, so that the next one can be compared with it in any format."""

    split: str
    digest: str
    """Of categories, masks and sounding."""
    tracks: int
    masks: int
    categories: str
    """Names, with commas."""


@dataclass(frozen=True, kw_only=True)
class Previous:
    """The version before, as its certificate says it."""

    name: str
    """Folder below `exports/`."""
    number: str
    key: str
    clips: Mapping[str, ClipTruth] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ExportVersion:
    """Which version an export is."""

    number: str
    """`MAJOR.MINOR.PATCH`."""
    before: Previous | None
    """None: the first one, or one that takes the place of another."""
    opening: str = "The first version."
    """What the page of changes says where there is none before."""

    def statement(self, clips: Mapping[str, ClipTruth]) -> dict[str, object]:
        """What the certificate says of it; the next version is compared with this."""
        since = None if self.before is None else {"name": self.before.name, "version": self.before.number}
        return {"number": self.number, "since": since, "clips": {name: list(clip) for name, clip in clips.items()}}


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


def next_number(exports: Path, base: str, number: str) -> str:
    """The number of a version that takes the place of `number`: one patch more; where later ones are there, its own."""
    if any(_order(other.number) > _order(number) for other in _found(exports, base)):
        return number
    major, minor, patch = _order(number)
    return f"{major}.{minor}.{patch + 1}"


def planned_version(exports: Path, base: str, number: str) -> ExportVersion:
    """What an export is going to be.

    Args:
        exports: the folder of all versions.
        base: what the names of their folders begin with.
        number: of the new one.

    Raises:
        ConfigError: if it is no version number, or a later version is there, so that this one would have no place.
    """
    folder = exports / folder_of(base, number)
    there = sorted(_found(exports, base), key=lambda other: _order(other.number))
    later = [other for other in there if _order(other.number) > _order(number)]
    if later and not folder.exists():
        hint = f"take a later number than {later[-1].number}, or another --name"
        raise ConfigError(f"--version {number}: {later[-1].number} is there already ({later[-1].name})", hint=hint)
    earlier = [other for other in there if _order(other.number) < _order(number)]
    return ExportVersion(number=number, before=earlier[-1] if earlier else None)


def write_changes(
    folder: Path, version: ExportVersion, clips: Mapping[str, ClipTruth], *, exports: Path
) -> dict[str, str]:
    """Write CHANGES.md: mask by mask where both versions are in the YTVIS layout, else clip by clip.

    Args:
        folder: where the new version is written.
        version: which it is.
        clips: its truth.
        exports: where the version before is.

    Returns:
        The file's name and hash.
    """
    if version.before is None:
        text = f"# {version.number}\n\n{version.opening}\n"
    else:
        title = f"{version.number}, changes since {version.before.number}"
        by_masks = _by_masks(exports / version.before.name, folder, title)
        text = by_masks or _by_clips(version.before.clips, clips, title)
    write_text(folder / CHANGES_PAGE, text)
    return {CHANGES_PAGE: sha256_text(text)}


def _order(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))


def _found(exports: Path, base: str) -> Iterator[Previous]:
    """The finished versions that are there; what is no version of this export, or is damaged, is passed over."""
    for path in sorted(exports.glob(f"{base}-*/{CERTIFICATE}")):
        try:
            said = read_json(path)
            version = said["version"]
            number, key = version["number"], said["key"]
            if not isinstance(key, str) or not _NUMBER.fullmatch(number):
                continue
            clips = {name: _clip(row) for name, row in version["clips"].items()}
        except (AvisError, KeyError, TypeError, ValueError, AttributeError):
            continue
        if path.parent.name == folder_of(base, number):
            yield Previous(name=path.parent.name, number=number, key=key, clips=clips)


def _clip(row: Sequence[object]) -> ClipTruth:
    split, digest, tracks, masks, categories = row
    return ClipTruth(str(split), str(digest), int(str(tracks)), int(str(masks)), str(categories))


def _by_masks(old: Path, new: Path, title: str) -> str | None:
    from avis_data.versions.changes import compare_versions
    from avis_data.versions.text import markdown
    from avis_data.versions.version import read_version

    try:
        changes = compare_versions(read_version(old), read_version(new))
    except DataError:  # of another layout
        return None
    return markdown(changes, title=title)


def _by_clips(old: Mapping[str, ClipTruth], new: Mapping[str, ClipTruth], title: str) -> str:
    before, now = (
        (len(side), sum(clip.tracks for clip in side.values()), sum(clip.masks for clip in side.values()))
        for side in (old, new)
    )
    lines = [f"# {title}", "", "| | before | now |", "|---|---:|---:|"]
    lines += [f"| {what} | {before[n]:,} | {now[n]:,} |" for n, what in enumerate(("clips", "tracks", "masks"))]
    lines += ["", *_different(old, new), ""]
    return "\n".join(lines)


def _different(old: Mapping[str, ClipTruth], new: Mapping[str, ClipTruth]) -> Iterator[str]:
    for name in sorted(old.keys() | new):
        if name not in old:
            yield f"- `{name}`: added ({new[name].split}, {new[name].tracks} track(s))"
        elif name not in new:
            yield f"- `{name}`: removed ({old[name].split}, {old[name].tracks} track(s))"
        elif words := _words(old[name], new[name]):
            yield f"- `{name}`: {'; '.join(words)}"


def _words(old: ClipTruth, new: ClipTruth) -> list[str]:
    words = [] if old.split == new.split else [f"moved from {old.split} to {new.split}"]
    if old.digest != new.digest:
        words.append(f"labels changed: {old.tracks} -> {new.tracks} track(s), {old.masks} -> {new.masks} mask(s)")
    if old.categories != new.categories:
        words.append(f"categories: {old.categories or 'none'} -> {new.categories or 'none'}")
    return words
