"""The files of an export: written clip by clip, read back and compared, then listed and certified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from avis_data.errors import DataError, ItemError, Problem, ProblemsError, Reason
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import sha256_file, write_json, write_text
from avis_data.paths import Workspace
from avis_data.pipelines.engine.progress import Progress
from avis_data.pipelines.exports.certificate import common_part, file_list, truth_of_clips
from avis_data.pipelines.exports.inputs import Piece
from avis_data.pipelines.exports.plan import ExportPlan
from avis_data.pipelines.exports.spec import Hashes
from avis_data.quality.published import FILE_LIST
from avis_data.versions.exported import write_changes

__all__ = ["ExportJob", "check_clip", "torn", "write_export"]

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """An export that is being written: what a format is told of it."""

    workspace: Workspace
    folder: Path
    """Takes the export's name when all is written and compared."""
    plan: ExportPlan

    def split_of(self, piece: Piece) -> str:
        """Where a piece belongs."""
        return self.plan.assignment.split_of[piece.name]

    def made(self, name: str) -> Path:
        """A file's path, by its path relative to the folder; the folder that it lies in is made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def hashes(self, *names: str) -> Hashes:
        """What was written under these names."""
        return {name: sha256_file(self.folder / name) for name in names}


def torn(message: str) -> ItemError:
    """What a format raises where a file that was read back is not what it should be."""
    return ItemError(message, reason=Reason.TORN_INPUT)


def write_export(
    workspace: Workspace, plan: ExportPlan, folder: Path, *, bring: Callable[[str], object] = lambda _: None
) -> Hashes:
    """Write everything into `folder`, read it back, and write list and certificate.

    Args:
        workspace: where the clips are.
        plan: which of them, and how.
        folder: that is empty.
        bring: called in threads with the id of each clip, before it is read.

    Returns:
        Relative path -> sha256 of every file but these two.

    Raises:
        ProblemsError: with every clip that is damaged or missing in the workspace.
        DataError: if what was read back differs.
    """
    job = ExportJob(workspace=workspace, folder=folder, plan=plan)
    made, num_clips = plan.spec.format, len(plan.pieces_of)

    def write(pieces: Sequence[Piece]) -> Hashes:
        bring(pieces[0].item.held.clip_id)
        return made.write_clip(job, pieces)

    of_clips, problems = _map_clips(plan, "export: write", write)
    if problems:
        raise ProblemsError(
            f"{len(problems)} of {num_clips} clips are damaged or missing, so nothing was exported",
            problems,
            hint="make the damaged clips again as each line says, then export again",
        )
    shared = made.write_shared(job)
    made.check_shared(job)
    _check_hashes(job, shared)
    _, problems = _map_clips(
        plan, "export: read back", lambda pieces: check_clip(job, pieces, of_clips[pieces[0].item.held.clip_id])
    )
    if problems:
        hint = "run the same command again; if this stays, check the disk"
        raise DataError(f"read back, {problems[0]}; nothing was published", hint=hint)
    files = {path: digest for hashes in of_clips.values() for path, digest in hashes.items()} | shared
    if plan.version is not None:
        files |= write_changes(folder, plan.version, truth_of_clips(plan), exports=workspace.exports)
    size_bytes = sum((folder / name).stat().st_size for name in files)
    statement = made.certificate(job, common_part(plan, files=files, size_bytes=size_bytes))
    if plan.version is not None:
        statement["version"] = plan.version.statement(truth_of_clips(plan))
    write_text(folder / FILE_LIST, file_list(files))
    write_json(folder / CERTIFICATE, statement)
    return files


def check_clip(job: ExportJob, pieces: Sequence[Piece], written: Hashes) -> None:
    """Read the files of one clip back.

    Args:
        job: the export.
        pieces: of the clip.
        written: its files, as they were hashed while they were written.

    Raises:
        ItemError: torn_input at the first that is not what it should be.
    """
    _check_hashes(job, written)
    job.plan.spec.format.check_clip(job, pieces)


def _check_hashes(job: ExportJob, written: Hashes) -> None:
    changed = [name for name, digest in written.items() if sha256_file(job.folder / name) != digest]
    if changed:
        raise torn(f"changed since it was written: {changed[0]}")


def _map_clips(
    plan: ExportPlan, what: str, work: Callable[[Sequence[Piece]], Result]
) -> tuple[dict[str, Result], list[Problem]]:
    """Do all clips in threads; results by clip id and the problems, both in the order of the clips.

    An ItemError is one clip's problem and the others go on; any other error ends the work at once.
    """
    results: dict[str, Result] = {}
    problems: list[Problem] = []
    pool = ThreadPoolExecutor(max_workers=plan.options.workers)
    try:
        futures: list[tuple[str, Future[Result]]] = [
            (clip_id, pool.submit(work, pieces)) for clip_id, pieces in plan.pieces_of.items()
        ]
        with Progress(what, total=len(futures)) as progress:
            for clip_id, future in futures:
                try:
                    results[clip_id] = future.result()
                except ItemError as error:
                    problems.append(Problem(f"clip {clip_id}", str(error.reason), error.message))
                progress.step()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results, problems
