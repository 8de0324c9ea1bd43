"""A real Label Studio for tests: one for all workers of a run, each test with workspaces and projects of its own.

Use the fixture `label_studio` (tests/conftest.py), make workspaces below `server.root`, and `link` them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from filelock import FileLock

from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import Secrets, ServerSettings, write_secrets, write_settings
from avis_data.annotation.serve.label_studio_install import (
    default_environment,
    is_installed,
    program,
    set_up_page,
    template_database,
)
from avis_data.annotation.serve.server_processes import start, wait_until_up
from avis_data.annotation.serve.servers import label_studio_variables
from avis_data.paths import Workspace

__all__ = ["TestServer", "free_port", "link", "new_user", "shared_server"]


@dataclass(frozen=True)
class TestServer:
    """A server that runs, and its first account."""

    __test__ = False

    url: str
    token: str
    email: str
    password: str
    root: str
    """Of its local files: workspaces of tests lie below."""
    pid: int

    def client(self) -> LabelStudio:
        """With the token of the first account, and little patience."""
        return LabelStudio(self.url, self.token, wait_s=0.05)

    def folder(self, name: str) -> Path:
        """A new folder below the root, for a workspace."""
        number = sum(1 for _ in Path(self.root).iterdir())
        path = Path(self.root) / f"{name}-{os.getpid()}-{number}"
        path.mkdir()
        return path


def is_available() -> bool:
    """Whether Label Studio's environment is made."""
    return is_installed(default_environment())


@contextmanager
def shared_server(folder: Path) -> Iterator[TestServer]:
    """The server of this run: the first worker that comes starts it, the last one that leaves ends it."""
    state, lock = folder / "label-studio.json", FileLock(folder / "label-studio.lock")
    with lock:
        known = json.loads(state.read_text()) if state.exists() else {"users": 0, "server": None}
        if known["users"] == 0:
            known["server"] = asdict(_started(folder))
        state.write_text(json.dumps(known | {"users": known["users"] + 1}))
    server = TestServer(**known["server"])
    try:
        yield server
    finally:
        with lock:
            known = json.loads(state.read_text())
            state.write_text(json.dumps(known | {"users": known["users"] - 1}))
            if known["users"] == 1:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)


def link(workspace: Workspace, server: TestServer, *, backend_url: str | None = None, backend_token: str = "b") -> None:
    """Let a workspace below the server's root work with it, as `annotate serve --label-studio-url` does."""
    prefix = workspace.root.resolve().relative_to(Path(server.root).resolve()).as_posix() + "/"
    clips = str(workspace.root.resolve() / "clips")
    settings = ServerSettings(url=server.url, clips_folder=clips, media_prefix=prefix, backend_url=backend_url)
    write_settings(workspace, settings)
    write_secrets(workspace, Secrets(token=server.token, backend_token=backend_token))


def new_user(server: TestServer, email: str, password: str = "a-long-password") -> str:
    """Make an account through the invitation page, as people do; gives its token."""
    with httpx.Client(base_url=server.url, follow_redirects=True, timeout=60) as page:
        invited = page.get("/api/invite", headers={"Authorization": f"Token {server.token}"}).json()["invite_url"]
        form = page.get(invited).text
        csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert csrf is not None
        fields = {"email": email, "password": password, "csrfmiddlewaretoken": csrf.group(1)}
        answer = page.post(invited, data=fields, headers={"Referer": server.url})
        assert answer.status_code == 200, answer.text[:300]
        return str(page.get("/api/current-user/token").json()["token"])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started(folder: Path) -> TestServer:
    root = folder / "label-studio-root"
    workspace = Workspace(folder / "label-studio-home")
    for path in (root, workspace.root):
        path.mkdir(exist_ok=True)
    data, port = workspace.root / "label-studio" / "data", free_port()
    data.mkdir(parents=True, exist_ok=True)
    environment = default_environment()
    set_up_page(environment)
    shutil.copyfile(template_database(environment), data / "label_studio.sqlite3")
    secrets = Secrets(username="lead@example.com", password="a-long-password", token="0" * 39 + "1", backend_token="b")
    url = f"http://127.0.0.1:{port}"
    variables = label_studio_variables(workspace, secrets, url=url)
    variables["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(root.resolve())
    command = [str(program(environment)), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    child = start("Label Studio", command, environment=variables, cwd=workspace.root, log=folder / "label-studio.log")
    wait_until_up({f"{url}/health": child}, timeout_s=180, on_wait=lambda _: None)
    return TestServer(url, secrets.token, "lead@example.com", "a-long-password", str(root.resolve()), child.process.pid)
