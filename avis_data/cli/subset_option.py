"""The option `--subset`: figures on the videos that rebuilt sets have in common, and the stamp that they carry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from avis_data.versions import SUBSET

__all__ = ["common_to", "stamp_on", "subset_option"]

subset_option = click.option(
    "--subset",
    "subsets",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="Only the videos of this subset.json (or that of a folder); several: those in all of them.",
)


def common_to(subsets: Sequence[Path], truth: Path) -> set[str] | None:
    """The names of the videos to measure; None: all of the truth file.

    Raises:
        DataError: if a file is no subset, or they have no video of this split in common.
    """
    if not subsets:
        return None
    from avis_data.versions.subset import common_videos, read_subset, split_of

    return common_videos([read_subset(path) for path in subsets], split_of(truth))


def stamp_on(truth: Path, subsets: Sequence[Path]) -> str | None:
    """What has to stand under the figures, `101 of 105 test videos, subset 3f9a12bc`; None for a whole set."""
    if not subsets and not (truth.parent / SUBSET).exists():
        return None
    from avis_data.versions.subset import SplitSubset, common_videos, read_subset, split_of, stamp_of, subset_beside

    split = split_of(truth)
    if not subsets:
        found = subset_beside(truth)
        return None if found is None else stamp_of(split, found)
    read = [read_subset(path) for path in subsets]
    names = tuple(sorted(common_videos(read, split)))
    return stamp_of(split, SplitSubset(videos=names, of=read[0].splits[split].of))
