"""Exports in a bucket: published whole or not at all, and taken away."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from avis_data.format_numbers import CERTIFICATE
from avis_data.storage.store import Store

__all__ = ["delete_export", "publish_export"]

_AT_ONCE = 16
"""Requests; most files are stills of some 100 kB, so the server's answer is what is waited for."""


def publish_export(store: Store, folder: Path, key: str) -> int:
    """Bring a finished export into the bucket, its certificate last; gives the number of files that were uploaded.

    What is there already with the same bytes stays. An export without a certificate is none: it is taken away first
    where anything differs, so nobody ever reads a mixture. Killed, the next call goes on.

    Args:
        store: the bucket.
        folder: the export, complete.
        key: what its keys begin with, with a slash at the end.
    """
    there = {found.key.removeprefix(key): found.etag for found in store.list(key)}
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        etags = dict(zip(files, pool.map(_etag, files.values()), strict=True))
        differ = [name for name in files if there.get(name) != etags[name]]
        strange = sorted(there.keys() - files.keys())
        if not differ and not strange:
            return 0
        store.delete([f"{key}{CERTIFICATE}"])
        store.delete(f"{key}{name}" for name in strange)
        others = [name for name in differ if name != CERTIFICATE]
        list(pool.map(lambda name: store.put(files[name], f"{key}{name}"), others))
    store.put(files[CERTIFICATE], f"{key}{CERTIFICATE}")
    return len(others) + 1


def delete_export(store: Store, key: str) -> None:
    """Take an export out of the bucket, its certificate first."""
    store.delete([f"{key}{CERTIFICATE}"])
    store.delete([found.key for found in store.list(key)])


def _etag(path: Path) -> str:
    """What S3 says of a file that was uploaded at once; a larger one has another ETag, and is uploaded again."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
