"""How an export is divided into splits: as asked for, as written down, as the list says, else as the recipe says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avis_data.errors import ConfigError
from avis_data.recipe import Recipe
from avis_data.records import Clip
from avis_data.splits import Assignment, SplitClip, assign_splits, parse_split
from avis_data.splits.written import SplitEntry, assign_from_entries, read_split_file

__all__ = ["Division", "KeptDivision", "divide"]


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


def divide(
    units: Sequence[SplitClip],
    clips: Mapping[str, Clip],
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
    text = wanted.split or recipe.split
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


def _for_units(entries: Sequence[SplitEntry], clips: Mapping[str, Clip]) -> list[SplitEntry]:
    """An entry for a clip becomes one for each of its pieces; all others stay as they are."""
    pieces: dict[str, list[str]] = {}
    for unit_id, clip in clips.items():
        pieces.setdefault(clip.clip_id, []).append(unit_id)
    return [
        replace(entry, id=unit_id)
        for entry in entries
        for unit_id in (pieces.get(entry.id, [entry.id]) if entry.field != "video_id" else [entry.id])
    ]
