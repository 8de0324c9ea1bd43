"""Wheels and packages of npm, made by hand."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

__all__ = ["npm_package", "wheel"]


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    """A wheel with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


def npm_package(path: Path, members: dict[str, bytes | str]) -> Path:
    """A package of npm with these members; a text is the target of a symbolic link."""
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                packed.addfile(info)
            else:
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    return path
