"""A copy of all that people do, made while they work, and brought back on any machine.

FOLDER/backup.json            which Label Studio it is of, when it was made, the hash of every file
       data/                  of the server: its database (a whole one, of one instant), settings, uploads
       annotations/           what was pulled, as the workspace keeps it
       secrets.json           accounts and tokens; mode 600
       snapshot.jsonl         all tasks with what people said, for readers without Label Studio
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from avis_data.annotation.labelstudio.settings import server_dir
from avis_data.config import record_from_json
from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.io import atomic_dir, atomic_path, sha256_file, write_lines, write_private, write_text
from avis_data.links.check import check_links
from avis_data.paths import Workspace
from avis_data.recipe import load_recipe
from avis_data.records import Record

__all__ = ["BackupRecord", "Restored", "back_up", "restore"]

_CONTENTS = "backup.json"
_DATABASE = "label_studio.sqlite3"
_PAGES_AT_ONCE = 2000
"""Of the database: between two such pieces people write."""


class BackupRecord(Record):
    """`backup.json`."""

    label_studio: str = Field(description="Version of the server.")
    made_at: str = Field(description="UTC, ISO 8601.")
    tasks: int = Field(ge=0)
    answers: int = Field(ge=0, description="Annotations of people, finished or skipped.")
    files: dict[str, str] = Field(description="SHA-256 by the path in the folder.")


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was brought back."""

    record: BackupRecord
    kept: tuple[str, ...]
    """Files of the workspace's `annotations/` that are others than in the copy: the workspace's own stay."""


def back_up(workspace: Workspace, folder: Path, *, version: str, now: str) -> BackupRecord:
    """Copy what the server of a workspace has, while it runs or not; the folder is written whole or not at all.

    Args:
        workspace: whose server `annotate serve` starts.
        folder: a new one.
        version: of Label Studio.
        now: UTC, ISO 8601.

    Raises:
        ConfigError: if the folder is no workspace, or `folder` is there already.
        ToolError: if the workspace has no server of its own.
        DataError: if the database is damaged.
    """
    check_links(workspace.root)
    load_recipe(workspace)
    data = server_dir(workspace) / "data"
    if not (data / _DATABASE).is_file():
        message = f"{workspace.root}: has no Label Studio of its own"
        raise ToolError(message, hint="a server that others run is backed up by them; avis-data annotate serve")
    if folder.exists():
        raise ConfigError(f"{folder}: is there already", hint="name a new folder: a backup is never written over")
    with atomic_dir(folder) as part:
        _copy_files(data, part / "data", but=_DATABASE)  # a running one is copied in its own way
        _copy_database(data / _DATABASE, part / "data" / _DATABASE)
        if workspace.annotations.is_dir():
            _copy_files(workspace.annotations, part / "annotations")
        secrets = server_dir(workspace) / "secrets.json"
        if secrets.is_file():
            shutil.copy2(secrets, part / secrets.name)  # with its mode
        tasks = list(_snapshot(part / "data" / _DATABASE))
        write_lines(part / "snapshot.jsonl", (json.dumps(task, ensure_ascii=False) for task in tasks))
        files = {path.relative_to(part).as_posix(): sha256_file(path) for path in _files(part)}
        answers = sum(len(task["annotations"]) for task in tasks)
        record = BackupRecord(label_studio=version, made_at=now, tasks=len(tasks), answers=answers, files=files)
        write_text(part / _CONTENTS, record.model_dump_json(indent=2) + "\n")
        for path in _files(part):
            path.chmod(0o600)  # hashes of passwords, tokens, and all that people drew
    folder.chmod(0o700)
    return record


