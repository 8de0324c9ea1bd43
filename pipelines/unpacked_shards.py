"""Shards (webdataset) as training reads them: unpacked once, in the layout of ytvis, into the user's data folder.

Training reads single frames of clips in random order, on all of them again and again, and for that files are best.
Shards are how they travel: a bucket is asked for a few large files in place of one for each still.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from avis_data import __version__
from avis_data.categories import category_set, category_set_names
from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.format_numbers import CERTIFICATE, read_certificate
from avis_data.formats.aviseg_folders import truth_path
from avis_data.formats.hubs.shard_reading import has_tracks, read_shards, shard_files
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.layout import split_of
from avis_data.formats.sets.registry import SETS
from avis_data.io import TEMPORARY_PREFIX, read_json, remove, sha256_text, write_json
from avis_data.paths import data_home
from avis_data.splits import SPLIT_NAMES

__all__ = ["is_shards", "unpacked_shards"]

_LOOKED_AT = 3
"""Files of a folder that are looked into: an archive of something else may lie beside a dataset of another layout."""
_KEPT_S = 7 * 24 * 3600.0
_OF_RECIPE = re.compile(r"^categories: *[\"']?([\w.-]+)", re.MULTILINE)

_HOW_TO_CHOOSE = "avis-data convert SHARDS --to ytvis --out DIR says what is left out and divides anew; then --data DIR"


def is_shards(folder: Path) -> bool:
    """Whether a folder holds shards with tracks, itself or in folders of splits, and is no dataset that is read as it
    lies, or a folder of several."""
    if not folder.is_dir() or any(truth_path(folder, split).exists() for split in SPLIT_NAMES[3]):
        return False
    files = shard_files(folder)
    in_place = all(path.parent == folder or split_of(path.parent.name) is not None for path in files)
    return in_place and any(map(has_tracks, files[:_LOOKED_AT]))


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
    root = data_home() / "shards" / sha256_text(str(folder.resolve()))[:12]
    place = root / sha256_text(_state(folder))[:12]
    out, whole = place / folder.resolve().name, place / ".whole"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):  # of several processes of one training one unpacks
        if not whole.exists():
            for old in (out, *place.glob(f"{TEMPORARY_PREFIX}*")):
                remove(old)
            _unpack(folder, out)
            whole.touch()
        os.utime(whole)
        _clear_away(root, kept=place)
    return out


def _clear_away(root: Path, *, kept: Path) -> None:
    """What shards of that name held before, once nobody has asked for it for long: a training may be reading it."""
    for old in root.iterdir():
        if old.is_dir() and old != kept and time.time() - _last_asked(old) > _KEPT_S:
            remove(old)


def _last_asked(place: Path) -> float:
    whole = place / ".whole"
    return (whole if whole.exists() else place).stat().st_mtime


def _state(folder: Path) -> str:
    """What tells shards from others of the same name, and what was made by another version."""
    found = [path for path in (*shard_files(folder), folder / CERTIFICATE) if path.is_file()]
    lines = [f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in found]
    return "\n".join([__version__, *lines])


def _unpack(folder: Path, out: Path) -> None:
    from avis_data.pipelines.exports.convert import Conversion, convert  # half a second, mostly not needed

    spec = SETS["webdataset"]
    assert spec.reader is not None  # what is trained from was read
    said = _certificate(folder)
    wanted = Conversion(
        source=folder,
        format_name=spec.name,
        reader=spec.reader,
        target=SETS["ytvis"],
        categories=_categories(folder, said),
    )
    try:
        report = convert(wanted, out)
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}", hint=_HOW_TO_CHOOSE) from None
    if report.problems:
        remove(out)
        faults = f"{folder}: {len(report.skipped_clips)} clip(s) have faults"
        raise ProblemsError(faults, report.problems, hint=_HOW_TO_CHOOSE)
    if "embeddings" in said:  # with which weights they were made: others would be other embeddings
        write_json(out / CERTIFICATE, read_json(out / CERTIFICATE) | {"embeddings": said["embeddings"]})


def _certificate(folder: Path) -> dict[str, object]:
    """Empty where there is none, as of shards from elsewhere."""
    try:
        said = read_certificate(folder)
    except DataError:
        return {}
    return said if isinstance(said, dict) else {}


def _categories(folder: Path, certificate: Mapping[str, object]) -> str | None:
    """The category set of the recipe that the export says it is of; else the first that has all names."""
    clips = (clip for clip in read_shards(folder) if isinstance(clip, LabelledClip))
    names = {track.category for clip in clips for track in clip.tracks if track.category is not None}
    recipe = certificate.get("recipe")
    text = recipe.get("text") if isinstance(recipe, dict) else None
    said = _OF_RECIPE.search(text) if isinstance(text, str) else None
    for name in sorted(category_set_names(), key=lambda name: said is None or name != said[1]):
        if names <= {category.name for category in category_set(name).categories}:
            return name
    return None
