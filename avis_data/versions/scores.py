"""What the changes between two versions do to figures that were computed with the old one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avis_data.errors import ConfigError, DataError
from avis_data.formats.ytvis import YtvisVideo
from avis_data.io import read_json
from avis_data.metrics.counting import Mode, Rank
from avis_data.metrics.evaluation import AvisResult
from avis_data.metrics.files import evaluate_files
from avis_data.metrics.table import figures_of
from avis_data.versions.version import Version

__all__ = ["ScoreChange", "score_change"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreChange:
    """Figures of one result file under both versions, fractions; None where a figure has no value."""

    results: Path
    split: str
    num_old: int
    """Videos of the split in the old version."""
    num_common: int
    """Of them in the new version's split too, with stills of the same number and size."""
    before: Mapping[str, float | None]
    """Old version, all its videos."""
    common_before: Mapping[str, float | None]
    """Old version, the common videos only."""
    common_after: Mapping[str, float | None]
    """New version, the common videos only."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "results": self.results.name,
            "split": self.split,
            "videos": {"old": self.num_old, "common": self.num_common},
            "old": dict(self.before),
            "old_common": dict(self.common_before),
            "new_common": dict(self.common_after),
        }


def score_change(
    old: Version, new: Version, results: Path, *, split: str, mode: Mode = Mode.STRICT, workers: int = 1
) -> ScoreChange:
    """Evaluate stored results against both versions of a split.

    Results keep their masks; ids of videos and categories are carried over by name. Videos that only one version has
    are left out of the comparison, as the model was not asked about them.

    Args:
        old: the version that the results were made with.
        new: the other one.
        results: a result file for a split of the old version.
        split: which.
        mode: whose definitions.
        workers: processes.

    Raises:
        ConfigError: if one of the versions has no such split.
        DataError: if they have no video in common, or the results are no result file.
        ProblemsError: if results do not fit the old version.
    """
    for version in (old, new):
        if split not in version.splits:
            has = ", ".join(version.splits)
            raise ConfigError(f"{version.path}: has no split {split!r}", hint=f"--on takes one of: {has}")
    videos = [{video.name: video for video in version.splits[split].videos} for version in (old, new)]
    common = [name for name, video in videos[0].items() if name in videos[1] and _same_form(video, videos[1][name])]
    if not common:
        raise DataError(f"{split}: no video is in both versions with stills of the same number and size")
    before = evaluate_files(old.files[split], results, modes=[mode], workers=workers)
    categories = _carried_categories(old, new, split)
    ids = {videos[0][name].video_id: videos[1][name].video_id for name in common}
    with tempfile.TemporaryDirectory(prefix="avis-data-diff-") as folder:
        carried = Path(folder) / results.name.removesuffix(".gz")
        carried.write_text(json.dumps(_carried(read_json(results), ids, categories)), encoding="utf-8")
        after = evaluate_files(new.files[split], carried, modes=[mode], workers=workers, only=common)
    again = evaluate_files(old.files[split], results, modes=[mode], workers=workers, only=common)
    return ScoreChange(
        results=results,
        split=split,
        num_old=len(videos[0]),
        num_common=len(common),
        before=_headlines(before.result, mode),
        common_before=_headlines(again.result, mode),
        common_after=_headlines(after.result, mode),
    )


def _same_form(one: YtvisVideo, other: YtvisVideo) -> bool:
    return (one.length, one.width, one.height) == (other.length, other.width, other.height)


def _carried_categories(old: Version, new: Version, split: str) -> dict[int, int]:
    """Old id -> new id of the category of that name; one that the new version lacks cannot be predicted rightly."""
    ids = {entry.name: entry.id for entry in new.splits[split].categories}
    return {entry.id: ids[entry.name] for entry in old.splits[split].categories if entry.name in ids}


def _carried(
    entries: Sequence[dict[str, Any]], videos: Mapping[int, int], categories: Mapping[int, int]
) -> list[dict[str, Any]]:
    return [
        entry | {"video_id": videos[entry["video_id"]], "category_id": categories[entry["category_id"]]}
        for entry in entries
        if entry["video_id"] in videos and entry["category_id"] in categories
    ]


def _headlines(result: AvisResult, mode: Mode) -> dict[str, float | None]:
    return {figure.called: result.modes[mode].figures.get(figure.name) for figure in figures_of(mode, Rank.HEADLINE)}
