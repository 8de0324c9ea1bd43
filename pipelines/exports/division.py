"""How an export is divided into splits: as asked for, as written down, as the list says, else as the recipe says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avis_data.errors import ConfigError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.recipe import Recipe
from avis_data.records import SoundState, SplitName, Video
from avis_data.splits import Assignment, SplitClip, assign_splits, parse_split
from avis_data.splits.written import SplitEntry, assign_from_entries, read_split_file

__all__ = ["Division", "HeldClip", "KeptDivision", "Source", "Together", "divide", "kept_together"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldClip:
    """What an export asks of a clip again and again; the whole record is on disk, as there may be a million."""

    clip_id: str
    video_id: str
    num_seconds: int
    fps: float
    num_frames: int
    size_wh: tuple[int, int]
    sound: SoundState
    categories: tuple[str, ...]
    """What the list says is in it."""
    license: str | None
    """What the list says."""
    split: SplitName | None
    """What the list asks for, or the set that it was adopted from."""
    place: int
    """Of the record, among those on disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What an export needs of a source video: a tenth of the record, and there are many."""

    url: str
    sha256: str
    license: str | None
    channel: str | None
    upload_date: str | None
    extractor: str
    accessed_on: str
    is_adopted: bool
    """It came as stills and sound; there is no video file."""

    @classmethod
    def of(cls, video: Video) -> Source:
        """That of a record."""
        return cls(
            url=video.url,
            sha256=video.sha256,
            license=video.license,
            channel=video.channel,
            upload_date=video.upload_date,
            extractor=video.extractor,
            accessed_on=video.accessed_on,
            is_adopted=video.media is None,
        )


@dataclass(frozen=True, kw_only=True)
class KeptDivision:
    """How the version of an export before was divided."""

    split_of: Mapping[str, str]
    """By clip, or by piece of one."""
    request: str
    """What was asked for then."""
    seed: int | None
    replaces: str
    """Hash of the list of files of the export whose place the new one takes."""
    changes: str
    """What is new since then, for the page of changes."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """What was asked for."""

    split: str | None
    """`616/105/205` or `75/25`."""
    split_file: Path | None
    """A written division, in place of `split`."""
    seed: int
    kept: KeptDivision | None = None
    """In place of both."""


@dataclass(frozen=True, kw_only=True)
class Together:
    """Clips that stay on one side of every split for more than their source."""

    side_of: Mapping[str, str]
    """Clip id to the name of its group: the smallest source of those that are joined."""
    near_duplicates: tuple[tuple[str, ...], ...] | None
    """Groups of clips that are nearly the same; None where they may be divided."""
    channels: Mapping[str, Sequence[str]] | None
    """Channel to its clips, where one is known; None where they may be divided."""


def kept_together(
    workspace: Workspace, ledger: Ledger, recipe: Recipe, clips: Sequence[HeldClip], videos: Mapping[str, Source]
) -> Together:
    """Which clips stay together, as the recipe says (`split: {group_by: ...}`).

    Raises:
        DataError: if near-duplicates are asked for and a clip has no fingerprint of what it is now.
    """
    sources, group_by = _source_groups(clips, videos), recipe.division.group_by
    here = {clip.clip_id for clip in clips}
    joined: list[Sequence[str]] = []
    near: tuple[tuple[str, ...], ...] | None = None
    channels: dict[str, list[str]] | None = None
    if "near_duplicate" in group_by:
        from avis_data.pipelines.duplicates import near_duplicates  # SciPy comes with it, which is 20 MB

        found = near_duplicates(workspace, ledger).groups
        cut = (tuple(clip_id for clip_id in group if clip_id in here) for group in found)
        near = tuple(group for group in cut if len(group) > 1)
        joined += near
    if "channel" in group_by:
        channels = {}
        for clip in clips:
            if channel := videos[clip.video_id].channel:
                channels.setdefault(channel, []).append(clip.clip_id)
        joined += channels.values()
    source_of = {clip.clip_id: sources[clip.video_id] for clip in clips}
    leader = {source: source for source in source_of.values()}

    def find(source: str) -> str:
        while leader[source] != source:
            source = leader[source]
        return source

    for group in joined:
        ends = sorted({find(source_of[clip_id]) for clip_id in group})
        leader |= dict.fromkeys(ends, ends[0])
    side_of = {clip_id: find(source) for clip_id, source in source_of.items()}
    return Together(side_of=side_of, near_duplicates=near, channels=channels)


def _source_groups(clips: Sequence[HeldClip], videos: Mapping[str, Source]) -> dict[str, str]:
    """Source video id -> the smallest video id of those that hold the same bytes: they are one source."""
    first: dict[str, str] = {}
    used = sorted({clip.video_id for clip in clips})
    for video_id in used:
        first.setdefault(videos[video_id].sha256, video_id)
    return {video_id: first[videos[video_id].sha256] for video_id in used}


def divide(
    units: Sequence[SplitClip],
    clips: Mapping[str, HeldClip],
    recipe: Recipe,
    wanted: Division,
    *,
    left_out: frozenset[str] = frozenset(),
) -> Assignment:
    """The division of an export.

    Args:
        units: what is divided: clips, or pieces of them.
        clips: of each unit, by its id, the clip that it is or is a piece of.
        recipe: has the default.
        wanted: what was asked for.
        left_out: clips that a written division may name, and that are not exported.

    Raises:
        ConfigError: if nothing says how to divide, or too much does.
        AvisError: as `assign_splits` and `assign_from_entries`.
    """
    if wanted.kept is not None:
        return _as_before(units, wanted.kept)
    if wanted.split is not None and wanted.split_file is not None:
        raise ConfigError("--split and --split-file exclude each other")
    if wanted.split_file is not None:
        entries = [entry for entry in read_split_file(wanted.split_file) if entry.id not in left_out]
        return assign_from_entries(units, _for_units(entries, clips), origin=wanted.split_file.name)
    listed = [
        SplitEntry(where=f"clip {unit.clip_id}", id=unit.clip_id, field="clip_id", split=split)
        for unit in units
        if (split := clips[unit.clip_id].split) is not None
    ]
    if wanted.split is None and len(listed) == len(units):
        return assign_from_entries(units, listed, origin="as given by the list or the imported sets")
    if wanted.split is None and listed:
        raise ConfigError(
            "the column split of the list, or the set that clips come from, "
            f"names {len(listed)} of {len(units)} clips: all or none",
            hint="--split 75/25, or --split-file splits.csv",
        )
    text = wanted.split or recipe.division.numbers
    if text is None:
        raise ConfigError("no split: neither asked for, nor in the list, nor in the recipe", hint="--split 75/25")
    return assign_splits(units, parse_split(text), wanted.seed)


def _as_before(units: Sequence[SplitClip], kept: KeptDivision) -> Assignment:
    """Every clip on the side that it was on; what has come since is on none of them."""
    entries = [
        SplitEntry(where=f"clip {unit.clip_id}", id=unit.clip_id, field="clip_id", split=kept.split_of[unit.clip_id])
        for unit in units
    ]
    found = assign_from_entries(units, entries, origin=kept.request)
    return replace(found, seed=kept.seed)


def _for_units(entries: Sequence[SplitEntry], clips: Mapping[str, HeldClip]) -> list[SplitEntry]:
    """An entry for a clip becomes one for each of its pieces; all others stay as they are."""
    pieces: dict[str, list[str]] = {}
    for unit_id, clip in clips.items():
        pieces.setdefault(clip.clip_id, []).append(unit_id)
    return [
        replace(entry, id=unit_id)
        for entry in entries
        for unit_id in (pieces.get(entry.id, [entry.id]) if entry.field != "video_id" else [entry.id])
    ]
