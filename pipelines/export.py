"""Publish a dataset in the AVISeg layout: divided, checked, read back, certified, and only then given its name."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from avis_data import __version__
from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.formats.ytvis import MaskForm
from avis_data.io import (
    TEMPORARY_PREFIX,
    atomic_dir,
    canonical_json,
    read_json,
    remove,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)
from avis_data.ledger import Done, Ledger, Output
from avis_data.paths import Workspace, checked_id
from avis_data.pipelines.certificate import certificate, count_splits, embedding_origins, file_list
from avis_data.pipelines.export_clips import SAMPLE_RATE_HZ, map_clips, write_clip, write_features
from avis_data.pipelines.export_dataset import build_dataset, check_dataset, write_dataset
from avis_data.pipelines.export_inputs import ExportClip, ExportInputs, Selection, gather
from avis_data.pipelines.export_verify import check_clips
from avis_data.pipelines.lock import open_for_work
from avis_data.pipelines.progress import Progress
from avis_data.recipe import load_recipe
from avis_data.splits import Assignment, assign_splits, balance_report, parse_split
from avis_data.splits.written import SplitEntry, assign_from_entries, read_split_file
from avis_data.validation.published import CERTIFICATE, FILE_LIST

__all__ = ["ExportOptions", "ExportPlan", "ExportReport", "export_ytvis", "plan_export"]

_LAYOUT = 2
"""Raised when the same inputs would give other files."""

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is to be published."""

    name: str = "ytvis"
    """Folder below `exports/`."""
    format: Literal["ytvis"] = "ytvis"
    split: str | None = None
    """`616/105/205` or `75/25`; None: that of the list or of the imported sets, else the recipe's default."""
    split_file: Path | None = None
    """A written division, in place of `split`."""
    seed: int = 0
    """Of the division; nothing else is left to chance."""
    clips: Selection = "accepted"
    include: Literal["draft"] | None = None
    """`draft`: labels that nobody accepted yet are truth too, for clips that have no other."""
    features: bool = True
    """Whether to write FEATAudios."""
    masks: MaskForm = "polygons"
    """`polygons`: all official programs read them; `rle`: much smaller, the official evaluation does not read it."""
    workers: int = 4
    """Threads; the result does not depend on it."""
    force: bool = False
    """Replace an export of the same name."""


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
        balance = balance_report(self.assignment)
        return {
            "key": self.key,
            "counts": count_splits(self.splits),
            "split": {"request": self.assignment.request, "seed": self.assignment.seed},
            "max_deviation_clips": round(balance.max_deviation_clips, 6),
            "mean_deviation": round(balance.mean_deviation, 6),
            "bytes_linked": self.bytes_linked,
            "bytes_written": self.bytes_written,
            "clips_without_truth": len(self.inputs.without_truth),
            "clips_dropped": len(self.inputs.dropped),
            "unknown_categories": self.inputs.unknown_categories(),
        }


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was published."""

    path: str
    """Relative to the workspace."""
    plan: ExportPlan
    already_done: bool
    """True where an export of the same key was there: nothing was written."""
    num_files: int
    files_sha256: str
    """Of `files.sha256`, so of every file."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "path": self.path,
            "already_done": self.already_done,
            "num_files": self.num_files,
            "files_sha256": self.files_sha256,
            **self.plan.as_dict(),
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
    )
    assignment = _divide(inputs, options)
    by_id = {item.clip.clip_id: item for item in inputs.clips}
    splits = {name: [by_id[clip_id] for clip_id in assignment.clip_ids(name)] for name in assignment.names}
    seconds = sum(item.clip.num_seconds for item in inputs.clips)
    return ExportPlan(
        inputs=inputs,
        assignment=assignment,
        splits=splits,
        key=_key(inputs, assignment, options),
        bytes_linked=sum(_size_of_stills(workspace, item) for item in inputs.clips),
        bytes_written=seconds * (SAMPLE_RATE_HZ * 4 + (512 if options.features else 0)),
    )


