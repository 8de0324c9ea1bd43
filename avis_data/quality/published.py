"""Checks of an export of ours against what it says of itself: `files.sha256` and `certificate.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from avis_data.errors import DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import read_json, sha256_file, sha256_text
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
    listed = _read_list(root, findings)
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    found = {name for name in files if name not in (FILE_LIST, CERTIFICATE)}
    for name in sorted(listed.keys() - found):
        findings.add(_ERROR, "file-missing", name, f"no such file, but it is in {FILE_LIST}")
    for name in sorted(found - listed.keys()) if listed else ():
        findings.add(_ERROR, "file-extra", name, f"is not in {FILE_LIST}")
    both = sorted(found & listed.keys())
    hashed = [name for name in both if deep or name.endswith(".json")]
    for name in hashed:
        if sha256_file(root / name) != listed[name]:
            findings.add(_ERROR, "file-changed", name, f"is not the file of which {FILE_LIST} holds the hash")
    said = _read_certificate(root, findings)
    if said is not None:
        size_bytes = None if listed.keys() ^ found else sum((root / name).stat().st_size for name in both)
        _check_certificate(root, said, len(listed), size_bytes, findings)
    return {"listed": len(listed), "found": len(both), "hashed": len(hashed)}


def published_without_media(root: Path) -> bool:
    """Whether the certificate says that stills and sound were left out on purpose; False without a readable one."""
    try:
        said = read_json(root / CERTIFICATE)
    except DataError:
        return False
    return isinstance(said, dict) and said.get("media") == MEDIA_LEFT_OUT


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
        said = read_json(root / CERTIFICATE)
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
    if said.get("sha256") != sha256_text((root / FILE_LIST).read_text(encoding="utf-8", errors="replace")):
        text = f"is not the hash of {FILE_LIST}: one of the two was changed"
        findings.add(_ERROR, "certificate-differs", CERTIFICATE, text, name="files.sha256")
    for name, found in (("count", num_listed), ("size_bytes", size_bytes)):
        if found is not None and name in said and said[name] != found:
            text = f"says {said[name]!r:.40}, found {found}; --deep says which files changed"
            findings.add(_ERROR, "certificate-differs", CERTIFICATE, text, name=f"files.{name}")
