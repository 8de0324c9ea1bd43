"""Exports of a bucket as folders of this machine: fetched whole before they are read, or their stills when each is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from filelock import FileLock

from avis_data.errors import DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.formats.aviseg_folders import STILLS
from avis_data.io import TEMPORARY_PREFIX, remove, sha256_file, sha256_text, write_text
from avis_data.paths import data_home
from avis_data.quality.published import FILE_LIST
from avis_data.storage.settings import Storage
from avis_data.storage.store import Store

__all__ = ["LaterStills", "fetched_export", "later_stills"]

_AT_ONCE = 16
"""Requests; most files are stills of some 100 kB, so the server's answer is what is waited for."""
_ABANDONED_S = 3600.0
"""A file that is being fetched is written to more often."""
_WHOLE = ".whole"
"""A file in a fetched export: the hash of its list of files, when all of them were there and compared."""
_LATER = ".later"
"""Another one, where the stills were left for later: the address of the bucket, and the hash of the list."""


def fetched_export(url: str, *, stills_later: bool = False) -> Path:
    """The folder of an export in a bucket, fetched into the user's data folder: only what is not there yet.

    Args:
        url: `s3://bucket/prefix/exports/name`.
        stills_later: of the AVISeg layout, leave the stills for `later_stills`.

    Raises:
        DataError: if there is no finished export, or a file is not what its list says.
        ProblemsError: if the address is none.
        StorageError: if the bucket cannot be used.
    """
    store = _store(url)
    folder = _home() / sha256_text(url)[:12] / PurePosixPath(store.settings.storage).name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(".lock")):  # of several processes of one training one fetches
        _clear_away(folder.parent)
        _bring(store, folder, url, stills_later=stills_later)
    return folder


class LaterStills:
    """The stills of a fetched export of which some are not here yet."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        listed = _hashes((folder / FILE_LIST).read_text(encoding="utf-8"), store)
        self._hashes = {name: digest for name, digest in listed.items() if _is_still(name)}

    def names(self) -> dict[str, set[str]]:
        """The files of each folder of stills, by its path in the export, once all are here."""
        found: dict[str, set[str]] = {}
        for name in self._hashes:
            parent, _, file = name.rpartition("/")
            found.setdefault(parent, set()).add(file)
        return found

    def bring(self, paths: Iterable[Path]) -> None:
        """Have these stills be here, each compared with its hash.

        Raises:
            DataError: if one is gone, or is not what the list of the export says.
            StorageError: if the bucket cannot be used.
        """
        missing = [path.relative_to(self._folder).as_posix() for path in paths if not path.exists()]
        if missing:
            with ThreadPoolExecutor(min(len(missing), _AT_ONCE)) as pool:
                list(pool.map(self._bring_one, missing))

    def _bring_one(self, name: str) -> None:
        if name not in self._hashes:
            raise DataError(f"{self._store.settings.storage}: {FILE_LIST} names no {name}")
        _file(self._store, self._folder, name, self._hashes[name])


def later_stills(folder: Path) -> LaterStills | None:
    """Of an export that `fetched_export` left without stills; None of any other folder: they are there, or nowhere."""
    try:
        url = (folder / _LATER).read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return None
    if not folder.resolve().is_relative_to(_home().resolve()):
        return None  # a folder of somebody else does not say whom we ask
    return LaterStills(folder, _store(url))


def _home() -> Path:
    return data_home() / "exports"


def _store(url: str) -> Store:
    from avis_data.config import validated

    return Store(validated(Storage, {"storage": url}, where=url))


def _is_still(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[1] == STILLS


def _hashes(listed: str, store: Store) -> dict[str, str]:
    """SHA-256 by name. Raises DataError for a name that leads out of the export: a stranger may have written it."""
    found = {name: digest for digest, _, name in (line.partition("  ") for line in listed.splitlines())}
    for name in found:
        path = PureWindowsPath(name)  # of both kinds of system: it takes slashes too
        if ".." in path.parts or path.root or path.drive:
            raise DataError(f"{store.settings.storage}: {FILE_LIST} names {name!r:.80}, which leads out of the export")
    return found


def _bring(store: Store, folder: Path, url: str, *, stills_later: bool) -> None:
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
    whole, later = folder / _WHOLE, folder / _LATER
    if whole.is_file() and whole.read_text() == said:
        return
    if stills_later and later.is_file() and later.read_text() == f"{url}\n{said}":
        return  # what has come since was compared when it came
    remove(whole)
    files = _hashes(listed, store)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in files:
            remove(path)
    now = {name: digest for name, digest in files.items() if not (stills_later and _is_still(name))}
    for name in files.keys() - now.keys():
        _drop_if_old(folder / name, files[name])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda entry: _file(store, folder, *entry), now.items()))
    write_text(folder / FILE_LIST, listed)
    write_text(folder / CERTIFICATE, certificate)
    if len(now) < len(files):
        write_text(later, f"{url}\n{said}")
    else:
        write_text(whole, said)


def _clear_away(place: Path) -> None:
    """What kills left; other processes may be at work, so only what nobody has written to for long."""
    for part in place.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > _ABANDONED_S:
                part.unlink()


def _drop_if_old(path: Path, digest: str) -> None:
    """A still of an earlier version of the export must not be taken for the one of now."""
    if path.is_file() and sha256_file(path) != digest:
        remove(path)


def _file(store: Store, folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if path.is_file() and sha256_file(path) == digest:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the export: who fetches all of it takes away what its list does not name, and others may be at work.
    part = folder.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{threading.get_ident()}")
    try:
        store.get(name, part)
    except FileNotFoundError:
        raise DataError(f"{store.settings.storage}/{name}: is gone, though {FILE_LIST} names it") from None
    if sha256_file(part) != digest:
        remove(part)
        raise DataError(f"{store.settings.storage}/{name}: is not what {FILE_LIST} says")
    part.replace(path)
