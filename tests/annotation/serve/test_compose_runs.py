"""docker-compose.yml beyond its words: the published schema of compose files, and its programs as plain processes.

What runs here is what the containers run, with their variables, on folders and ports of this machine: the segmenter,
the PostgreSQL of this machine, and Label Studio on it. Left out: nginx, and the scripts around Label Studio, which are
in its image only.
"""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from support.compose import COMPOSE, filled_in, healthy, running_app, stopped, until, values_of_env, variables
from support.label_studio import free_port
from support.places import ROOT

GPU = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())
SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
"""The compose specification's own (Apache-2.0), as the package check-jsonschema carries it."""
NOBODY = 65534


def test_the_files_are_compose_files() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for content in (COMPOSE, GPU):
        assert [error.message for error in validator.iter_errors(content)] == []


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("app", "enviroment", {}),
        ("db", "restart", ["always"]),
        ("backend", "healthcheck", {"test": ["CMD"], "intervall": "1s"}),
        ("nginx", "depends_on", {"app": {"condition": "service_is_healthy"}}),
        ("backend", "secrets", [{"name": "backend_token"}]),
    ],
)
def test_the_schema_sees_a_slip(service: str, name: str, value: object) -> None:
    """What is checked above is more than that it is YAML."""
    content = copy.deepcopy(COMPOSE)
    content["services"][service][name] = value
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(content))


@pytest.mark.parametrize("content", [COMPOSE, GPU], ids=["docker-compose.yml", "docker-compose.gpu.yml"])
def test_the_segmenter_of_the_container(content: dict[str, Any], tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ds")
    (workspace.root / "clips").mkdir(parents=True)
    create_workspace(workspace, "aviseg")
    (tmp_path / "token").write_text("a-token\n")
    port = free_port()
    places = {"/workspace": str(workspace.root), "/run/secrets/backend_token": str(tmp_path / "token")}
    places |= {"0.0.0.0": "127.0.0.1", "9090": str(port)}
    values = {"ENGINE": "grabcut", "AVIS_DATA_HOME": str(tmp_path / "home")}
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    words = [*json.loads(entry), *content["services"]["backend"]["command"]]
    command = [places.get(filled_in(word, values), filled_in(word, values)) for word in words]
    assert command[0] == "python"
    log, environment = tmp_path / "log", variables("backend", values)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command[1:]], env=environment, cwd=tmp_path, stdout=out, stderr=out
        )
    try:
        if "--gpu" in command:  # of an engine that computes on none
            assert process.wait(60) == 3
            assert "the engine grabcut computes on no GPU" in log.read_text()
            return

        def on_our_port(word: str) -> str:
            return {"python": sys.executable}.get(word, word.replace(":9090/", f":{port}/"))

        until(lambda: healthy("backend", on_our_port, environment), process, log, within_s=120)
        url = f"http://127.0.0.1:{port}"
        assert httpx.post(f"{url}/setup", json={}, auth=("avis-data", "a-token")).json() == {"model_version": "grabcut"}
        assert httpx.post(f"{url}/setup", json={}, auth=("avis-data", "another")).status_code == 401
        assert stopped(process) in (0, -signal.SIGTERM), log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()


class Database:
    """A PostgreSQL as the container `db` runs it, of an account that is no administrator: it refuses to run as one."""

    def __init__(self, folder: Path, values: dict[str, str]) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not programs:
            pytest.skip("no PostgreSQL")
        self._bin = programs[-1].parent
        self.port, self.log, data = free_port(), folder / "db.log", folder / "data"
        data.mkdir()
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(data, NOBODY, NOBODY)
            self._account = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.environment = variables("db", values)
        name, user = self.environment["POSTGRES_DB"], self.environment["POSTGRES_USER"]
        password = data / "password"
        password.write_text(self.environment["POSTGRES_PASSWORD"])
        password.chmod(0o644)
        where = ["--pgdata", str(data / "db"), "--username", user, "--pwfile", str(password)]
        self._run("initdb", *where, "--auth", "scram-sha-256", "--encoding", "UTF8")
        command = [str(self._bin / "postgres"), "-D", str(data / "db"), "-p", str(self.port), "-k", str(data)]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, **self._account)
        login = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGPASSWORD": self.environment["POSTGRES_PASSWORD"]}
        self.environment |= login | {"PATH": f"{self._bin}:{os.environ['PATH']}"}
        ready = [str(self._bin / "pg_isready"), "--username", user]
        up = lambda: subprocess.run(ready, env=self.environment, capture_output=True, check=False).returncode == 0  # noqa: E731
        until(up, self.process, self.log, within_s=60)
        self._run("createdb", "--username", user, name, env=self.environment)

    def _run(self, name: str, *options: str, env: dict[str, str] | None = None) -> None:
        command = [str(self._bin / name), *options]
        ran = subprocess.run(command, env=env, check=False, capture_output=True, text=True, **self._account)
        assert ran.returncode == 0, ran.stderr


@pytest.fixture
def values(tmp_path: Path) -> dict[str, str]:
    """`.env`, filled in."""
    (tmp_path / "ds" / "clips").mkdir(parents=True)
    return values_of_env("http://127.0.0.1")


@pytest.fixture
def database(values: dict[str, str]) -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="avis-data-db-") as folder:
        Path(folder).chmod(0o755)
        running = Database(Path(folder), values)
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGQUIT)
            running.process.wait(30)


@pytest.mark.slow
def test_the_database_and_label_studio_of_the_containers(
    database: Database, values: dict[str, str], tmp_path: Path
) -> None:
    assert healthy("db", str, database.environment)
    found = {"POSTGRE_HOST": "127.0.0.1", "POSTGRE_PORT": str(database.port)}
    with running_app(tmp_path, values, found) as app:
        key = {"Authorization": f"Token {values['LABEL_STUDIO_USER_TOKEN']}"}
        with httpx.Client(base_url=app.url, headers=key, timeout=60) as client:
            assert client.get("/api/current-user/whoami").json()["email"] == values["LABEL_STUDIO_USERNAME"]
            assert client.get("/api/projects/", headers={"Host": "evil.example"}).status_code == 400
            made = client.post("/api/projects/", json={"title": "in PostgreSQL"}).json()
        assert not list((tmp_path / "data").glob("*.sqlite3*")), "it keeps nothing beside the database that was given"
        assert stopped(app.process) in (0, -signal.SIGTERM), app.log.read_text()[-3000:]
    assert database.process.poll() is None
    title = subprocess.run(
        ["psql", "-U", "labelstudio", "-tAc", f"select title from project where id = {int(made['id'])}", "labelstudio"],
        env=database.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert title == "in PostgreSQL"
    assert stopped(database.process) == 0, database.log.read_text()
