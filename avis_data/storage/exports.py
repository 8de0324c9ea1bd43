"""Exports in a bucket: published whole or not at all, and fetched to be read, each file by its hash."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from filelock import FileLock

from avis_data.errors import DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import TEMPORARY_PREFIX, remove, sha256_file, sha256_text, write_text
from avis_data.paths import data_home
from avis_data.quality.published import FILE_LIST
from avis_data.storage.settings import Storage
from avis_data.storage.store import Store

__all__ = ["delete_export", "fetched_export", "publish_export"]

_AT_ONCE = 16
"""Requests; most files are stills of some 100 kB, so the server's answer is what is waited for."""
_WHOLE = ".whole"
"""A file in a fetched export: the hash of its list of files, when all of them were there and compared."""


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


def fetched_export(url: str) -> Path:
    """The folder of an export in a bucket, fetched into the user's data folder: only what is not there yet.

    Args:
        url: `s3://bucket/prefix/exports/name`.

    Raises:
        DataError: if there is no finished export, or a file is not what its list says.
        ProblemsError: if the address is none.
        StorageError: if the bucket cannot be used.
    """
    from avis_data.config import validated

    store = Store(validated(Storage, {"storage": url}, where=url))
    folder = data_home() / "exports" / sha256_text(url)[:12] / PurePosixPath(store.settings.storage).name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(".lock")):  # of several processes of one training one fetches
        _bring(store, folder, url)
    return folder


def _bring(store: Store, folder: Path, url: str) -> None:
    part = folder.with_name(f"{TEMPORARY_PREFIX}{FILE_LIST}")
    try:
        store.get(CERTIFICATE, part)
        certificate = part.read_text(encoding="utf-8")
        store.get(FILE_LIST, part)
    except FileNotFoundError:
        hint = "avis-data export in a workspace with storage.yaml writes one"
        raise DataError(f"{url}: no finished export (no {CERTIFICATE} or {FILE_LIST})", hint=hint) from None
    listed = part.read_text(encoding="utf-8")
    part.unlink()
    said = sha256_text(f"{listed}{certificate}")
    whole = folder / _WHOLE
    if whole.is_file() and whole.read_text() == said:
        return
    remove(whole)
    files = {name: digest for digest, _, name in (line.partition("  ") for line in listed.splitlines())}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in files:
            remove(path)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda entry: _file(store, folder, *entry), files.items()))
    write_text(folder / FILE_LIST, listed)
    write_text(folder / CERTIFICATE, certificate)
    write_text(whole, said)


def _file(store: Store, folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
        raise DataError(f"{store.settings.storage}: {FILE_LIST} names {name!r:.80}, which leads out of the export")
    if path.is_file() and sha256_file(path) == digest:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        store.get(name, part)
    except FileNotFoundError:
        raise DataError(f"{store.settings.storage}/{name}: is gone, though {FILE_LIST} names it") from None
    if sha256_file(part) != digest:
        remove(part)
        raise DataError(f"{store.settings.storage}/{name}: is not what {FILE_LIST} says")
    part.replace(path)


def _etag(path: Path) -> str:
    """What S3 says of a file that was uploaded at once; a larger one has another ETag, and is uploaded again."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
