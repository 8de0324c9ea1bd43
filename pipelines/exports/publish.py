"""Giving an export its name: only whole, never over another one unasked, and known to be there already."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from avis_data import __version__
from avis_data.errors import ConfigError, DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import (
    TEMPORARY_PREFIX,
    atomic_dir,
    canonical_json,
    read_json,
    remove,
    sha256_text,
    write_json,
    write_text,
)
from avis_data.ledger import Done, Ledger, Output
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.exports.certificate import file_list
from avis_data.pipelines.exports.inputs import ExportInputs
from avis_data.quality.published import FILE_LIST
from avis_data.recipe import load_recipe
from avis_data.splits import Assignment, balance_report

__all__ = ["ExportReport", "PlannedExport", "PublishOptions", "division_facts", "export_key", "finish", "publish"]

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """What can be asked of an export in any format."""

    name: str
    """Folder below `exports/`."""
    split: str | None = None
    """`616/105/205` or `75/25`; None: that of the list or of the imported sets, else the recipe's default."""
    split_file: Path | None = None
    """A written division, in place of `split`."""
    seed: int = 0
    """Of the division; nothing else is left to chance."""
    include: Literal["draft"] | None = None
    """`draft`: labels that nobody accepted yet are truth too, for clips that have no other."""
    workers: int = 4
    """Threads; the result does not depend on it."""
    force: bool = False
    """Replace an export of the same name."""


class PlannedExport(Protocol):
    """All that an export will hold, in whatever format, before anything is written."""

    @property
    def inputs(self) -> ExportInputs:
        """What it is made from."""

    @property
    def key(self) -> str:
        """Hash of all that the files depend on: equal keys, equal bytes."""

    @property
    def bytes_written(self) -> int:
        """How much room it needs."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""


Plan = TypeVar("Plan", bound=PlannedExport)


@dataclass(frozen=True, kw_only=True)
class ExportReport(Generic[Plan]):
    """What was published."""

    path: str
    """Relative to the workspace."""
    plan: Plan
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


def export_key(inputs: ExportInputs, assignment: Assignment, chosen: Sequence[object]) -> str:
    """Hash of all that an export depends on.

    Args:
        inputs: what is exported.
        assignment: its division.
        chosen: the options that change its files, and the version of their layout.
    """
    clips = [
        [
            item.clip.model_dump(mode="json"),
            [item.video.sha256, item.video.url, item.license, item.group, item.has_truth, item.features_sha256],
            [
                [
                    track.track.model_dump(mode="json"),
                    [mask and [mask.height, mask.width, mask.counts] for mask in track.masks],
                    track.sounding,
                ]
                for track in item.tracks
            ],
        ]
        for item in inputs.clips
    ]
    division = [assignment.request, assignment.seed, assignment.names, dict(assignment.split_of)]
    categories = inputs.categories.model_dump(mode="json")
    return sha256_text(canonical_json([__version__, inputs.recipe_text, categories, list(chosen), division, clips]))


def division_facts(assignment: Assignment) -> dict[str, Any]:
    """What every plan says of its division, for `--json`."""
    balance = balance_report(assignment)
    return {
        "split": {"request": assignment.request, "seed": assignment.seed},
        "max_deviation_clips": round(balance.max_deviation_clips, 6),
        "mean_deviation": round(balance.mean_deviation, 6),
    }


def publish(
    workspace: Workspace,
    options: PublishOptions,
    planned: Callable[[Ledger], Plan],
    *,
    write: Callable[[Plan, Path], Mapping[str, str]],
) -> ExportReport[Plan]:
    """Plan an export, write it, give it its name, and record it, under the workspace's lock.

    Args:
        workspace: gets `exports/<name>/`.
        options: its name, and whether to replace another one of this name.
        planned: says what it will hold.
        write: writes all files of a plan into a folder, reads them back, calls `finish`, and gives path -> sha256.

    Raises:
        ConfigError: if the folder is no workspace; if another export has this name, and it may not be replaced.
        BusyError: if another command is at work in the workspace.
        DataError: if the disk is full or fails; nothing is published then. All that `planned` and `write` raise.
    """
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    with open_for_work(workspace, "avis-data export") as ledger:
        plan = planned(ledger)
        target = workspace.exports / options.name
        if target.exists() and not options.force:
            return _report(workspace, target, plan, _published_files(workspace, target, plan.key), already_done=True)
        with _publishing(workspace, target, needed_bytes=plan.bytes_written) as part:
            files = write(plan, part)
        report = _report(workspace, target, plan, files, already_done=False)
        ledger.commit_done("export", _entry(workspace, target, report))
        return report


def finish(folder: Path, files: Mapping[str, str], statement: Mapping[str, Any]) -> None:
    """Write the list of files and the certificate."""
    write_text(folder / FILE_LIST, file_list(files))
    write_json(folder / CERTIFICATE, statement)


@contextmanager
def _publishing(workspace: Workspace, target: Path, *, needed_bytes: int) -> Iterator[Path]:
    """Give a folder to write an export into; it takes the name `target` only if all went well.

    Leftovers of killed exports are removed first: nobody else writes here, the caller holds the workspace's lock.

    Raises:
        DataError: if the disk is full or fails; nothing is published then.
    """
    for leftover in workspace.exports.glob(f"{TEMPORARY_PREFIX}*"):
        remove(leftover)
    with _disk_errors(target), atomic_dir(target) as part:
        free = shutil.disk_usage(part).free
        if needed_bytes > free:
            raise OSError(errno.ENOSPC, f"needs {needed_bytes >> 20} MiB, {free >> 20} are free", str(part))
        yield part


def _published_files(workspace: Workspace, target: Path, key: str) -> dict[str, str]:
    """The files (path -> sha256) of an export that is there already, if it is the very one that was asked for.

    Raises:
        ConfigError: if it is another one, unfinished, or damaged.
    """
    name = workspace.relative(target)
    again = "avis-data export --force replaces it, --name NAME writes beside it"
    if not (target / CERTIFICATE).is_file():
        raise ConfigError(f"{name} exists and is no finished export", hint=again)
    found = read_json(target / CERTIFICATE)
    if not isinstance(found, dict) or found.get("key") != key:
        raise ConfigError(f"{name} exists and was made from other data or options", hint=again)
    lines = (target / FILE_LIST).read_text(encoding="utf-8").splitlines() if (target / FILE_LIST).is_file() else []
    files = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    missing = [path for path in files if not (target / path).is_file()]
    if missing or not files:
        raise ConfigError(f"{name} exists but is damaged: {(missing or [FILE_LIST])[0]} is missing", hint=again)
    return files


def _report(
    workspace: Workspace, target: Path, plan: Plan, files: Mapping[str, str], *, already_done: bool
) -> ExportReport[Plan]:
    return ExportReport(
        path=workspace.relative(target),
        plan=plan,
        already_done=already_done,
        num_files=len(files),
        files_sha256=sha256_text(file_list(files)),
    )


def _entry(workspace: Workspace, target: Path, report: ExportReport[Plan]) -> Done:
    """What the ledger keeps: the hash over all files, and the hashes of all that they were made from."""
    clips = {item.clip.clip_id: item.clip for item in report.plan.inputs.clips}
    size_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Done(
        item_id=target.name,
        key=report.plan.key,
        facts=report.as_dict(),
        inputs={clip_id: sha256_text(clip.model_dump_json()) for clip_id, clip in clips.items()},
        outputs=[Output(path=workspace.relative(target), sha256=report.files_sha256, size_bytes=size_bytes)],
        wall_s=0.0,
        cpu_s=0.0,
    )


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
