"""Folders of workspaces that lie elsewhere because the owner said so: `put.json` in the user's data folder.

It is no file of the workspace: what comes in an archive, or with a copy, could bring any file. An entry names the
workspace by its path and by the number that the system gave its folder, so that another one unpacked there has none.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from avis_data.config import validated
from avis_data.errors import ConfigError, DataError
from avis_data.io import read_json, write_private
from avis_data.links.check import NEVER_ELSEWHERE, check_links
from avis_data.paths import data_home
from avis_data.records import Record

__all__ = ["put", "put_folders"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class _PutFolder(Record):
    workspace: str
    """Its path, without links."""
    inode: int
    """Of its folder."""
    name: str
    folder: str
    """Without links."""


class _PutFolders(Record):
    folders: list[_PutFolder]


def put_folders(root: Path) -> dict[str, Path]:
    """Where folders of a workspace lie that its owner put elsewhere, by name; without links.

    Raises:
        DataError: if the file that says so is damaged, or others can write it.
    """
    path, inode = os.path.realpath(root), _inode(root)
    return {row.name: Path(row.folder) for row in _read() if (row.workspace, row.inode) == (path, inode)}


def put(root: Path, wanted: Mapping[str, Path]) -> None:
    """Let folders of a workspace lie elsewhere: a link to each is made where there is none, and remembered.

    Args:
        root: the workspace.
        wanted: the other folders, by the name in the workspace; those that are not there are made.

    Raises:
        ConfigError: if a name cannot lie elsewhere, the workspace has something under it, or the other folder is in
            the workspace, has it inside, or is no folder.
        DataError: if another link leads out of the workspace.
    """
    targets = {name: Path(os.path.realpath(folder)) for name, folder in wanted.items()}
    for name, target in targets.items():
        _check(root, name, target)
    check_links(root, put={**put_folders(root), **targets})
    for name, target in targets.items():
        target.mkdir(parents=True, exist_ok=True)
        link = root / name
        if not link.is_symlink():
            if link.is_dir():
                link.rmdir()
            link.symlink_to(target, target_is_directory=True)
    _remember(root, targets)


def _check(root: Path, name: str, target: Path) -> None:
    link, home = root / name, Path(os.path.realpath(root))
    if not _NAME.fullmatch(name) or name in NEVER_ELSEWHERE:
        never = ", ".join(NEVER_ELSEWHERE)
        raise ConfigError(f"--put {name}: no folder that may lie elsewhere (letters, digits, _ and -; not {never})")
    if home in (target, *target.parents) or target in home.parents:
        raise ConfigError(f"--put {name}={target}: one of it and the workspace {home} is inside the other")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"--put {name}={target}: is no folder")
    if link.is_symlink():
        if os.path.realpath(link) != str(target):
            hint = f"remove that link first: rm {link}"
            raise ConfigError(f"--put {name}={target}: {link} is a link to {os.path.realpath(link)}", hint=hint)
    elif link.exists() and not (link.is_dir() and not any(link.iterdir())):
        hint = f"move it there first: mv {link} {target}"
        raise ConfigError(f"--put {name}={target}: {link} is there already, and not empty", hint=hint)


def _remember(root: Path, targets: Mapping[str, Path]) -> None:
    from filelock import FileLock

    path, inode = os.path.realpath(root), _inode(root)
    data_home().mkdir(parents=True, exist_ok=True)
    with FileLock(_file().with_suffix(".lock")):
        others = [row for row in _read() if row.workspace != path or (row.inode == inode and row.name not in targets)]
        new = [
            _PutFolder(workspace=path, inode=inode, name=name, folder=str(folder)) for name, folder in targets.items()
        ]
        rows = sorted([*others, *new], key=lambda row: (row.workspace, row.name))
        write_private(_file(), _PutFolders(folders=rows).model_dump_json(indent=2) + "\n")


def _read() -> list[_PutFolder]:
    path = _file()
    if not path.exists():
        return []
    if sys.platform != "win32":
        status = path.stat()
        if status.st_mode & 0o022 or status.st_uid not in (os.getuid(), 0):
            raise DataError(f"{path}: others can write this file", hint=f"look what is in it, then chmod 600 {path}")
    return validated(_PutFolders, read_json(path), where=str(path)).folders


def _inode(root: Path) -> int:
    return root.stat().st_ino if root.exists() else -1


def _file() -> Path:
    return data_home() / "put.json"
