"""Giving an export its name: only whole, never over another one unasked, and known to be there already."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import ConfigError, DataError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import TEMPORARY_PREFIX, atomic_dir, read_json, remove, sha256_text
from avis_data.ledger import Done, Ledger, Output
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import MEDIA_STAGES, bringing, bucket_of
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.exports.certificate import file_list
from avis_data.pipelines.exports.plan import ExportOptions, ExportPlan, planned
from avis_data.pipelines.exports.spec import ExportSpec
from avis_data.pipelines.exports.writing import write_export
from avis_data.quality.published import FILE_LIST
from avis_data.recipe import load_recipe
from avis_data.storage.exports import publish_export

__all__ = ["ExportReport", "export", "publish", "publishing"]

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    """Hash of `files.sha256`, so of every file."""
    contested_pixels: int = 0
    """Pixels of two objects or more, in formats where each belongs to one: the certificate says which got them."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "path": self.path,
            "already_done": self.already_done,
            "num_files": self.num_files,
            "files_sha256": self.files_sha256,
            **({"contested_pixels": self.contested_pixels} if self.contested_pixels else {}),
            **self.plan.as_dict(),
        }


def export(workspace: Workspace, spec: ExportSpec, options: ExportOptions) -> ExportReport:
    """Write `exports/<name>/`: the files of the format, the list of files and the certificate.

    The same workspace, options and seed give the same bytes. A kill at any moment leaves nothing under the final
    name that is not complete. Where the workspace has a bucket the export is brought there too.

    Raises:
        ConfigError: if the folder is no workspace, the format cannot hold what is asked for, the split cannot be, or
            another export has this name and may not be replaced.
        BusyError: if another command is at work in the workspace.
        DataError: if inputs are missing or damaged, nothing is fit, the disk is full, or what was read back differs;
            nothing is published then.
    """
    load_recipe(workspace)  # before the lock, which would leave files in a folder that is no workspace
    with open_for_work(workspace, "avis-data export") as ledger:
        return publish(workspace, ledger, spec, options)


def publish(workspace: Workspace, ledger: Ledger, spec: ExportSpec, options: ExportOptions) -> ExportReport:
    """Do what `export` does, in a workspace that the caller has locked. Raises as `export`."""
    plan = planned(workspace, ledger, spec, options)
    target = workspace.exports / plan.name
    if target.exists() and not options.force:
        report = _report(workspace, target, plan, _published_files(workspace, target, plan.key), already_done=True)
        _upload(workspace, target)
        return report
    bring = bringing(workspace, ledger, MEDIA_STAGES, plan.pieces_of)
    with publishing(workspace, target, needed_bytes=plan.size.written) as part:
        files = write_export(workspace, plan, part, bring=bring)
    report = _report(workspace, target, plan, files, already_done=False)
    ledger.commit_done("export", _entry(workspace, target, report))
    _upload(workspace, target)
    return report


def _upload(workspace: Workspace, target: Path) -> None:
    """Bring a finished export into the workspace's bucket, if it has one. Raises StorageError."""
    if (bucket := bucket_of(workspace)) is not None:
        publish_export(bucket.store, target, f"{workspace.relative(target)}/")


@contextmanager
def publishing(workspace: Workspace, target: Path, *, needed_bytes: int) -> Iterator[Path]:
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
    workspace: Workspace, target: Path, plan: ExportPlan, files: Mapping[str, str], *, already_done: bool
) -> ExportReport:
    said = read_json(target / CERTIFICATE)
    overlaps = said.get("overlaps") if isinstance(said, dict) else None
    return ExportReport(
        path=workspace.relative(target),
        plan=plan,
        already_done=already_done,
        num_files=len(files),
        files_sha256=sha256_text(file_list(files)),
        contested_pixels=overlaps["pixels"] if isinstance(overlaps, dict) else 0,
    )


def _entry(workspace: Workspace, target: Path, report: ExportReport) -> Done:
    """What the ledger keeps: the hash over all files, and the hashes of all that they were made from."""
    clips = {item.held.clip_id: item.clip for item in report.plan.inputs.clips}
    size_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Done(
        item_id=target.name,
        key=report.plan.key,
        facts={**report.as_dict(), "asked": report.plan.asked().model_dump(mode="json")},
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
