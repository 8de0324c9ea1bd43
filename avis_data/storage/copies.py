"""The copies that a worker keeps on a machine that does not see the workspace, within bounds."""

from __future__ import annotations

import time
from pathlib import Path

from avis_data.io import remove

__all__ = ["trim_folder"]

_COPIES = ("sources/*", "clips/*/*", "features/vggish/clips/*", "fingerprints/clips/*")
_IN_USE_S = 3600.0
"""A copy that was asked for so recently may be what another worker of this machine reads."""


def trim_folder(root: Path, most_bytes: float) -> None:
    """Remove the least recently used copies below a folder until they take no more than that.

    Args:
        root: stands for the workspace; all below it is in the bucket.
        most_bytes: what they may take.
    """
    found = []
    for path in (path for pattern in _COPIES for path in root.glob(pattern)):
        try:
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            found.append((path.stat().st_atime, sum(file.stat().st_size for file in files), path))
        except FileNotFoundError:
            continue  # another worker removed it
    total, until = sum(size_bytes for _, size_bytes, _ in found), time.time() - _IN_USE_S
    for used, size_bytes, path in sorted(found):
        if total <= most_bytes or used > until:
            return
        remove(path)
        total -= size_bytes
