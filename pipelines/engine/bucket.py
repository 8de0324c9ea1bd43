"""The runner's side of a workspace whose large files live in a bucket: what there is, what is stored, what may go.

Workers upload under temporary keys. Here an object gets its final key, by a copy within the bucket, and only the row
of the ledger that names key and ETag makes it count: a kill at any moment leaves temporary keys, which the next run
deletes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from avis_data.errors import DataError, ItemError
from avis_data.io import TEMPORARY_PREFIX, remove
from avis_data.ledger import Ledger, Output
from avis_data.paths import Workspace
from avis_data.storage.objects import as_object, is_packed, is_unchanged, local_copy, object_name
from avis_data.storage.settings import UNFINISHED, Storage, is_stored, storage_of
from avis_data.storage.store import StorageError, Store

__all__ = ["MEDIA_STAGES", "Bucket", "bring_all", "bring_clip", "bringing", "bucket_of"]

MEDIA_STAGES = ("extract", "adopt")
"""What gives clips their stills and sound."""

_AT_ONCE = 8
"""Requests: each is a wait for the server, hardly any work here."""
_LEFT_SHARE = 0.9
"""Of what copies may take; so much stays when some must go, so that not every item has to look for more."""


class Bucket:
    """The bucket of a workspace, and the local copies of what is in it."""

    def __init__(self, workspace: Workspace, settings: Storage) -> None:
        """Ask nothing yet. Raises ToolError if a package is missing."""
        self.settings, self.store, self._workspace = settings, Store(settings), workspace
        self._objects: dict[str, str] | None = None
        self._copies_bytes: int | None = None

    @property
    def objects(self) -> dict[str, str]:
        """Key to ETag of all that is there; listed once, then kept up to date by what is done here."""
        if self._objects is None:
            found = self.store.list()
            self._objects = {one.key: one.etag for one in found if not one.key.startswith(UNFINISHED)}
        return self._objects

    def begin(self, ledger: Ledger) -> None:
        """Before work: the bucket can be used, holds nothing half done, and has what only this folder had.

        Raises:
            StorageError: if it cannot be used.
        """
        self.store.check()
        self._objects = None
        self.store.delete([left.key for left in self.store.list(UNFINISHED)])
        self._upload_missing(ledger)

    def has(self, output: Output) -> bool:
        """Whether the object of what an item left is the one that was stored; nothing is downloaded."""
        return bool(output.key) and self.objects.get(output.key) == output.etag

    def finish(self, home: str, outputs: Sequence[Output]) -> list[Output]:
        """Give what a worker uploaded its final keys; what has its home in the folder comes back without one.

        Args:
            home: the folder of the item, relative to the workspace.
            outputs: with names for paths, and temporary keys.
        """

        def copied(output: Output) -> Output:
            path = f"{home}/{output.path}"
            if not is_stored(path):
                return output._replace(key="")
            key = object_name(path, is_folder=is_packed(output))
            try:
                etag = self.store.copy(output.key, key, size_bytes=output.size_bytes)
            except FileNotFoundError:
                message = f"{output.key} is gone from the bucket, where a worker had just stored it"
                raise StorageError(message, hint="see who else deletes there, then run again") from None
            self.objects[key] = etag
            return output._replace(key=key, etag=etag)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(copied, outputs))

    def forget(self, keys: Collection[str]) -> None:
        """Delete objects."""
        if keys:
            self.store.delete(keys)
        for key in keys:
            self.objects.pop(key, None)

    def fetch_to(self, out: Path, home: str, outputs: Sequence[Output]) -> None:
        """Bring into `out` what a worker elsewhere left for the folder alone: rows of tables, lines of logs."""
        for output in outputs:
            if not is_stored(f"{home}/{output.path}"):
                out.mkdir(parents=True, exist_ok=True)
                local_copy(self.store, out, output, scratch=out)

    def trim(self, ledger: Ledger, *, added_bytes: int, keep: Collection[str] = ()) -> None:
        """Remove the least recently used copies where all together take more than `cache_gb`.

        Only what the bucket has goes.

        Args:
            ledger: says what is in the bucket.
            added_bytes: what may have been added since the last call.
            keep: paths, relative to the workspace, that are in use.
        """
        if self.settings.cache_gb is None:
            return
        most = self.settings.cache_gb * 1e9
        if self._copies_bytes is not None and self._copies_bytes + added_bytes <= most:
            self._copies_bytes += added_bytes
            return
        copies = sorted(self._copies(ledger))
        total = sum(size_bytes for _, size_bytes, _ in copies)
        for _, size_bytes, path in copies if total > most else ():
            if total <= most * _LEFT_SHARE:
                break
            if path not in keep:
                remove(self._workspace.root / path)
                total -= size_bytes
        self._copies_bytes = total

    def _copies(self, ledger: Ledger) -> Iterator[tuple[int, int, str]]:
        """Last use, size and path of every copy."""
        for output in ledger.left.all():
            if self.has(output):
                try:
                    used_ns = os.stat(self._workspace.root / output.path).st_atime_ns
                except OSError:
                    continue
                yield used_ns, output.size_bytes, output.path

    def _upload_missing(self, ledger: Ledger) -> None:
        """What an item left here, and the bucket has not: done before there was a bucket, or lost there."""
        for stage, item_id, outputs in list(ledger.left.rows()):
            missing = [output for output in outputs if is_stored(output.path) and not self.has(output)]
            whole = [output for output in missing if is_unchanged(self._workspace.root / output.path, output)]
            if whole:
                made = {output.path: self._uploaded(output) for output in whole}
                ledger.set_outputs(stage, item_id, [made.get(output.path, output) for output in outputs])

    def _uploaded(self, output: Output) -> Output:
        path = self._workspace.root / output.path
        key = object_name(output.path, is_folder=path.is_dir())
        temporary = f"{UNFINISHED}{TEMPORARY_PREFIX}{key}"
        with as_object(path) as file:
            self.store.put(file, temporary)
        etag = self.store.copy(temporary, key, size_bytes=output.size_bytes)
        self.store.delete([temporary])
        self.objects[key] = etag
        return output._replace(key=key, etag=etag)


def bucket_of(workspace: Workspace) -> Bucket | None:
    """The bucket of a workspace; None where all its files lie in the folder.

    Raises:
        ConfigError, ProblemsError: if `storage.yaml` cannot be read.
        ToolError: if a package is missing.
    """
    settings = storage_of(workspace)
    return None if settings is None else _opened(workspace, settings)


@lru_cache(maxsize=4)
def _opened(workspace: Workspace, settings: Storage) -> Bucket:
    return Bucket(workspace, settings)


def bringing(
    workspace: Workspace, ledger: Ledger, stages: Sequence[str], item_ids: Iterable[str]
) -> Callable[[str], None]:
    """What brings into the folder what some stages left of an item, where only the bucket has it.

    It may be called from any thread; without a bucket it does nothing.

    Args:
        workspace: with or without a bucket.
        ledger: of the workspace; asked now.
        stages: their names.
        item_ids: the items that it may be called for.

    Returns:
        A function of the id. It raises ItemError and StorageError as `local_copy`.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        return lambda _: None
    store, left = bucket.store, {item_id: ledger.left.by(stages, item_id) for item_id in item_ids}
    workspace.tmp.mkdir(exist_ok=True)

    def bring(item_id: str) -> None:
        for kept in left[item_id]:
            if kept.key:
                local_copy(store, workspace.root, kept, scratch=workspace.tmp)

    return bring


def bring_clip(workspace: Workspace, clip_id: str, *stages: str) -> None:
    """Make the stills and the sound of a clip lie in the folder, for who reads them there; nothing without a bucket.

    Args:
        workspace: with or without a bucket.
        clip_id: of the clip; where the bucket has nothing of it nothing happens.
        stages: of which stages all is wanted; none named: those that give stills and sound.

    Raises:
        DataError: if an object is gone, or is not what was stored.
        StorageError: if the bucket cannot be used.
    """
    if storage_of(workspace) is None:
        return
    try:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            bringing(workspace, ledger, stages or MEDIA_STAGES, [clip_id])(clip_id)
    except ItemError as error:
        raise DataError(error.message) from None


def bring_all(workspace: Workspace) -> None:
    """Make all files of a workspace lie in its folder; nothing without a bucket. Raises as `bring_clip`."""
    if storage_of(workspace) is None:
        return
    with Ledger(workspace.ledger, read_only=True) as ledger:
        rows = sorted({(stage, item_id) for stage, item_id, left in ledger.left.rows() if any(one.key for one in left)})
    for stage, item_id in rows:
        bring_clip(workspace, item_id, stage)
