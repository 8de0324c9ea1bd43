"""Find links that lead out of a workspace, and names that a file shares with one elsewhere, before they do harm."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from avis_data.errors import DataError

__all__ = ["NEVER_ELSEWHERE", "check_links", "check_place", "check_write", "is_inside"]

NEVER_ELSEWHERE = (".tmp", "label-studio", "manifest", "removed")
"""Folders of unfinished work, secrets, what is derived, and what may not come back: always in the workspace itself."""
_FOLDERS = (*NEVER_ELSEWHERE, "annotations", "clips", "exports", "features", "fingerprints", "masks", "runs", "sources")
_LEDGER = ("ledger.sqlite", "ledger.sqlite-journal", "ledger.sqlite-shm", "ledger.sqlite-wal")
_FILES = ("recipe.yaml", "videos.csv", "signed_urls.json", ".lock", *_LEDGER)
_IN_PLACE = (".lock", *_LEDGER)
"""Files at the top that are written in place, not under another name that is then theirs."""


def check_links(root: Path, *, put: Mapping[str, Path] | None = None) -> None:
    """Refuse a workspace in which a link leads out where we write or delete; looks at all of it, and changes nothing.

    Args:
        root: the workspace; it need not exist, or be one yet.
        put: folders that lie elsewhere, by name; None: those of which the owner said so.

    Raises:
        DataError: for the first such link, or file with a second name that would be written in place; says how many
            there are, and how to say that a folder is meant to lie elsewhere.
    """
    found = _Workspace(root, put)
    bad = list(found.links_out())
    if bad:
        raise found.refusal(*bad[0], others=len(bad) - 1)


def check_place(path: Path) -> None:
    """`check_links` for a file or a folder that somebody named to be written, with all that is in it.

    Raises:
        DataError: as `check_links`, if it lies in a workspace.
    """
    check_write(path, in_place=True)
    for found in _workspaces_around(path):
        bad = list(found.below(_absolute(path)))
        if bad:
            raise found.refusal(*bad[0], others=len(bad) - 1)


def check_write(path: Path, *, in_place: bool = False) -> None:
    """Refuse a write, or a deletion, that a link on the way to `path` leads out of the workspace that it lies in.

    Args:
        path: what is written under another name and renamed, or deleted: both leave what a link leads to alone.
        in_place: it is changed itself: then it may be no such link, and have no second name.

    Raises:
        DataError: as `check_links`.
    """
    for found in _workspaces_around(path):
        target = _absolute(path)
        on_the_way = [*reversed(target.parents), *([target] if in_place else [])]
        for step in on_the_way[len(found.root.parts) :]:
            if step.is_symlink() and found.leads_out(step):
                raise found.refusal(step, _LINK)
        if in_place and _has_second_name(target):
            raise found.refusal(target, _SECOND_NAME)


def is_inside(root: Path, path: Path) -> bool:
    """Whether a path, all its links followed, ends in the workspace or in a folder that its owner put elsewhere."""
    return _Workspace(root, None).holds(os.path.realpath(path))


_LINK, _SECOND_NAME = "link", "second name"


class _Workspace:
    """The folder of a workspace, and where its parts may lie."""

    def __init__(self, root: Path, put: Mapping[str, Path] | None) -> None:
        self.root = _absolute(root)
        self._real = os.path.realpath(root)
        self._given = put

    @property
    def _put(self) -> Mapping[str, Path]:
        """Read only when a link is met: most workspaces have none."""
        if self._given is None:
            from avis_data.links.put_folders import put_folders

            self._given = put_folders(self.root)
        return self._given

    def holds(self, real: str) -> bool:
        """Whether a path without links lies in the workspace, or in one of its folders elsewhere."""
        return _is_below(real, self._real) or any(_is_below(real, str(folder)) for folder in self._put.values())

    def leads_out(self, link: Path) -> bool:
        """Whether a link leads where we must not write. Of unfinished work none is followed, wherever it leads."""
        parts = link.relative_to(self.root).parts
        if parts[0] == ".tmp":
            return True
        real = os.path.realpath(link)
        if len(parts) == 1 and parts[0] not in NEVER_ELSEWHERE and str(self._put.get(parts[0])) == real:
            return False
        return not self.holds(real) or (len(parts) == 1 and parts[0] in NEVER_ELSEWHERE)

    def links_out(self) -> Iterator[tuple[Path, str]]:
        """All places of the workspace that must not be written, and what is wrong with them."""
        for name in _FILES:
            path = self.root / name
            if path.is_symlink():
                yield path, _LINK
            elif name in _IN_PLACE and _has_second_name(path):
                yield path, _SECOND_NAME
        for name in _FOLDERS:
            yield from self.below(self.root / name)

    def below(self, top: Path) -> Iterator[tuple[Path, str]]:
        """The same of one folder."""
        if top.is_symlink() and self.leads_out(top):
            yield top, _LINK
            return
        folders = [str(top)]
        while folders:
            folder = folders.pop()
            try:
                entries = os.scandir(folder)
            except OSError:  # not there, or not to be read: whoever wants to write there will say so
                continue
            with entries:
                for entry in entries:
                    if entry.is_symlink():
                        if self.leads_out(Path(entry.path)):
                            yield Path(entry.path), _LINK
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif _is_written_in_place(entry.path, top.name) and entry.stat(follow_symlinks=False).st_nlink > 1:
                        yield Path(entry.path), _SECOND_NAME

    def refusal(self, path: Path, what: str, *, others: int = 0) -> DataError:
        """The error for one of them."""
        more = f"; so do {others} more" if others else ""
        name = path.relative_to(self.root).as_posix()
        if what == _SECOND_NAME:
            message = f"{path}: has a second name elsewhere (a hard link), and would be changed under both{more}"
            return DataError(f"{message}; nothing was written", hint=f"cp {name} {name}.own && mv {name}.own {name}")
        real = os.path.realpath(path)
        message = f"{path}: is a link that leads out of the workspace, to {real}{more}; nothing was written or deleted"
        if name == ".tmp" or name.startswith(".tmp/"):
            message = f"{path}: is a link, to {real}; none is followed in .tmp{more}; nothing was written or deleted"
            return DataError(message, hint=f"remove it: rm {name}")
        if "/" not in name and name not in (*NEVER_ELSEWHERE, *_FILES):
            return DataError(message, hint=f"if that folder is to be yours: avis-data init --put {name}={real}")
        hint = "put what it leads to in its place, or remove it; only whole folders lie elsewhere, when you say so: "
        return DataError(message, hint=f"{hint}avis-data init --put clips=/big/clips")


def _absolute(path: Path) -> Path:
    """Without `.` and `..`, links as they are."""
    return Path(os.path.abspath(path))


def _is_below(real: str, folder: str) -> bool:
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def _has_second_name(path: Path) -> bool:
    try:
        return path.lstat().st_nlink > 1 and path.is_file()
    except OSError:
        return False


def _is_written_in_place(path: str, top: str) -> bool:
    """Logs and locks that grow, downloads that go on, the files of Label Studio. All else gets a new file."""
    if top == "label-studio":
        return True
    if top == ".tmp":
        return f"{os.sep}scratch{os.sep}" in path
    return top not in ("exports", "manifest") and path.endswith((".jsonl", ".lock"))


def _workspaces_around(path: Path) -> Iterator[_Workspace]:
    """All, not only the nearest: what lies in a workspace can look like another one."""
    for folder in _absolute(path).parents:
        if os.path.lexists(folder / "recipe.yaml") and os.path.lexists(folder / "ledger.sqlite"):
            yield _Workspace(folder, None)
