"""What `report` and `figures` show of a path: the clips of a dataset or of a workspace, and the figures of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.errors import DataError

if TYPE_CHECKING:
    from avis_data.door.clip_sets import ClipSet
    from avis_data.formats.ytvis import YtvisDataset
    from avis_data.paths import Workspace
    from avis_data.report.agreement_figures import AgreementFigures
    from avis_data.report.clips import ClipView, DatasetClips
    from avis_data.report.datasheet import Labour
    from avis_data.report.figures.charts import Figure

__all__ = ["clips_of", "figures_of"]

logger = logging.getLogger(__name__)


def clips_of(path: Path) -> DatasetClips:
    """The clips of a dataset, or those of a workspace that have truth.

    Raises:
        DataError: if there is neither at this place.
        ProblemsError: if a truth file or a manifest cannot be read.
    """
    from avis_data.door.opening import open as open_clips
    from avis_data.report.clips import DatasetClips, open_dataset

    if not (path / "recipe.yaml").is_file():
        return open_dataset(path)
    clips = open_clips(path).filter(lambda clip: clip.has_truth)
    parts = {name or "no split": (replace(clips, parts={name: part}), part) for name, part in clips.parts.items()}

    def view(split: str, place: int) -> ClipView:
        return replace(parts[split][1].clips()[place].view(), split=split)

    return DatasetClips(root=path, splits={name: of.dataset() for name, (of, _) in parts.items()}, view=view)


def figures_of(path: Path) -> list[Figure]:
    """All figures of a dataset, or of a workspace with the work of people in it.

    Raises:
        DataError: if there is neither at this place.
        ProblemsError: if a truth file or a manifest cannot be read.
    """
    from avis_data.door.opening import open as open_clips
    from avis_data.quality import SPLITS
    from avis_data.recipe import load_recipe
    from avis_data.report.clips import open_dataset
    from avis_data.report.figures.counts import count_dataset, scenarios_of_categories
    from avis_data.report.figures.tables import dataset_figures, work_figures

    clips = open_clips(path)
    if clips.kind != "workspace":
        in_files = path.is_file() or any((path / f"{split}.json").is_file() for split in SPLITS)
        truth = open_dataset(path).splits.items() if in_files else _datasets(clips)
        counts = count_dataset(truth, _listed_in_export(path), scenarios_of_categories())
        return dataset_figures(counts)
    from avis_data.paths import Workspace

    workspace = Workspace(path)
    of_category = scenarios_of_categories(load_recipe(workspace).scenarios)
    counts = count_dataset(_datasets(clips), _listed_in_workspace(workspace), of_category)
    return [*dataset_figures(counts), *work_figures(*_work(workspace))]


def _datasets(clips: ClipSet) -> Iterator[tuple[str, YtvisDataset]]:
    """The truth of each split; clips of which nobody said what sounds apart, as a set without labels."""
    for name, part in clips.parts.items():
        of_split = replace(clips, parts={name: part})
        yield name or "no split", of_split.filter(lambda clip: clip.has_truth).dataset()
        rest = [clip.with_tracks(()) for clip in part.clips() if not clip.has_truth]
        if rest:
            yield name or "no split", replace(of_split.of(rest).dataset(), has_annotations=False)


def _listed_in_workspace(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    from avis_data.ledger import Ledger
    from avis_data.pipelines.kept_video_list import wanted_clips

    with Ledger(workspace.ledger, read_only=True) as ledger:
        return {clip_id: row.scenarios for clip_id, row in wanted_clips(ledger)}


def _listed_in_export(path: Path) -> dict[str, tuple[str, ...]]:
    """What the list of an export says; a set of others may have another file of that name."""
    from avis_data.versions.media_prints import VIDEO_LIST
    from avis_data.video_list import read_video_list

    file = path / VIDEO_LIST
    if not file.is_file():
        return {}
    try:
        return {row.span.clip_id: row.scenarios for row in read_video_list(file).clips}
    except DataError as error:
        logger.warning("%s; scenarios are taken from the categories", error)
        return {}


def _work(workspace: Workspace) -> tuple[Mapping[str, Labour], Mapping[str, AgreementFigures]]:
    """Labour and agreement, by round."""
    from avis_data.annotation.agreement.adjudication import compare_rounds
    from avis_data.annotation.agreement.figures import agreement_figures
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.cli.datasheet_command import labour_of

    labels = WorkspaceLabels(workspace)
    labour, agreement = {}, {}
    for name in labels.round_names():
        found = labour_of(labels, [name])
        if found.answers:
            labour[name] = found
        compared = list(compare_rounds(labels, name))
        if compared:
            agreement[name] = agreement_figures(compared)
    return labour, agreement
