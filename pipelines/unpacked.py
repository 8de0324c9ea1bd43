"""Shards (webdataset) as training reads them: unpacked once, in the layout of ytvis, into the user's data folder.

Training reads single frames of clips in random order, on all of them again and again, and for that files are best.
Shards are how they travel: a bucket is asked for a few large files in place of one for each still.
"""

from __future__ import annotations

import re
from pathlib import Path

from filelock import FileLock

from avis_data import __version__
from avis_data.categories import category_set, category_set_names
from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.format_numbers import read_certificate
from avis_data.formats.aviseg_folders import truth_path
from avis_data.formats.hubs.shard_reading import has_tracks, read_shards, shard_files
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.registry import SETS
from avis_data.io import TEMPORARY_PREFIX, remove, sha256_text, write_text
from avis_data.paths import data_home
from avis_data.splits import SPLIT_NAMES

__all__ = ["is_shards", "unpacked_shards"]

_LOOKED_AT = 3
"""Files of a folder that are looked into: an archive of something else may lie beside a dataset of another layout."""
_OF_RECIPE = re.compile(r"^categories: *[\"']?([\w.-]+)", re.MULTILINE)

_HOW_TO_CHOOSE = "avis-data convert SHARDS --to ytvis --out DIR says what is left out and divides anew; then --data DIR"


def is_shards(folder: Path) -> bool:
    """Whether a folder holds shards with tracks, and is no dataset that is read as it lies."""
    if not folder.is_dir() or any(truth_path(folder, split).exists() for split in SPLIT_NAMES[3]):
        return False
    return any(map(has_tracks, shard_files(folder)[:_LOOKED_AT]))


def unpacked_shards(folder: Path) -> Path:
    """The folder in the layout of ytvis with all that some shards hold; made at the first call, or when they changed.

    Categories have the numbers of the category set of the recipe that an export was made with; of shards from elsewhere
    those of the first set that ships with the tool and has all of their names, else in the order of the alphabet.

    Args:
        folder: with `<split>-000000.tar` and so on, as `export --format webdataset` writes it.

    Raises:
        ConfigError: if splits have other names than train, val and test.
        DataError: if the files are no shards.
        ProblemsError: with all clips that have faults: nobody should train on less than they think.
    """
    place = data_home() / "shards" / sha256_text(str(folder.resolve()))[:12]
    out, stamp = place / folder.resolve().name, place / ".made-of"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):  # of several processes of one training one unpacks
        said = _state(folder)
        if out.is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == said:
            return out
        for old in (stamp, out, *place.glob(f"{TEMPORARY_PREFIX}*")):
            remove(old)
        _unpack(folder, out)
        write_text(stamp, said)
    return out


def _state(folder: Path) -> str:
    """What tells shards from others of the same name, and what was made by another version."""
    found = [(path, path.stat()) for path in shard_files(folder)]
    lines = [f"{path.relative_to(folder).as_posix()} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found]
    return "\n".join([__version__, *lines])


def _unpack(folder: Path, out: Path) -> None:
    from avis_data.pipelines.exports.convert import Conversion, convert  # half a second, mostly not needed

    spec = SETS["webdataset"]
    assert spec.reader is not None  # what is trained from was read
    wanted = Conversion(
        source=folder,
        format_name=spec.name,
        reader=spec.reader,
        target=SETS["ytvis"],
        categories=_categories(folder),
    )
    try:
        planned = convert(wanted, None)
        if planned.problems:
            raise ProblemsError(
                f"{folder}: {len(planned.skipped_clips)} clip(s) have faults", planned.problems, hint=_HOW_TO_CHOOSE
            )
        convert(wanted, out)
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}", hint=_HOW_TO_CHOOSE) from None


def _categories(folder: Path) -> str | None:
    """The category set of the recipe that the export says it is of; else the first that has all names."""
    clips = (clip for clip in read_shards(folder) if isinstance(clip, LabelledClip))
    names = {track.category for clip in clips for track in clip.tracks if track.category is not None}
    said = _OF_RECIPE.search(_recipe_text(folder))
    for name in sorted(category_set_names(), key=lambda name: said is None or name != said[1]):
        if names <= {category.name for category in category_set(name).categories}:
            return name
    return None


def _recipe_text(folder: Path) -> str:
    """The recipe in a certificate; empty where there is none, as in shards from elsewhere."""
    try:
        said = read_certificate(folder)
    except DataError:
        return ""
    recipe = said.get("recipe") if isinstance(said, dict) else None
    text = recipe.get("text") if isinstance(recipe, dict) else None
    return text if isinstance(text, str) else ""
