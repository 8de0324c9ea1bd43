"""Backups of the labelling server: taken while people work, brought back elsewhere, refused if not whole."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from avis_data.annotation.labelstudio.backups import back_up, restore
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import Secrets, server_dir, write_secrets
from avis_data.annotation.serve.label_studio_install import LABEL_STUDIO_VERSION
from avis_data.annotation.serve.servers import ServeOptions, label_studio_only
from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from support.label_studio import TestServer, free_port

NOW = "2026-01-01T00:00:00+00:00"
TABLES = """
CREATE TABLE project (id INTEGER, title TEXT);
CREATE TABLE task (id INTEGER, data TEXT, project_id INTEGER);
CREATE TABLE htx_user (id INTEGER, email TEXT);
CREATE TABLE task_completion (id INTEGER, task_id INTEGER, completed_by_id INTEGER, result TEXT, lead_time REAL);
CREATE TABLE tasks_annotationdraft (id INTEGER, task_id INTEGER, user_id INTEGER, result TEXT);
INSERT INTO project VALUES (1, "draft ann");
INSERT INTO task VALUES (7, '{"clip_id": "c"}', 1);
INSERT INTO htx_user VALUES (3, "ann@example.com");
INSERT INTO task_completion VALUES (5, 7, 3, '[{"id": "r"}]', 12.5);
"""
"""The columns that are read, as Label Studio has them."""


@pytest.fixture
def served(tmp_path: Path) -> Workspace:
    """A workspace whose server holds one answer."""
    workspace = Workspace(tmp_path / "ws")
    workspace.root.mkdir()
    create_workspace(workspace, "aviseg")
    data = server_dir(workspace) / "data"
    (data / "media" / "avatars").mkdir(parents=True)
    (data / "media" / "avatars" / "a.png").write_bytes(b"face")
    with closing(sqlite3.connect(data / "label_studio.sqlite3")) as db:
        db.executescript(TABLES)
    write_secrets(workspace, Secrets(token="t", backend_token="b", username="a@example.com", password="p"))
    (workspace.annotations / "rounds").mkdir(parents=True)
    (workspace.annotations / "rounds" / "one.json").write_text("1")
    return workspace


def other(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "elsewhere" / "copy")
    workspace.root.mkdir(parents=True)
    create_workspace(workspace, "aviseg")
    return workspace


def test_all_that_people_did_is_back_in_another_folder(served: Workspace, tmp_path: Path) -> None:
    record = back_up(served, tmp_path / "backup", version="1.2.3", now=NOW)
    assert (record.tasks, record.answers) == (1, 1)
    (line,) = (tmp_path / "backup" / "snapshot.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["project"], told["data"], told["drafts"]) == ("draft ann", {"clip_id": "c"}, [])
    assert told["annotations"] == [{"id": 5, "email": "ann@example.com", "lead_time": 12.5, "result": [{"id": "r"}]}]
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, path
    copy = other(tmp_path)
    assert restore(copy, tmp_path / "backup", version="1.2.3").kept == ()
    for name in ("data/media/avatars/a.png", "secrets.json"):
        assert (server_dir(copy) / name).read_bytes() == (server_dir(served) / name).read_bytes()
    assert (server_dir(copy) / "secrets.json").stat().st_mode & 0o077 == 0
    assert (copy.annotations / "rounds" / "one.json").read_text() == "1"
    with closing(sqlite3.connect(server_dir(copy) / "data" / "label_studio.sqlite3")) as db:
        assert db.execute("SELECT result FROM task_completion").fetchall() == [('[{"id": "r"}]',)]


def test_nothing_that_is_there_is_written_over(served: Workspace, tmp_path: Path) -> None:
    back_up(served, tmp_path / "backup", version="1.2.3", now=NOW)
    with pytest.raises(DataError, match="there is a server already"):
        restore(served, tmp_path / "backup", version="1.2.3")
    assert main(["-C", str(served.root), "annotate", "backup", "--out", str(tmp_path / "backup")]) == 2
    copy = other(tmp_path)
    (copy.annotations / "rounds").mkdir(parents=True)
    (copy.annotations / "rounds" / "one.json").write_text("newer")
    assert restore(copy, tmp_path / "backup", version="1.2.3").kept == ("rounds/one.json",)
    assert (copy.annotations / "rounds" / "one.json").read_text() == "newer"


@pytest.mark.parametrize("fault", ["changed", "missing", "added", "no record", "newer"])
def test_a_backup_that_is_not_whole_is_refused_before_anything_is_written(
    served: Workspace, tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "backup"
    back_up(served, folder, version="1.24.0" if fault == "newer" else "1.9.0", now=NOW)
    face = folder / "data" / "media" / "avatars" / "a.png"
    if fault == "changed":
        face.write_bytes(b"else")
    elif fault == "missing":
        face.unlink()
    elif fault == "added":
        (folder / "data" / "more").write_bytes(b"x")
    elif fault == "no record":
        (folder / "backup.json").unlink()
    copy = other(tmp_path)
    with pytest.raises(DataError, match=r"backup|Label Studio"):
        restore(copy, folder, version="1.23.2")
    assert not server_dir(copy).exists() and not copy.annotations.exists()


def test_a_damaged_database_is_told(served: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = server_dir(served) / "data" / "label_studio.sqlite3"
    database.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 64)
    assert main(["-C", str(served.root), "annotate", "backup", "--out", str(tmp_path / "backup")]) == 3
    assert "label_studio.sqlite3" in capsys.readouterr().err and not (tmp_path / "backup").exists()


def test_a_workspace_without_a_server_of_its_own_has_nothing_to_back_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = other(tmp_path)
    assert main(["-C", str(copy.root), "annotate", "backup", "--out", str(tmp_path / "backup")]) == 5
    assert "no Label Studio of its own" in capsys.readouterr().err


@pytest.mark.slow
def test_a_backup_of_a_server_at_work_comes_up_in_another_folder_at_another_port(
    label_studio: TestServer, tmp_path: Path
) -> None:
    home = Workspace(Path(label_studio.root).parent / "label-studio-home")
    create_workspace(home, "aviseg")
    client = label_studio.client()
    config = '<View><Text name="n" value="$number"/><Choices name="c" toName="n"><Choice value="a"/></Choices></View>'
    project = client.ensure_project("to be kept", label_config=config, instructions="", key="backups")
    client.import_tasks(project, [{"data": {"number": number}} for number in range(3)])
    task = next(client.tasks(project)).id
    before = [client.annotate(task, [], lead_time=float(number)) for number in range(3)]
    ended = threading.Event()
    during: list[int] = []

    def work() -> None:
        mine = label_studio.client()
        while not ended.is_set():
            during.append(mine.annotate(task, []))

    person = threading.Thread(target=work)
    person.start()
    try:
        back_up(home, tmp_path / "backup", version=LABEL_STUDIO_VERSION, now=NOW)
    finally:
        ended.set()
        person.join()
    copy = other(tmp_path)
    restore(copy, tmp_path / "backup", version=LABEL_STUDIO_VERSION)
    secrets = Secrets(
        token=label_studio.token, backend_token="b", username=label_studio.email, password=label_studio.password
    )
    write_secrets(copy, secrets)  # the server of tests has none of its own
    with label_studio_only(copy, ServeOptions(port=free_port())) as serving:
        assert serving.url != label_studio.url
        there = LabelStudio(serving.url, label_studio.token)
        assert [found.data for found in there.tasks(project)] == [{"number": number} for number in range(3)]
        kept = [entry.id for entry in there.annotations(task) or ()]
    assert kept[:3] == before and set(kept[3:]) <= set(during)
