"""The kinds of files that a workspace has, each with its place, its reader, and the way out where it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from avis_data.paths import Workspace
from avis_data.registry import Registry

__all__ = ["OWN_FILES", "FileKind", "OwnFiles", "kind_of", "not_read"]


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """One kind of file, or of folder that is one thing."""

    name: str
    """What people call it."""
    places: tuple[str, ...]
    """From the workspace's folder; `*` is any name, `**` at the end all that lies below."""
    read: Callable[[Workspace, Path], object]
    """Read it whole, as commands do. Raises AvisError where it is damaged, with line, row or field."""
    advice: str
    """What to do where it is damaged and cannot be made anew here."""
    is_folder: bool = False
    """The folder is one thing, and what lies in it is not looked at one by one."""
    rebuild: str | None = None
    """What `--repair` makes it from; None: it cannot."""
    again: Callable[[Workspace], None] | None = None
    """How `--repair` makes it anew where the repair itself does not; the damaged one is aside by then."""

    def takes(self, parts: Sequence[str]) -> bool:
        """True if a path, as its parts, is of this kind."""
        return any(_fits(parts, place.split("/")) for place in self.places)


@dataclass(frozen=True, kw_only=True)
class OwnFiles:
    """The kinds of one part of the house; the first that takes a path has it."""

    name: str
    kinds: tuple[FileKind, ...]


OWN_FILES: Registry[OwnFiles] = Registry(
    "table of files",
    {
        "workspace": "avis_data.pipelines.doctor.workspace_files:FILES",
        "labels": "avis_data.annotation.work.own_files:FILES",
        "runs": "avis_data.training.run.own_files:FILES",
    },
    group="avis_data.own_files",
)
"""All kinds of files of ours that lie in a workspace."""


def kind_of(parts: Sequence[str]) -> FileKind | None:
    """The kind that a path is of; None for what is not ours."""
    return next((kind for table in OWN_FILES for kind in table.kinds if kind.takes(parts)), None)


def not_read(_workspace: Workspace, _path: Path) -> None:
    """The reader of files whose content is nobody's input: logs, drawings, locks."""


def _fits(parts: Sequence[str], place: Sequence[str]) -> bool:
    if place and place[-1] == "**":
        head = place[:-1]
        return len(parts) > len(head) and _fits(parts[: len(head)], head)
    return len(parts) == len(place) and all(fnmatchcase(*pair) for pair in zip(parts, place, strict=True))