def restore(workspace: Workspace, folder: Path, *, version: str) -> Restored:
    """Bring a backup into a workspace that has no server yet; `annotate serve` starts it there, at any port.

    Args:
        workspace: with the clips, on this machine or another than the backup is of.
        folder: of `back_up`.
        version: of the Label Studio that is installed here.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if the backup is no backup, is damaged, is of a newer Label Studio, or the workspace has a server.
    """
    check_links(workspace.root)
    load_recipe(workspace)
    record = _checked(folder, version)
    data = server_dir(workspace) / "data"
    if data.exists() and any(data.iterdir()):
        hint = f"avis-data annotate backup, then move {data} away"
        raise DataError(f"{data}: there is a server already, and what people did on it", hint=hint)
    kept = tuple(_bring_annotations(folder / "annotations", workspace.annotations))
    server_dir(workspace).mkdir(parents=True, exist_ok=True)
    server_dir(workspace).chmod(0o700)
    if (folder / "secrets.json").is_file():
        text = (folder / "secrets.json").read_text(encoding="utf-8")
        write_private(server_dir(workspace) / "secrets.json", text)
    with atomic_dir(data) as part:  # last: while it is not there, nothing was brought back
        _copy_files(folder / "data", part)
    return Restored(record=record, kept=kept)


def _checked(folder: Path, version: str) -> BackupRecord:
    path = folder / _CONTENTS
    if not path.is_file():
        raise DataError(f"{folder}: is no backup (no {_CONTENTS})", hint="avis-data annotate backup --out FOLDER")
    record = record_from_json(path, BackupRecord, hint="take another backup")
    found = {path.relative_to(folder).as_posix() for path in _files(folder)} - {_CONTENTS}
    if missing := sorted(record.files.keys() - found):
        raise DataError(f"{folder / missing[0]}: is missing from the backup", hint="take another backup")
    for name in sorted(found):
        if record.files.get(name) != sha256_file(folder / name):
            raise DataError(f"{folder / name}: is not what was backed up", hint="take another backup")
    if _numbers(record.label_studio) > _numbers(version):
        message = f"{folder}: is of Label Studio {record.label_studio}, and here is {version}, which cannot read it"
        raise DataError(message, hint="restore it with the avis-data that it was made with, or a newer one")
    return record


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder; no link is followed, and none is a file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _copy_files(folder: Path, target: Path, *, but: str | None = None) -> None:
    """The files of a folder; one that goes away meanwhile was a temporary one."""
    target.mkdir(mode=0o700, exist_ok=True)
    for path in _files(folder):
        if but is not None and path.name.startswith(but):
            continue
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue


def _copy_database(path: Path, target: Path) -> None:
    """A whole database of one instant, by SQLite's own online backup: people go on writing meanwhile."""
    try:
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy, pages=_PAGES_AT_ONCE)
            (answer,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise DataError(f"{path}: the database cannot be copied: {error}", hint="restore an older backup") from None
    if answer != "ok":
        raise DataError(f"{path}: the database is damaged: {answer}", hint="restore an older backup")


def _snapshot(database: Path) -> Iterator[dict[str, list[object]]]:
    """Every task with what people said of it, finished and not."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        said: dict[str, dict[int, list[object]]] = {}
        for name, table, person in (
            ("annotations", "task_completion", "completed_by_id"),
            ("drafts", "tasks_annotationdraft", "user_id"),
        ):
            of_task: dict[int, list[object]] = defaultdict(list)
            rows = db.execute(
                f"SELECT s.*, u.email FROM {table} s LEFT JOIN htx_user u ON u.id = s.{person} ORDER BY s.id"
            )
            for row in rows:
                fields = ("id", "email", "created_at", "updated_at", "lead_time", "was_cancelled")
                entry = {field: row[field] for field in fields if field in row.keys()}
                of_task[row["task_id"]].append({**entry, "result": json.loads(row["result"] or "[]")})
            said[name] = of_task
        query = "SELECT t.id, t.data, p.title FROM task t JOIN project p ON p.id = t.project_id ORDER BY t.id"
        for row in db.execute(query):
            head: dict[str, list[object]] = {name: of_task[row["id"]] for name, of_task in said.items()}
            yield {"project": row["title"], "task": row["id"], "data": json.loads(row["data"]), **head}


def _bring_annotations(folder: Path, target: Path) -> Iterator[str]:
    """Copy what is missing; gives the names of files that are others."""
    for path in _files(folder) if folder.is_dir() else ():
        name = path.relative_to(folder)
        mine = target / name
        if mine.is_file():
            if sha256_file(mine) != sha256_file(path):
                yield name.as_posix()
            continue
        mine.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(mine) as part:
            shutil.copyfile(path, part)
