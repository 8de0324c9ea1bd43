"""What a workspace's bucket holds, by the kinds of places, and what of it nobody wants any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.pipelines.upkeep.places import Place, place_of
from avis_data.storage.settings import UNFINISHED

__all__ = ["NOT_WANTED", "InBucket", "left_in_bucket", "objects_of", "remove_from_bucket"]

NOT_WANTED = "no list wants it"


@dataclass(frozen=True)
class InBucket:
    """One object."""

    key: str
    size_bytes: int
    place: Place | None
    """None: of no kind of ours."""
    item_id: str | None
    """Of the video or clip that its key names."""


def objects_of(workspace: Workspace) -> Iterator[InBucket]:
    """Every object below the workspace's prefix, by key; nothing where it has no bucket."""
    bucket = bucket_of(workspace)
    for found in bucket.store.list() if bucket is not None else ():
        # A folder is one tar: its place is that of the files in it.
        path = f"{found.key.removesuffix('.tar')}/0" if found.key.endswith("/frames.tar") else found.key
        yield InBucket(found.key, found.size_bytes, *place_of(path))


def left_in_bucket(workspace: Workspace, ledger: Ledger, wanted: set[str]) -> Iterator[tuple[str, InBucket]]:
    """Objects that nobody wants, each with why: as `find_leftovers` says of files. Exports are not looked at.

    Args:
        workspace: with or without a bucket.
        ledger: its rows say which objects count.
        wanted: ids of the videos and clips that are asked for.
    """
    known = {output.key for output in ledger.left.all() if output.key}
    for found in objects_of(workspace):
        if found.key.startswith(UNFINISHED):
            yield "left half done", found
        elif found.item_id is not None and found.item_id not in wanted:
            yield NOT_WANTED, found
        elif found.item_id is not None and found.key not in known:
            yield "of an older recipe or source", found


def remove_from_bucket(workspace: Workspace, is_gone: Callable[[str], bool]) -> list[InBucket]:
    """Delete all objects of some videos and clips; gives them. Doing it again does no harm."""
    bucket = bucket_of(workspace)
    if bucket is None:
        return []
    gone = [found for found in objects_of(workspace) if found.item_id is not None and is_gone(found.item_id)]
    bucket.forget([found.key for found in gone])
    return gone
