"""Machine labels as a result file, which `avis-data evaluate` and the official evaluation read: a baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.annotation.labels.records import LabelledTrack, PreLabels
from avis_data.annotation.labels.store import read_machine_labels
from avis_data.annotation.prelabel.prelabel import SPEC, PrelabelFacts
from avis_data.errors import DataError
from avis_data.formats.ytvis import YtvisVideo, read_ytvis
from avis_data.io import atomic_path
from avis_data.ledger import Ledger
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from avis_data.records import State

__all__ = ["Written", "write_machine_results"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a result file holds."""

    path: Path
    num_tracks: int
    num_clips: int
    missing: tuple[str, ...]
    """Clips of the truth that no machine labelled: nothing is predicted there."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {**self.__dict__, "path": str(self.path), "missing": list(self.missing)}


def write_machine_results(workspace: Workspace, truth: Path, out: Path) -> Written:
    """Write what machines say of the clips of a truth file; videos, sizes and ids of categories are its own.

    A mask is there in the seconds in which its track sounds, and empty in the others, as models are published.

    Args:
        workspace: with machine labels; clips are found by the names of the videos.
        truth: as an export has it, `test.json`. Only its head is used, not a mask of it.
        out: appears when all is written.

    Raises:
        DataError: if the truth or a file of labels is damaged, or they do not fit each other.
        ProblemsError: with everything that is wrong with the truth.
    """
    known = read_ytvis(truth)
    categories = {item.name: item.id for item in known.categories}
    with Ledger(workspace.ledger, read_only=True) as ledger:
        facts = dict(ledger.read_facts(SPEC.name, PrelabelFacts))
    num_tracks, num_clips, missing = 0, 0, []
    with atomic_path(out) as part, part.open("w", encoding="utf-8") as file:
        file.write("[")
        for video in known.videos:
            labels = read_machine_labels(workspace, video.name)
            if labels is None or video.name not in facts:
                missing.append(video.name)
                continue
            num_clips += 1
            for entry in _entries(video, labels, facts[video.name], categories, truth):
                file.write(("," if num_tracks else "") + "\n" + json.dumps(entry, allow_nan=False))
                num_tracks += 1
        file.write("\n]\n")
    return Written(path=out, num_tracks=num_tracks, num_clips=num_clips, missing=tuple(missing))


def _entries(
    video: YtvisVideo, labels: PreLabels, facts: PrelabelFacts, categories: dict[str, int], truth: Path
) -> Iterator[dict[str, object]]:
    size = (labels.height, labels.width, labels.num_frames)
    if size != (video.height, video.width, video.length):
        said = f"{video.length} stills of {video.width}x{video.height}"
        found = f"{labels.num_frames} stills of {labels.width}x{labels.height}"
        raise DataError(f"{truth}: {video.name} has {said}, the workspace's {found}")
    for track in labels.tracks:
        if track.category not in categories:
            raise DataError(f"{truth}: no category {track.category!r}, which {video.name} has in the workspace")
        yield {
            "video_id": video.video_id,
            "score": facts.scores.get(track.identity, 0.0),
            "category_id": categories[track.category],
            "segmentations": _segmentations(track, labels),
        }


def _segmentations(track: LabelledTrack, labels: PreLabels) -> list[dict[str, object]]:
    empty = encode(np.zeros((labels.height, labels.width), dtype=np.bool_))
    masks = track.rle_by_frame()
    sounding = [masks[t] if state is State.SOUNDING else empty for t, state in enumerate(track.states)]
    return [{"size": [rle.height, rle.width], "counts": rle.counts} for rle in sounding]
