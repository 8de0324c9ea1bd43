"""What lies in a workspace and nobody wants any more: found from the files and the ledger, removed when asked to.

Labels of people are work, not leftovers: they stay unless somebody says otherwise. Killed, the next call goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from avis_data.categories import category_set
from avis_data.errors import ConfigError
from avis_data.io import remove, sha256_file
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.stages.tables import finish_tables
from avis_data.pipelines.status import unlisted
from avis_data.pipelines.upkeep.clean import Cleaner, remove_empty_folders
from avis_data.pipelines.upkeep.places import Found, Holds, Place, files_of
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.pipelines.upkeep.stored import NOT_WANTED, InBucket, left_in_bucket
from avis_data.pipelines.upkeep.tombstones import Tombstones
from avis_data.recipe import load_recipe
from avis_data.records import Track

__all__ = ["Left", "Leftovers", "find_leftovers", "prune"]

_MADE = {"sources", "stills", "sound", "previews", "embeddings", "fingerprints"}
"""Groups of what stages make: each file of them is some item's output."""
_WRITTEN_S = 3600.0
"""A temporary file of a server that is younger may be written just now."""
_FOLDERS = ("clips", "sources", ".tmp", "features", "fingerprints", "annotations", "exports")


class Left(NamedTuple):
    """One file that is left over."""

    why: str
    file: Found
    size_bytes: int


@dataclass(kw_only=True)
class Leftovers:
    """What is left over."""

    unlisted: set[str] = field(default_factory=set)
    """Ids of videos and clips that no list wants."""
    files: list[Left] = field(default_factory=list)
    objects: list[tuple[str, InBucket]] = field(default_factory=list)
    """In the bucket, each with why."""
    rows: Counter[str] = field(default_factory=Counter)
    """Unlisted clips of which a table has rows, by kind of table."""
    labelled: set[str] = field(default_factory=set)
    """Unlisted clips of which labels of people are kept."""

    def by_reason(self) -> dict[str, tuple[int, int]]:
        """Why, to the number of files and their bytes."""
        number: Counter[str] = Counter()
        size_bytes: Counter[str] = Counter()
        files = [(left.why, left.size_bytes) for left in self.files]
        for why, size in [*files, *((f"in the bucket: {why}", one.size_bytes) for why, one in self.objects)]:
            number[why] += 1
            size_bytes[why] += size
        return {why: (number[why], size_bytes[why]) for why in sorted(number)}

    @property
    def size_bytes(self) -> int:
        """Of all files and objects."""
        return sum(left.size_bytes for left in self.files) + sum(one.size_bytes for _, one in self.objects)

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "unlisted": sorted(self.unlisted),
            "files": {why: {"files": n, "bytes": size_bytes} for why, (n, size_bytes) in self.by_reason().items()},
            "rows": dict(sorted(self.rows.items())),
            "labelled": sorted(self.labelled),
            "bytes": self.size_bytes,
        }


def find_leftovers(workspace: Workspace, ledger: Ledger, *, labels: bool = False) -> Leftovers:
    """Look for all that is left over; changes nothing.

    Args:
        workspace: of which the list, the sources and the recipe may have changed.
        ledger: of the workspace.
        labels: what people said of clips that no list wants is left over too.

    Raises:
        ConfigError: if the workspace has no list and no set: then nothing says what is wanted.
        DataError: if a table or a manifest is damaged.
    """
    wanted = _wanted(ledger)
    if not wanted:
        hint = "avis-data fetch --list videos.csv, or avis-data import --media"
        raise ConfigError(f"{workspace.root}: no list and no set says what is wanted here", hint=hint)
    gone = unlisted(ledger)
    search = _Search(Leftovers(unlisted={*gone.videos, *gone.clips}), ledger, wanted, labels=labels)
    for file in files_of(workspace):
        if file.place is not None:
            search.look(file, file.place)
    search.look_at_cache()
    search.found.objects = list(left_in_bucket(workspace, ledger, wanted))
    search.found.unlisted |= {one.item_id for why, one in search.found.objects if why == NOT_WANTED and one.item_id}
    return search.found


