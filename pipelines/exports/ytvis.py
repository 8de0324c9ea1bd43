"""Publish a dataset in the AVISeg layout: divided, checked, read back, certified, and only then given its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from avis_data.formats.ytvis import MaskForm
from avis_data.io import sha256_file
from avis_data.ledger import Ledger
from avis_data.paths import Workspace, checked_id
from avis_data.pipelines.engine.progress import Progress
from avis_data.pipelines.exports.certificate import certificate, count_splits, embedding_origins
from avis_data.pipelines.exports.clips import SAMPLE_RATE_HZ, write_clip, write_features, written_clips
from avis_data.pipelines.exports.division import Division, divide
from avis_data.pipelines.exports.inputs import ExportClip, ExportInputs, Selection, gather
from avis_data.pipelines.exports.publish import (
    ExportReport,
    PublishOptions,
    division_facts,
    export_key,
    finish,
    publish,
)
from avis_data.pipelines.exports.read_back import check_clips
from avis_data.pipelines.exports.ytvis_truth import build_dataset, check_dataset, write_dataset
from avis_data.recipe import Truth
from avis_data.splits import Assignment

__all__ = ["ExportOptions", "ExportPlan", "export_ytvis", "plan_export"]

_LAYOUT = 2
"""Raised when the same inputs would give other files."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions(PublishOptions):
    """What is to be published in the AVISeg layout."""

    name: str = "ytvis"
    """Folder below `exports/`."""
    format: Literal["ytvis"] = "ytvis"
    clips: Selection = "accepted"
    truth: Truth | None = None
    """Whether masks are of what sounds, or of all that is seen; None: as the recipe says."""
    features: bool = True
    """Whether to write FEATAudios."""
    masks: MaskForm = "polygons"
    """`polygons`: all official programs read them; `rle`: much smaller, the official evaluation does not read it."""


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """All that an export will hold, before anything is written."""

    inputs: ExportInputs
    assignment: Assignment
    splits: Mapping[str, Sequence[ExportClip]]
    key: str
    """Hash of all that the files depend on: equal keys, equal bytes."""
    bytes_linked: int
    """Stills: links to the workspace's files where the file system has them."""
    bytes_written: int
    """Sound and features."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "key": self.key,
            "counts": count_splits(self.splits),
            **division_facts(self.assignment),
            "bytes_linked": self.bytes_linked,
            "bytes_written": self.bytes_written,
            "clips_without_truth": len(self.inputs.without_truth),
            "clips_dropped": len(self.inputs.dropped),
            "unknown_categories": self.inputs.unknown_categories(),
        }


def plan_export(workspace: Workspace, options: ExportOptions) -> ExportPlan:
    """Gather, check and divide; touches nothing.

    Raises:
        AvisError: for everything that keeps the export from being made, apart from damaged stills and sound,
            which only reading them shows.
    """
    with Ledger(workspace.ledger, read_only=True) as ledger:
        return _planned(workspace, ledger, options)


def _planned(workspace: Workspace, ledger: Ledger, options: ExportOptions) -> ExportPlan:
    checked_id(options.name)
    inputs = gather(
        workspace,
        ledger,
        selection=options.clips,
        with_features=options.features,
        include_draft=options.include == "draft",
        truth=options.truth,
    )
    assignment = _divide(inputs, options)
    by_id = {item.clip.clip_id: item for item in inputs.clips}
    splits = {name: [by_id[clip_id] for clip_id in assignment.clip_ids(name)] for name in assignment.names}
    samples = sum(item.clip.num_seconds for item in inputs.clips) * SAMPLE_RATE_HZ
    embeddings = sum(item.clip.num_frames for item in inputs.clips) if options.features else 0
    chosen = [_LAYOUT, options.format, options.clips, options.include, inputs.truth, options.features, options.masks]
    return ExportPlan(
        inputs=inputs,
        assignment=assignment,
        splits=splits,
        key=export_key(inputs, assignment, chosen),
        bytes_linked=sum(_size_of_stills(workspace, item) for item in inputs.clips),
        bytes_written=samples * 4 + embeddings * 512,
    )


def export_ytvis(workspace: Workspace, options: ExportOptions) -> ExportReport[ExportPlan]:
    """Write `exports/<name>/`: JSON, JPEGImages, WAVAudios, FEATAudios, the list of files and the certificate.

    The same workspace, options and seed give the same bytes. A kill at any moment leaves nothing under the final
    name that is not complete.

    Raises:
        ConfigError: if the folder is no workspace, the split cannot be, or another export has this name.
        BusyError: if another command is at work in the workspace.
        DataError: if inputs are missing or damaged, the disk is full, or what was read back differs.

    Source: layout of the AVISeg data as the official loaders read it (specs of AVISM, §1.2, §1.3).
    """
    return publish(
        workspace,
        options,
        lambda ledger: _planned(workspace, ledger, options),
        write=lambda plan, folder: _write(workspace, plan, options, folder),
    )


def _divide(inputs: ExportInputs, options: ExportOptions) -> Assignment:
    return divide(
        [item.for_split() for item in inputs.clips],
        {item.clip.clip_id: item.clip for item in inputs.clips},
        inputs.recipe,
        Division(split=options.split, split_file=options.split_file, seed=options.seed),
    )


def _size_of_stills(workspace: Workspace, item: ExportClip) -> int:
    stills = (workspace.frame(item.clip.clip_id, number) for number in range(item.clip.num_frames))
    return sum(still.stat().st_size for still in stills if still.is_file())


def _write(workspace: Workspace, plan: ExportPlan, options: ExportOptions, folder: Path) -> dict[str, str]:
    """Write everything into `folder`, read it back, and write list and certificate; gives path -> sha256."""
    split_of = plan.assignment.split_of
    kinds = ("JPEGImages", "WAVAudios", *(["FEATAudios"] if options.features else []))
    for split in plan.splits:
        for kind in kinds:
            (folder / split / kind).mkdir(parents=True)
    with Progress("export", total=3 * len(plan.inputs.clips)) as progress:
        written = written_clips(
            lambda item: write_clip(workspace, item, folder, split_of[item.clip.clip_id]),
            plan.inputs.clips,
            workers=options.workers,
            step=progress.step,
        )
        if options.features:
            write_features(workspace, [(split_of[item.clip.clip_id], item) for item in plan.inputs.clips], folder)
        files = _write_datasets(plan, options, folder, progress.step)
        files |= check_clips(workspace, folder, plan.splits, written, workers=options.workers, step=progress.step)
    embeddings = embedding_origins(workspace, list(split_of)) if options.features else None
    statement = certificate(
        plan.inputs,
        plan.assignment,
        plan.splits,
        key=plan.key,
        selection=f"{options.clips}, draft" if options.include else options.clips,
        mask_form=options.masks,
        files=files,
        size_bytes=sum((folder / name).stat().st_size for name in files),
        embeddings=embeddings,
    )
    finish(folder, files, statement)
    return files


def _write_datasets(plan: ExportPlan, options: ExportOptions, folder: Path, step: Callable[[], None]) -> dict[str, str]:
    files = {}
    for split, items in plan.splits.items():
        path = folder / f"{split}.json"
        dataset = build_dataset(plan.inputs, split, items)
        write_dataset(path, dataset, form=options.masks, step=step)
        check_dataset(path, dataset)
        files[path.name] = sha256_file(path)
    return files
