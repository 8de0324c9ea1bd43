"""Which videos of a published set a rebuilt one still has, and the name that results on it carry."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, ValidationError

from avis_data.config import problems_from_validation
from avis_data.errors import DataError, ProblemsError
from avis_data.io import read_json, sha256_text, write_json
from avis_data.records import Record
from avis_data.versions import SUBSET

__all__ = [
    "SUBSET",
    "Missing",
    "SplitSubset",
    "Subset",
    "common_videos",
    "read_subset",
    "split_of",
    "stamp_of",
    "subset_beside",
    "subset_hash",
    "write_subset",
]


class SplitSubset(Record):
    """What is left of a split."""

    videos: tuple[str, ...] = Field(description="Names of those that are there, sorted.")
    of: int = Field(ge=0, description="How many the published split has.")

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return len(self.videos) == self.of


class Missing(Record):
    """A video that is not there any more."""

    name: str
    split: str
    reason: str
    message: str


class Subset(Record):
    """`subset.json`."""

    set_sha256: str = Field(description="Hash of the list of files of the published set.")
    splits: dict[str, SplitSubset]
    missing: tuple[Missing, ...] = ()
    same: int = Field(ge=0, description="Videos whose stills and sound are those of the published set, to the bit.")
    near: dict[str, str] = Field(description="Videos that only look and sound the same: how far they are apart.")


def subset_hash(names: Iterable[str]) -> str:
    """Eight hexadecimal digits that name a set of videos, in any order."""
    return sha256_text("\n".join(sorted(names)))[:8]


def stamp_of(split: str, subset: SplitSubset) -> str:
    """What stands under every figure on it: `101 of 105 test videos, subset 3f9a12bc`."""
    if subset.is_whole:
        return f"all {subset.of} {split} videos"
    return f"{len(subset.videos)} of {subset.of} {split} videos, subset {subset_hash(subset.videos)}"


def write_subset(folder: Path, subset: Subset) -> None:
    """Write it into the folder of a rebuilt set."""
    write_json(folder / SUBSET, subset.model_dump(mode="json"))


def read_subset(path: Path) -> Subset:
    """Read a `subset.json`, or that of a folder.

    Raises:
        DataError: if it is missing or no JSON.
        ProblemsError: with every field that is wrong.
    """
    file = path / SUBSET if path.is_dir() else path
    try:
        return Subset.model_validate(read_json(file))
    except ValidationError as error:
        raise ProblemsError(f"{file}: is no {SUBSET}", problems_from_validation(error, where=str(file))) from None


def split_of(truth: Path) -> str:
    """The name of the split that a truth file is of."""
    return truth.name.removesuffix(".gz").removesuffix(".json")


def subset_beside(truth: Path) -> SplitSubset | None:
    """The subset that a truth file is of; None where it stands in no rebuilt set.

    Raises:
        DataError, ProblemsError: if there is a `subset.json` that cannot be read.
    """
    if not (truth.parent / SUBSET).is_file():
        return None
    return read_subset(truth.parent).splits.get(split_of(truth))


def common_videos(subsets: Iterable[Subset], split: str) -> set[str]:
    """The videos of a split that all of them have.

    Raises:
        DataError: if one has no such split, they are of different sets, or have nothing in common.
    """
    common: set[str] | None = None
    sets = set()
    for subset in subsets:
        if split not in subset.splits:
            raise DataError(f"{SUBSET}: has no split {split!r}, only {', '.join(subset.splits)}")
        sets.add(subset.set_sha256)
        names = set(subset.splits[split].videos)
        common = names if common is None else common & names
    if len(sets) > 1:
        raise DataError(f"{SUBSET}: these are of {len(sets)} different published sets")
    if not common:
        raise DataError(f"{SUBSET}: no video of {split} is in all of them")
    return common