def prune(workspace: Workspace, ledger: Ledger, found: Leftovers, *, labels: bool = False) -> None:
    """Remove what was found to be left over; the caller holds the workspace's lock.

    Killed in between, the next call finds the rest.
    """
    stones = Tombstones.of_ids(found.unlisted)
    if stones:
        recipe = load_recipe(workspace)
        categories = {category.name for category in category_set(recipe.categories).categories}
        cleaner = Cleaner(workspace, stones, Redaction(stones, categories=categories), ledger=ledger)
        cleaner.all(lambda *_: None, only=lambda file: _is_table(file) or (labels and _is_of_labels(file)))
        finish_tables(workspace, recipe, ledger)
    for left in found.files:
        remove(left.file.path)
    if (bucket := bucket_of(workspace)) is not None:
        bucket.forget([one.key for _, one in found.objects])
    for folder in _FOLDERS:
        remove_empty_folders(workspace.root / folder)
    if stones:
        ledger.forget(stones.is_gone, lambda value: value)  # last: it is what `status` goes by
    write_manifests(workspace, ledger)


class _Search:
    def __init__(self, found: Leftovers, ledger: Ledger, wanted: set[str], *, labels: bool) -> None:
        self.found, self._wanted, self._labels = found, wanted, labels
        self._outputs = {
            output.path for spec in STAGES for left in ledger.outputs(spec.name).values() for output in left
        }
        self._made = {(spec.name, item_id) for spec in STAGES for item_id in ledger.done_keys(spec.name)}
        self._cached: list[Found] = []
        self._stills: list[Path] = []

    def look(self, file: Found, place: Place) -> None:
        """Note a file that is left over, and rows of clips that no list wants."""
        if file.item_id is not None and file.item_id not in self._wanted:
            self._of_unlisted(file, place, file.item_id)
        elif place.group == "unfinished":
            if self._is_given_up(file, place):
                self._add("left half done", file)
        elif place.group in _MADE and file.item_id is not None:
            if not self._is_output(file.relative):
                self._add("of an older recipe or source", file)
            elif place.name == "stills":
                self._stills.append(file.path)
        elif place.holds is Holds.STILL:
            self._cached.append(file)
        elif place.holds in (Holds.MASKS, Holds.EMBEDDINGS, Holds.FINGERPRINTS):
            from avis_data.features.store import clips_in_part

            self._rows(place.name, set(clips_in_part(file.path)))
        elif file.relative == "manifest/tracks.jsonl":
            self._rows(place.name, {track.clip_id for track in read_manifest(file.path, Track)})

    def look_at_cache(self) -> None:
        """What the segmenter worked out of stills that are there no more."""
        hashes = {sha256_file(path) for path in self._stills} if self._cached else set()
        for file in self._cached:
            if file.path.name.partition("-")[0] not in hashes:
                self._add("cached, of stills that are gone", file)

    def _add(self, why: str, file: Found) -> None:
        self.found.files.append(Left(why, file, file.path.lstat().st_size))

    def _of_unlisted(self, file: Found, place: Place, item_id: str) -> None:
        if place.group == "annotations" and not self._labels:
            self.found.labelled.add(item_id)
            return
        self.found.unlisted.add(item_id)
        self._add(NOT_WANTED, file)

    def _rows(self, name: str, clip_ids: set[str]) -> None:
        gone = clip_ids - self._wanted
        self.found.unlisted |= gone
        self.found.rows[name] += len(gone)
        self.found.rows += Counter()

    def _is_output(self, relative: str) -> bool:
        """A file that the ledger vouches for, itself or with its folder."""
        return relative in self._outputs or relative.rpartition("/")[0] in self._outputs

    def _is_given_up(self, file: Found, place: Place) -> bool:
        """A part of a download that may go on is not; nor what a server may be writing."""
        if place.holds is Holds.ONE:
            return (file.relative.split("/")[1], file.item_id) in self._made
        return not file.relative.startswith("label-studio/") or time.time() - file.path.stat().st_mtime > _WRITTEN_S


def _wanted(ledger: Ledger) -> set[str]:
    rows = (ledger.wanted("video"), ledger.wanted("clip"), ledger.adopted())
    return {item_id for some in rows for item_id, _ in some}


def _is_table(file: Found) -> bool:
    return file.place is not None and (
        file.place.holds in (Holds.MASKS, Holds.EMBEDDINGS, Holds.FINGERPRINTS) or file.place.name == "manifests"
    )


def _is_of_labels(file: Found) -> bool:
    return file.place is not None and file.place.group == "annotations"
