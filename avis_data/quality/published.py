"""Checks of an export of ours against what it says of itself: `files.sha256` and `certificate.json`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avis_data.errors import DataError
from avis_data.format_numbers import CERTIFICATE, read_certificate
from avis_data.io import sha256_file
from avis_data.quality.findings import Findings, Severity

__all__ = ["FILE_LIST", "MEDIA_LEFT_OUT", "check_published", "published_without_media"]

FILE_LIST = "files.sha256"
MEDIA_LEFT_OUT = "left out"
"""What the certificate says under `media` of a set that is published without stills and sound."""

_ERROR = Severity.ERROR
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def check_published(root: Path, *, findings: Findings, deep: bool = False) -> dict[str, int] | None:
    """Compare the files of a dataset with its own list of them, and the list with the certificate, where they exist.

    A file that is missing, changed or not in the list is an error. JSON files are hashed always, the others with
    `deep`; the size of all together is compared with the certificate's, which shows most of what is torn.

    Returns:
        Numbers of files `listed`, `found` and `hashed`; None for a dataset that says nothing of itself.
    """
    if not (root / FILE_LIST).is_file() and not (root / CERTIFICATE).is_file():
        return None
    of_certificate = Findings()
    said = _read_certificate(root, of_certificate)
    seen = _compared(root, findings, deep=deep, with_sizes=said is not None)
    findings.take(of_certificate)
    if said is not None:
        size_bytes = seen.size_bytes if seen.both == seen.listed == seen.found else None
        _check_certificate(root, said, seen.listed, size_bytes, findings)
    return {"listed": seen.listed, "found": seen.both, "hashed": seen.hashed}


@dataclass(kw_only=True)
class _Seen:
    """Numbers of files."""

    listed: int = 0
    found: int = 0
    both: int = 0
    """In the list, and there."""
    hashed: int = 0
    size_bytes: int = 0
    """Of those in both."""


def _compared(root: Path, findings: Findings, *, deep: bool, with_sizes: bool) -> _Seen:
    """Go through the list and the folder side by side, both in the order of names."""
    seen, missing, extra, changed = _Seen(), Findings(), Findings(), Findings()
    listed = _sorted_list(root, findings)
    found = (name for name in _sorted_files(root, "") if name not in (FILE_LIST, CERTIFICATE))
    line, name = next(listed, None), next(found, None)
    while line is not None or name is not None:
        wanted = None if line is None else line[0]
        in_list = wanted is not None and (name is None or wanted <= name)
        is_there = name is not None and (wanted is None or name <= wanted)
        seen.listed, seen.found = seen.listed + in_list, seen.found + is_there
        if line is not None and name is not None and in_list and is_there:
            seen.both += 1
            seen.size_bytes += (root / name).stat().st_size if with_sizes else 0
            if deep or name.endswith(".json"):
                seen.hashed += 1
                if sha256_file(root / name) != line[1]:
                    text = f"is not the file of which {FILE_LIST} holds the hash"
                    changed.add(_ERROR, "file-changed", name, text)
        elif wanted is not None and in_list:
            missing.add(_ERROR, "file-missing", wanted, f"no such file, but it is in {FILE_LIST}")
        elif name is not None:
            extra.add(_ERROR, "file-extra", name, f"is not in {FILE_LIST}")
        line = next(listed, None) if in_list else line
        name = next(found, None) if is_there else name
    for of_kind in (missing, extra if seen.listed else Findings(), changed):
        findings.take(of_kind)
    return seen


def _sorted_files(folder: Path, prefix: str) -> Iterator[str]:
    """All files below a folder, as `files.sha256` names and orders them; links to folders are not followed."""
    try:
        with os.scandir(folder) as entries:
            keys = sorted(f"{one.name}/" if one.is_dir(follow_symlinks=False) else one.name for one in entries)
    except OSError:
        return
    for key in keys:  # names cannot hold a slash
        if key.endswith("/"):
            yield from _sorted_files(folder / key, prefix + key)
        elif (folder / key).is_file():
            yield prefix + key


def published_without_media(root: Path) -> bool:
    """Whether the certificate says that stills and sound were left out on purpose; False without a readable one."""
    try:
        said = read_certificate(root)
    except DataError:
        return False
    return isinstance(said, dict) and said.get("media") == MEDIA_LEFT_OUT


def _sorted_list(root: Path, findings: Findings) -> Iterator[tuple[str, str]]:
    """Path and hash of the lines that can be read, by path: as they are, which is how they are written, or sorted."""
    if not _ascends(root / FILE_LIST):
        yield from sorted(_read_list(root, findings).items())
        return
    with (root / FILE_LIST).open(encoding="utf-8") as lines:
        for line in lines:
            yield line[66:].rstrip("\n"), line[:64]


def _ascends(path: Path) -> bool:
    """Whether every line can be read, and they are in the order of their paths, each once."""
    before = ""
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                match = _LINE.fullmatch(line.rstrip("\n"))
                if match is None or match[2] <= before or len(line.splitlines()) > 1:
                    return False
                before = match[2]
    except (OSError, UnicodeDecodeError):
        return False
    return True


def _read_list(root: Path, findings: Findings) -> dict[str, str]:
    """Path to hash, of the lines that can be read; nothing of a list that cannot be read at all."""
    try:
        lines = (root / FILE_LIST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        findings.add(_ERROR, "list-unreadable", FILE_LIST, f"cannot be read ({error!s:.80})")
        return {}
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            findings.add(_ERROR, "list-unreadable", FILE_LIST, "is no `<sha256>  <path>`", where=f"line {number}")
        elif match[2] in listed:
            findings.add(_ERROR, "list-doubled", FILE_LIST, f"{match[2]!r:.80} is there twice", where=f"line {number}")
        else:
            listed[match[2]] = match[1]
    return listed


def _read_certificate(root: Path, findings: Findings) -> dict[str, Any] | None:
    """What the certificate says of the files."""
    try:
        said = read_certificate(root)
    except DataError as error:
        findings.add(_ERROR, "certificate-unreadable", CERTIFICATE, str(error))
        return None
    files = said.get("files") if isinstance(said, dict) else None
    if not isinstance(files, dict):
        findings.add(_ERROR, "certificate-unreadable", CERTIFICATE, "does not say which files there are", name="files")
        return None
    return files


def _check_certificate(
    root: Path, said: dict[str, Any], num_listed: int, size_bytes: int | None, findings: Findings
) -> None:
    """`size_bytes`: None where files are missing or extra, which was said already."""
    if not (root / FILE_LIST).is_file():
        return
    if said.get("sha256") != _text_sha256(root / FILE_LIST):
        text = f"is not the hash of {FILE_LIST}: one of the two was changed"
        findings.add(_ERROR, "certificate-differs", CERTIFICATE, text, name="files.sha256")
    for name, found in (("count", num_listed), ("size_bytes", size_bytes)):
        if found is not None and name in said and said[name] != found:
            text = f"says {said[name]!r:.40}, found {found}; --deep says which files changed"
            findings.add(_ERROR, "certificate-differs", CERTIFICATE, text, name=f"files.{name}")


def _text_sha256(path: Path) -> str:
    """The hash of a text, line by line."""
    digest = hashlib.sha256()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            digest.update(line.encode())
    return digest.hexdigest()
