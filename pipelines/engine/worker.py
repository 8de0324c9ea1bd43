"""What happens to one item inside a worker, whichever executor runs it."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from avis_data.errors import ItemError, Reason, ToolError, fault_of, raise_interruption
from avis_data.io import ask_folder, fsync_tree, remove, sha256_text, sha256_tree
from avis_data.ledger import Output
from avis_data.log import hide_secrets
from avis_data.pipelines.engine.stage import Input, Prepared, Stage, Workbench
from avis_data.platforms import used_cpu_s
from avis_data.records import Record
from avis_data.storage.copies import trim_folder
from avis_data.storage.objects import as_object, local_copy, object_name
from avis_data.storage.settings import UNFINISHED, Storage, is_stored
from avis_data.storage.store import StorageError, Store

__all__ = ["SCRATCH", "Failure", "Job", "Success", "execute", "prepare"]

SCRATCH = "AVIS_DATA_SCRATCH"
"""Names the folder of workers that fetch from a bucket, and do not write into the workspace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One try of one item, ready to be sent to a worker."""

    item_id: str
    record: Record
    root: Path
    """The workspace."""
    inputs: Mapping[str, Input]
    out: Path
    scratch: Path
    secret: str | None = field(default=None, repr=False)
    home: str = ""
    """Folder, relative to the workspace, that the outputs come to lie in."""
    storage: Storage | None = None
    """The bucket that is the home of the workspace's large files."""
    seen: Path | None = None
    """A file that every worker sees that sees the workspace; asked only where there is a bucket."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Success:
    """The stage did the item; its files are flushed to disk."""

    item_id: str
    facts: Record
    out: Path
    """The folder that they lie in: the job's, or that of another try."""
    outputs: tuple[Output, ...]
    """Paths are names inside `out`; keys, where there is a bucket, temporary ones."""
    wall_s: float
    cpu_s: float
    is_elsewhere: bool = False
    """The worker did not see the workspace: `out` is gone, and all of it was uploaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """The item was not done."""

    item_id: str
    reason: Reason
    message: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    ends_run: StorageError | None = None
    """What is no item's fault, and would meet every item."""


def prepare(stage: Stage) -> None:
    """Have a stage load what it needs, before any item waits for it."""
    if isinstance(stage, Prepared):
        with suppress(Exception):  # `run` raises it once more, for each item
            stage.prepare()


def execute(stage: Stage, job: Job) -> Success | Failure:
    """Run a stage on one job and measure it. Whatever goes wrong becomes a `Failure`, all but an interruption."""
    wall_s, cpu_s = time.monotonic(), used_cpu_s()
    asked, job = job, _placed(job)
    try:
        job.scratch.mkdir(parents=True, exist_ok=True)
        inputs = {name: _checked(job, name, found) for name, found in job.inputs.items()}
        remove(job.out)
        job.out.mkdir(parents=True)
        bench = Workbench(
            item_id=job.item_id,
            record=job.record,
            inputs=inputs,
            out=job.out,
            scratch=job.scratch,
            secret=job.secret,
        )
        facts = stage.run(bench)
        fsync_tree(job.out)
        outputs = tuple(_measured(path) for path in sorted(job.out.iterdir()))
        if job.storage is not None:
            store = _store(job.storage)
            outputs = tuple(_uploaded(store, job, output, always=job is not asked) for output in outputs)
        if job is not asked and job.storage is not None:
            remove(job.out.parent)
            if job.storage.cache_gb is not None:
                trim_folder(job.root, job.storage.cache_gb * 1e9)
    except Exception as error:  # the one place where a stage's bug must not take the other items with it
        raise_interruption(error)
        reason, message = _explain(error, job.out)
        with suppress(OSError):  # a broken disk, or one for reading only: the error at hand is the one to tell
            remove(job.out)
        return Failure(
            item_id=job.item_id,
            reason=reason,
            message=hide_secrets(message, job.secret or ""),
            wall_s=time.monotonic() - wall_s,
            cpu_s=used_cpu_s() - cpu_s,
            ends_run=error if isinstance(error, StorageError) else None,
        )
    return Success(
        item_id=job.item_id,
        facts=facts,
        out=job.out,
        outputs=outputs,
        wall_s=time.monotonic() - wall_s,
        cpu_s=used_cpu_s() - cpu_s,
        is_elsewhere=job is not asked,
    )


def _placed(job: Job) -> Job:
    """The job with folders of this machine, where there is a bucket and the workspace is not to be seen.

    `AVIS_DATA_SCRATCH` names the folder to use, also where the workspace is seen: a quick disk of this machine.
    """
    chosen = os.environ.get(SCRATCH)
    if job.storage is None or (chosen is None and job.seen is not None and job.seen.exists()):
        return job
    name = f"avis-data-{getpass.getuser()}-{sha256_text(job.storage.storage)[:12]}"
    root = Path(chosen or tempfile.gettempdir()) / name
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    out, scratch = (root / folder.relative_to(job.root) for folder in (job.out, job.scratch))
    return replace(job, root=root, out=out, scratch=scratch)


@lru_cache(maxsize=1)
def _store(settings: Storage) -> Store:
    return Store(settings)


def _uploaded(store: Store, job: Job, output: Output, *, always: bool) -> Output:
    """An output with a temporary key, under which it is in the bucket, if it has its home there or must get away."""
    if not always and not is_stored(f"{job.home}/{output.path}"):
        return output
    path = job.out / output.path
    name = object_name(output.path, is_folder=path.is_dir())
    key = f"{UNFINISHED}{job.item_id}/{job.out.name}/{name}"
    with as_object(path) as file:
        store.put(file, key)
    return output._replace(key=key, mtime_ns=path.stat().st_mtime_ns)


def _checked(job: Job, name: str, found: Input) -> Path:
    """The absolute path of an input that is what the ledger vouches for; nothing is made from anything else."""
    path = job.root / found.path
    outside = Path(found.path).is_absolute()
    if job.storage is not None and found.key:
        return local_copy(_store(job.storage), job.root, found, scratch=job.scratch)
    if not os.path.exists(path):  # unlike Path.exists: False where looking is not allowed
        message = f"the {name} of {job.item_id} is gone ({path.name})"
        raise ItemError(
            message if outside else f"{message}; avis-data run makes it again", reason=Reason.SOURCE_MISSING
        )
    if not outside and path.stat().st_mtime_ns != found.mtime_ns and sha256_tree(path) != found.sha256:
        message = (
            f"the {name} of {job.item_id} was changed since it was made ({path.name}); avis-data run makes it again"
        )
        raise ItemError(message, reason=Reason.TORN_INPUT)
    return path


def _explain(error: Exception, out: Path) -> tuple[Reason, str]:
    """Faults of the machine pass: they are told by code, whatever a stage or a library made of them, and come first.

    Before anything is held against the item for good, the system is asked whether it can be written at all.
    """
    fault = fault_of(error)
    lasting = not (isinstance(error, ItemError) and error.reason.retryable)
    if fault is None and lasting and out.is_dir():
        try:
            ask_folder(out)
        except OSError as answer:
            fault = fault_of(answer)
    if fault is not None:
        return fault.reason, f"{fault.message}, then run again"
    if isinstance(error, ItemError):
        return error.reason, error.message
    if isinstance(error, ToolError):
        return Reason.MISSING_TOOL, str(error)
    return Reason.BUG, "".join(traceback.format_exception(error)).strip()


def _measured(path: Path) -> Output:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return Output(path=path.name, sha256=sha256_tree(path), size_bytes=sum(file.stat().st_size for file in files))
