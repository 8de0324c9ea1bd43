"""Files that are written whole or not at all, and the hashes that prove what they hold."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avis_data.links.check import check_write

__all__ = [
    "GZIP",
    "append_lines",
    "ask_folder",
    "atomic_dir",
    "atomic_path",
    "canonical_json",
    "csv_text",
    "flush",
    "fsync_tree",
    "json_bytes",
    "link_or_copy",
    "move",
    "raise_unreadable",
    "read_json",
    "remove",
    "sha256_file",
    "sha256_text",
    "sha256_tree",
    "write_bytes",
    "write_json",
    "write_lines",
    "write_private",
    "write_text",
]

_CHUNK = 1 << 20
GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""How such files begin."""
_MOST_UNPACKED = 4 << 30
"""A file of labels that unpacks to more would not fit into memory, and is no file of labels."""
_A_LITTLE = bytes(1 << 16)
"""More than what programs gather before they write: a disk that could not take that cannot take this."""
TEMPORARY_PREFIX = ".part-"
"""Every temporary name starts like this, so that left-overs of a killed run can be told and removed."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary file name beside `target`; on success it is flushed to disk and renamed, else removed.

    The temporary name keeps the suffix of the target, by which ffmpeg and others choose the format.
    """
    check_write(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        with _system_is_asked(part):
            yield part
        part.chmod(0o666 & ~_umask())
        flush(part)
        os.replace(part, target)
        flush(target.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_dir(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target`; on success its files are flushed and it takes the target's place.

    An old target is renamed before it is removed, so that a kill never leaves a part of it under its name.
    """
    check_write(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=target.parent))
    try:
        with _system_is_asked(part):
            yield part
        part.chmod(0o777 & ~_umask())
        fsync_tree(part)
        aside = part.with_name(f"{part.name}-old")
        if target.exists() or target.is_symlink():
            os.replace(target, aside)
        os.replace(part, target)
        flush(target.parent)
        remove(aside)
    finally:
        remove(part)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, line ends as given, whole or not at all."""
    write_bytes(path, text.encode())


def write_private(path: Path, text: str) -> None:
    """Write UTF-8 text that only its owner may read, from its first byte on, whole or not at all."""
    before = os.umask(0o077)
    try:
        write_text(path, text)
    finally:
        os.umask(before)


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write JSON, keys in the order given, whole or not at all. NaN is refused: no standard reader takes it."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write one line each, as they come (nothing is held in memory), whole or not at all."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{line}\n" for line in lines)


_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOT_A_FORMULA = re.compile(r"[A-Za-z0-9_-]{1,64}|[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
"""Ids, which name files and so must stay as they are, and numbers: neither can call anything."""


def csv_text(rows: Iterable[Iterable[object]], *, as_given: bool = False) -> str:
    """Rows as CSV in which no cell starts a formula when a spreadsheet opens it: such text gets a `'` before it.

    Args:
        rows: of cells.
        as_given: cells stay as they are: in lists of people, which are read here again and must say the same.

    Example:
        >>> csv_text([("name", "at"), ("=HYPERLINK(1)", -1.5)])
        "name,at\\n'=HYPERLINK(1),-1.5\\n"
    """
    text = io.StringIO()
    rows = rows if as_given else ([_cell(value) for value in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_STARTS_FORMULA) and not _NOT_A_FORMULA.fullmatch(value):
        return f"'{value}".replace("\r", " ")  # which readers take for the end of a line
    return value


def append_lines(path: Path, text: str) -> None:
    """Append whole lines to a file; several processes may do so at once, and a kill costs at most the last line."""
    if not text:
        return
    from filelock import FileLock

    lock = path.parent / ".lock"
    for written in (path, lock):
        check_write(written, in_place=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock), path.open("a+b") as file:
        if file.tell():
            file.seek(-1, 2)
            text = text if file.read(1) == b"\n" else "\n" + text  # the last writer was killed within its line
        file.write(text.encode())


def read_json(path: Path) -> Any:
    """Parse a JSON file, also one that gzip packed, or that an editor began with a byte order mark.

    Raises:
        DataError: if it is missing, unreadable or not JSON; names the file, the line and the column.
    """
    from avis_data.errors import DataError

    try:
        return json.loads(json_bytes(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except (ValueError, RecursionError, IsADirectoryError, PermissionError) as error:  # also bad UTF-8, endless digits
        raise DataError(f"{path}: cannot be read as JSON ({type(error).__name__}: {error})") from None


def json_bytes(path: Path) -> bytes:
    """The bytes of a JSON file, unpacked where gzip packed it.

    Raises:
        DataError: if it is a ZIP archive.
        ValueError: if it is torn, or unpacks to far too much.
        OSError: if it cannot be read.
    """
    from avis_data.errors import DataError

    data = path.read_bytes()
    if data.startswith(_ZIP):
        raise DataError(f"{path}: is a zip archive, not JSON", hint=f"unzip {path}, then give the JSON file in it")
    return _unpacked(data) if data.startswith(GZIP) else data


def _unpacked(data: bytes) -> bytes:
    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            found = packed.read(_MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"torn gzip: {error}") from None
    if len(found) > _MOST_UNPACKED:
        raise ValueError(f"unpacks to more than {_MOST_UNPACKED >> 20} MiB")
    return found


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces. Equal values give equal text, so it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_tree(path: Path) -> str:
    """Hex SHA-256 of a file, or of a folder: then of its sorted lines `<sha256>  <relative path>`."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return sha256_text("".join(f"{sha256_file(path / name)}  {name}\n" for name in files))


def fsync_tree(path: Path) -> None:
    """Flush a file, or every file and folder below a folder, to the disk."""
    if path.is_dir():
        for child in path.iterdir():
            fsync_tree(child)
    flush(path)


_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS}
"""Another file system, one without hard links, or a file that has too many: then it is copied."""


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name (a hard link), or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        shutil.copyfile(source, target)


def move(source: Path, target: Path) -> None:
    """Give a file or a folder, which is on the disk, another name, also on another file system.

    There it is copied under a temporary name first, always the same one: what a kill left is replaced by the next try.
    """
    check_write(target)
    try:
        os.replace(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    part = target.with_name(f"{TEMPORARY_PREFIX}{target.name}")
    remove(part)
    try:
        if source.is_dir():
            shutil.copytree(source, part)
        else:
            shutil.copy2(source, part)
        fsync_tree(part)
        os.replace(part, target)
    finally:
        remove(part)
    remove(source)


def remove(path: Path) -> None:
    """Remove a file or a folder with all below it; nothing happens where there is none. No link is followed."""
    check_write(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Windows flushes no folder, so there: nothing."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ask_folder(folder: Path, *, flush: bool = True) -> None:
    """Write a little into a folder and take it away: programs and libraries that fail often do not say why.

    Args:
        folder: the folder.
        flush: wait for the disk, as some say only then that they are full.

    Raises:
        OSError: as the system says it: no space, a quota, no right to write, too many open files, a broken disk.
    """
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
    try:
        written = 0
        while written < len(_A_LITTLE):
            written += os.write(handle, _A_LITTLE[written:])
        if flush:
            os.fsync(handle)
    finally:
        os.close(handle)
        os.unlink(name)


def raise_unreadable(error: BaseException | None, path: Path) -> None:
    """Raise the system's error where it, and not what the file holds, is why reading the file failed with `error`.

    Where the error has no code the file is read again, plainly and whole: libraries lose the code on their way.
    """
    from avis_data.errors import raise_fault

    if error is not None:
        raise_fault(error)
    if path.is_file():
        with path.open("rb") as file:
            while file.read(_CHUNK):
                pass


@contextmanager
def _system_is_asked(part: Path) -> Iterator[None]:
    """Errors without a code, as `numpy.save` and safetensors raise them, become the system's own where it has one."""
    from avis_data.errors import AvisError, ItemError, fault_of

    try:
        yield
    except (AvisError, ItemError):
        raise
    except Exception as error:
        fault = fault_of(error)
        if isinstance(error, OSError | MemoryError) and fault is not None:
            raise
        try:
            _check_limit_of_size(part)
            ask_folder(part if part.is_dir() else part.parent)
        except OSError as answer:
            fault = fault_of(answer)
        if fault is not None:
            raise OSError(fault.code, os.strerror(fault.code), str(part)) from error
        raise


def _check_limit_of_size(part: Path) -> None:
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and part.is_file() and part.stat().st_size >= limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(part))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
