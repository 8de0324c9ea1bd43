"""What takes the space of a workspace, by what it is."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.places import files_of
from avis_data.pipelines.upkeep.stored import objects_of

__all__ = ["Size", "sizes_in_bucket", "sizes_of"]

_NOT_OURS = "not avis-data's"


@dataclass(kw_only=True)
class Size:
    """What one kind of files takes."""

    group: str
    files: int = 0
    size_bytes: int = 0
    """Of files that have their bytes alone: a still that an export links to is counted where the still is."""
    linked_bytes: int = 0
    """Of names that share their bytes with one that was counted before."""
    remade_bytes: int = 0
    """Of what is made again when it is missing."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "group": self.group,
            "files": self.files,
            "bytes": self.size_bytes,
            "linked_bytes": self.linked_bytes,
            "remade_bytes": self.remade_bytes,
        }


def sizes_of(workspace: Workspace) -> list[Size]:
    """What every group of places takes, the largest first; files of the folder that are not ours last.

    Names of one file (hard links) are counted once, in the workspace before its exports.
    """
    found: dict[str, Size] = {}
    counted: set[tuple[int, int]] = set()
    files = sorted(files_of(workspace), key=lambda file: file.relative.startswith("exports/"))
    for file in files:
        group = _NOT_OURS if file.place is None else file.place.group
        size, status = found.setdefault(group, Size(group=group)), file.path.lstat()
        size.files += 1
        if status.st_nlink > 1 and (status.st_dev, status.st_ino) in counted:
            size.linked_bytes += status.st_size
            continue
        counted.add((status.st_dev, status.st_ino))
        size.size_bytes += status.st_size
        size.remade_bytes += status.st_size if file.place is not None and file.place.remade else 0
    return sorted(found.values(), key=lambda size: (size.group == _NOT_OURS, -size.size_bytes, size.group))


def sizes_in_bucket(workspace: Workspace) -> list[Size]:
    """What every group takes in the workspace's bucket, the largest first; nothing is downloaded."""
    found: dict[str, Size] = {}
    for one in objects_of(workspace):
        group = _NOT_OURS if one.place is None else one.place.group
        size = found.setdefault(group, Size(group=group))
        size.files += 1
        size.size_bytes += one.size_bytes
    return sorted(found.values(), key=lambda size: (-size.size_bytes, size.group))
