"""The near-duplicates of a workspace: pairs of clips whose picture or sound is nearly the same, and their groups."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.errors import DataError
from avis_data.fingerprints.links import Link, find_links, groups_of
from avis_data.fingerprints.making import METHOD
from avis_data.fingerprints.store import read_fingerprints
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.stages import STAGES
from avis_data.recipe import load_recipe
from avis_data.records import Clip

__all__ = ["Duplicates", "near_duplicates"]


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What was found among the clips of a workspace."""

    num_clips: int
    links: tuple[Link, ...]
    groups: tuple[tuple[str, ...], ...]
    """Clips that links join, directly or over others."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "method": METHOD,
            "clips": self.num_clips,
            "groups": [list(group) for group in self.groups],
            "links": [link.as_dict() for link in self.links],
        }

    def rows(self) -> list[tuple[object, ...]]:
        """A table: its head, then each pair with the number of its group."""
        number_of = {clip_id: number for number, group in enumerate(self.groups) for clip_id in group}
        head: list[tuple[object, ...]] = [("group", "first", "second", "by", "likeness", "offset_s", "mirrored")]
        return head + [(number_of[link.first], *link.as_dict().values()) for link in self.links]


def near_duplicates(workspace: Workspace, ledger: Ledger) -> Duplicates:
    """Find the near-duplicates among all clips that the workspace has now.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if the fingerprint of a clip is missing, or was made from other stills or sound.
    """
    recipe = load_recipe(workspace)
    up_to_date = STAGES["fingerprint"].up_to_date
    assert up_to_date is not None
    clip_ids = {clip.clip_id for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    prints = {one.clip_id: one for one in read_fingerprints(workspace.fingerprints) if one.clip_id in clip_ids}
    missing = sorted(clip_ids - (prints.keys() & set(up_to_date(ledger, recipe))))
    if missing:
        named = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        message = f"{len(missing)} of {len(clip_ids)} clip(s) have no fingerprint of what they are now: {named}"
        raise DataError(f"{workspace.root}: {message}", hint="avis-data fingerprint")
    links = find_links([prints[clip_id] for clip_id in sorted(prints)])
    groups = tuple(tuple(group) for group in groups_of(links))
    return Duplicates(num_clips=len(prints), links=tuple(links), groups=groups)