def export_ytvis(workspace: Workspace, options: ExportOptions) -> ExportReport:
    """Write `exports/<name>/`: JSON, JPEGImages, WAVAudios, FEATAudios, the list of files and the certificate.

    The same workspace, options and seed give the same bytes. A kill at any moment leaves nothing under the final
    name that is not complete.

    Raises:
        ConfigError: if the folder is no workspace, the split cannot be, or another export has this name.
        BusyError: if another command is at work in the workspace.
        DataError: if inputs are missing or damaged, the disk is full, or what was read back differs.

    Source: layout of the AVISeg data as the official loaders read it (specs of AVISM, §1.2, §1.3).
    """
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    with open_for_work(workspace, "avis-data export") as ledger:
        plan = _planned(workspace, ledger, options)
        target = workspace.exports / options.name
        if target.exists() and not options.force:
            return _report(workspace, target, plan, _same_export(workspace, target, plan), already_done=True)
        _remove_leftovers(workspace)
        with _disk_errors(target), atomic_dir(target) as part:
            files = _write(workspace, plan, options, part)
        report = _report(workspace, target, plan, files, already_done=False)
        ledger.commit_done("export", _entry(workspace, target, report))
    return report


def _divide(inputs: ExportInputs, options: ExportOptions) -> Assignment:
    clips = [item.for_split() for item in inputs.clips]
    if options.split is not None and options.split_file is not None:
        raise ConfigError("--split and --split-file exclude each other")
    if options.split_file is not None:
        return assign_from_entries(clips, read_split_file(options.split_file), origin=options.split_file.name)
    listed = [
        SplitEntry(where=f"clip {item.clip.clip_id}", id=item.clip.clip_id, field="clip_id", split=item.clip.split)
        for item in inputs.clips
        if item.clip.split is not None
    ]
    if options.split is None and len(listed) == len(clips):
        return assign_from_entries(clips, listed, origin="as given by the list or the imported sets")
    if options.split is None and listed:
        raise ConfigError(
            "the column split of the list, or the set that clips come from, "
            f"names {len(listed)} of {len(clips)} clips: all or none",
            hint="--split 75/25, or --split-file splits.csv",
        )
    text = options.split or inputs.recipe.split
    if text is None:
        raise ConfigError("no split: neither asked for, nor in the list, nor in the recipe", hint="--split 75/25")
    return assign_splits(clips, parse_split(text), options.seed)


def _key(inputs: ExportInputs, assignment: Assignment, options: ExportOptions) -> str:
    clips = [
        [
            item.clip.model_dump(mode="json"),
            [item.video.sha256, item.video.url, item.license, item.group, item.has_truth, item.features_sha256],
            [
                [
                    track.track.model_dump(mode="json"),
                    [mask and [mask.height, mask.width, mask.counts] for mask in track.masks],
                ]
                for track in item.tracks
            ],
        ]
        for item in inputs.clips
    ]
    division = [assignment.request, assignment.seed, assignment.names, dict(assignment.split_of)]
    categories = inputs.categories.model_dump(mode="json")
    chosen = [options.format, options.clips, options.include, options.features, options.masks]
    return sha256_text(canonical_json([_LAYOUT, __version__, inputs.recipe_text, categories, chosen, division, clips]))


def _size_of_stills(workspace: Workspace, item: ExportClip) -> int:
    stills = (workspace.frame(item.clip.clip_id, second) for second in range(item.clip.num_seconds))
    return sum(still.stat().st_size for still in stills if still.is_file())


