"""What is known of a removed video: hashes, when, why and by whom. No id is kept, and none comes back.

removed/tombstones.jsonl      a line for each removed video
        unfinished.json       there while a removal is at work: what it is to do; a kill leaves it
        tasks-left            there while a labelling server still has tasks of removed clips
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from avis_data.config import record_from_json
from avis_data.errors import Problem
from avis_data.io import sha256_text, write_text
from avis_data.manifest import read_manifest, write_manifest
from avis_data.paths import Workspace
from avis_data.records import Record, Sha256

__all__ = [
    "REASONS",
    "Removal",
    "RemovalReason",
    "Tombstone",
    "Tombstones",
    "read_removal",
    "read_tombstones",
    "tasks_left",
    "write_removal",
    "write_tombstones",
]

RemovalReason = Literal["takedown", "rights", "quality", "duplicate"]
REASONS: tuple[RemovalReason, ...] = ("takedown", "rights", "quality", "duplicate")

_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_NUMBERED = re.compile(r"(.+)_\d+")


class Tombstone(Record):
    """One removed video."""

    video_sha256: Sha256 = Field(description="Of its id.")
    clips_sha256: tuple[Sha256, ...] = Field(description="Of the ids of its clips.")
    urls_sha256: tuple[Sha256, ...] = Field(description="Of its addresses, as lists write them.")
    files_sha256: tuple[Sha256, ...] = Field(description="Of its media, which nothing else in the workspace shared.")
    reason: RemovalReason
    removed_on: str = Field(description="YYYY-MM-DD, UTC.")
    removed_by: str

    @property
    def ids_sha256(self) -> Iterator[str]:
        """Of the video and of its clips."""
        yield self.video_sha256
        yield from self.clips_sha256

    def said(self) -> str:
        """When and why, for messages."""
        return f"was removed on {self.removed_on} ({self.reason}) and does not come back"


class Removal(Record):
    """`unfinished.json`: what a removal is to do."""

    new: tuple[Tombstone, ...]
    exports: tuple[str, ...] | None = Field(description="Exports to write anew; null: none, they are only named.")


class Tombstones:
    """All removed videos of a workspace, by the hashes of what they were called and of what they held."""

    def __init__(self, stones: Iterable[Tombstone] = ()) -> None:
        self.all = tuple(stones)
        self._by_id = {digest: stone for stone in self.all for digest in stone.ids_sha256}
        self._by_url = {digest: stone for stone in self.all for digest in stone.urls_sha256}
        self.is_gone = lru_cache(maxsize=1 << 18)(self._is_gone)

    @staticmethod
    def of_ids(ids: Iterable[str]) -> Tombstones:
        """Of videos and clips that go now and may come back; they are not to be kept."""
        hashes = tuple(sorted(map(sha256_text, ids)))
        empty: dict[str, tuple[str, ...]] = {"urls_sha256": (), "files_sha256": ()}
        said = {"reason": "quality", "removed_on": "", "removed_by": ""}
        return Tombstones(
            Tombstone.model_validate({"video_sha256": digest, "clips_sha256": hashes, **empty, **said})
            for digest in hashes[:1]
        )

    def __bool__(self) -> bool:
        return bool(self.all)

    @cached_property
    def files(self) -> frozenset[str]:
        """Hashes of the media."""
        return frozenset(digest for stone in self.all for digest in stone.files_sha256)

    def find(self, item_id: str) -> Tombstone | None:
        """The removed video that a video or clip of this id was."""
        return self._by_id.get(sha256_text(item_id))

    def find_url(self, url: str) -> Tombstone | None:
        """The removed video that was at an address."""
        return self._by_url.get(sha256_text(url))

    def words(self, text: str, *, numbered: bool = False) -> set[str]:
        """The ids of removed videos and clips in a text.

        Args:
            text: any.
            numbered: `<clip>_<number>`, as exports call a part of a clip, names the clip too.
        """
        words = set(_WORD.findall(text))
        if numbered:
            words |= {match[1] for word in words if (match := _NUMBERED.fullmatch(word))}
        return {word for word in words if self.is_gone(word)}

    def refusal(self, where: str, field: str, item_id: str, url: str | None = None) -> Problem | None:
        """What is wrong with a row that asks for a removed video; None where it asks for none."""
        stone = self.find(item_id) or (self.find_url(url) if url is not None else None)
        return None if stone is None else Problem(where, field, f"{item_id!r} {stone.said()}")

    def _is_gone(self, item_id: str) -> bool:
        return sha256_text(item_id) in self._by_id


def read_tombstones(workspace: Workspace) -> Tombstones:
    """The removed videos of a workspace. Raises ProblemsError or DataError if the file is damaged."""
    return Tombstones(read_manifest(_path(workspace), Tombstone))


def write_tombstones(workspace: Workspace, stones: Iterable[Tombstone]) -> None:
    """Keep all of them, those of one video as one."""
    merged: dict[str, Tombstone] = {}
    for stone in stones:
        before = merged.get(stone.video_sha256)
        merged[stone.video_sha256] = stone if before is None else _joined(before, stone)
    write_manifest(_path(workspace), (merged[digest] for digest in sorted(merged)))


def read_removal(workspace: Workspace) -> Removal | None:
    """The removal that is at work, or that a kill broke off. Raises DataError if its file is damaged."""
    if not workspace.removal.is_file():
        return None
    hint = f"remove {workspace.removal}, then avis-data remove with the videos that were meant"
    return record_from_json(workspace.removal, Removal, hint=hint)


def write_removal(workspace: Workspace, removal: Removal) -> None:
    """Note what a removal is to do, before anything is done."""
    write_text(workspace.removal, removal.model_dump_json(indent=1) + "\n")


def tasks_left(workspace: Workspace) -> Path:
    """The file that is there while a labelling server still has tasks of removed clips."""
    return workspace.removed / "tasks-left"


def _path(workspace: Workspace) -> Path:
    return workspace.removed / "tombstones.jsonl"


def _joined(before: Tombstone, now: Tombstone) -> Tombstone:
    lists = ("clips_sha256", "urls_sha256", "files_sha256")
    return before.model_copy(
        update={name: tuple(sorted({*getattr(before, name), *getattr(now, name)})) for name in lists}
    )