def _write(workspace: Workspace, plan: ExportPlan, options: ExportOptions, folder: Path) -> dict[str, str]:
    """Write everything into `folder`, read it back, and write list and certificate; gives path -> sha256."""
    free = shutil.disk_usage(folder).free
    if plan.bytes_written > free:
        raise OSError(errno.ENOSPC, f"needs {plan.bytes_written >> 20} MiB, {free >> 20} are free", str(folder))
    split_of = plan.assignment.split_of
    kinds = ("JPEGImages", "WAVAudios", *(["FEATAudios"] if options.features else []))
    for split in plan.splits:
        for kind in kinds:
            (folder / split / kind).mkdir(parents=True)
    with Progress("export", total=3 * len(plan.inputs.clips)) as progress:
        written, problems = map_clips(
            lambda item: write_clip(workspace, item, folder, split_of[item.clip.clip_id]),
            plan.inputs.clips,
            workers=options.workers,
            step=progress.step,
        )
        if problems:
            raise ProblemsError(
                f"{len(problems)} of {len(plan.inputs.clips)} clips are damaged or missing, so nothing was exported",
                problems,
                hint="make the damaged clips again as each line says, then export again",
            )
        if options.features:
            write_features(workspace, [(split_of[item.clip.clip_id], item) for item in plan.inputs.clips], folder)
        files = _write_datasets(plan, options, folder, progress.step)
        files |= check_clips(workspace, folder, plan.splits, written, workers=options.workers, step=progress.step)
    embeddings = embedding_origins(workspace, list(split_of)) if options.features else None
    write_text(folder / FILE_LIST, file_list(files))
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
    write_json(folder / CERTIFICATE, statement)
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


def _same_export(workspace: Workspace, target: Path, plan: ExportPlan) -> dict[str, str]:
    """The files of an export that is there already, if it is the very one that was asked for."""
    name = workspace.relative(target)
    again = "avis-data export --force replaces it, --name NAME writes beside it"
    if not (target / CERTIFICATE).is_file():
        raise ConfigError(f"{name} exists and is no finished export", hint=again)
    found = read_json(target / CERTIFICATE)
    if not isinstance(found, dict) or found.get("key") != plan.key:
        raise ConfigError(f"{name} exists and was made from other data or options", hint=again)
    lines = (target / FILE_LIST).read_text(encoding="utf-8").splitlines() if (target / FILE_LIST).is_file() else []
    files = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    missing = [path for path in files if not (target / path).is_file()]
    if missing or not files:
        raise ConfigError(f"{name} exists but is damaged: {(missing or [FILE_LIST])[0]} is missing", hint=again)
    return files


def _report(
    workspace: Workspace, target: Path, plan: ExportPlan, files: Mapping[str, str], *, already_done: bool
) -> ExportReport:
    return ExportReport(
        path=workspace.relative(target),
        plan=plan,
        already_done=already_done,
        num_files=len(files),
        files_sha256=sha256_text(file_list(files)),
    )


def _entry(workspace: Workspace, target: Path, report: ExportReport) -> Done:
    """What the ledger keeps: the hash over all files, and the hashes of all that they were made from."""
    clips = {item.clip.clip_id: item.clip for item in report.plan.inputs.clips}
    inputs = {clip_id: sha256_text(clip.model_dump_json()) for clip_id, clip in clips.items()}
    size_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    output = Output(path=workspace.relative(target), sha256=report.files_sha256, size_bytes=size_bytes)
    return Done(
        item_id=target.name,
        key=report.plan.key,
        facts=report.as_dict(),
        inputs=inputs,
        outputs=[output],
        wall_s=0.0,
        cpu_s=0.0,
    )


def _remove_leftovers(workspace: Workspace) -> None:
    """What a killed export left; nobody else writes here, we hold the lock."""
    for leftover in workspace.exports.glob(f"{TEMPORARY_PREFIX}*"):
        remove(leftover)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise DataError(
                f"{target.name}: no space left on the disk ({error.strerror}); nothing was published and the "
                "unfinished files are removed",
                hint="free some space and run the same command again; df -h shows what is free",
            ) from None
        raise DataError(f"{error.filename or target}: {error.strerror}; nothing was published") from None
