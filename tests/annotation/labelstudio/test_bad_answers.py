"""Whatever answers in Label Studio's place, every call ends in our error with the address and what to do."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest

from avis_data.annotation.labels.records import RoundInfo, RoundKind, RoundProject
from avis_data.annotation.labels.store import write_round
from avis_data.annotation.labelstudio import client as client_module
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.server_records import ServerTask
from avis_data.annotation.labelstudio.settings import (
    Secrets,
    ServerSettings,
    server_dir,
    write_secrets,
    write_settings,
)
from avis_data.cli.main import main
from avis_data.errors import AvisError, ExitCode, ToolError
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace

SIGN_IN = b"<!doctype html><html><body><form action='/login'>Sign in</form></body></html>"
BODIES = {
    "sign-in page": SIGN_IN,
    "object without fields": b"{}",
    "list": b"[]",
    "list of lists": b"[[]]",
    "null": b"null",
    "text": b'""',
    "number": b"7",
    "nothing": b"",
    "cut off": b'{"id": 1, "ema',
    "no UTF-8": b'{"id": 1, "email": "\xff\xfe"}',
    "deep": b"[" * 100_000,
    "long number": b'{"id": ' + b"9" * 5000 + b"}",
    "wrong types": json.dumps(
        {
            **{field: ["x"] for field in ("id", "email", "task_count", "invite_url", "label_config")},
            **{field: [{"id": "x"}] for field in ("tasks", "results", "annotations")},
        }
    ).encode(),
    "list of wrong types": b'[{"id": "7", "email": 7, "path": 7, "completed_by": null, "updated_at": 3}]',
}
EMPTY_LISTS = {"list"}
"""Bodies that are right for a call which reads a list: nothing is there."""

Call = Callable[[LabelStudio], object]
CALLS: dict[str, Call] = {
    "whoami": lambda client: client.whoami(),
    "ensure_project": lambda client: client.ensure_project("t", label_config="", instructions="", key="k"),
    "project": lambda client: client.project(1),
    "show_predictions": lambda client: client.show_predictions(1, "m"),
    "mark_closed": lambda client: client.mark_closed(1, title="t", instructions="i"),
    "delete_project": lambda client: client.delete_project(1),
    "ensure_media": lambda client: client.ensure_media(1, "/clips"),
    "ensure_backend": lambda client: client.ensure_backend(1, "http://127.0.0.1:9090", "t"),
    "import_tasks": lambda client: client.import_tasks(1, [{"data": {}}]),
    "tasks": lambda client: list(client.tasks(1)),
    "has_task": lambda client: client.has_task(1),
    "change_data": lambda client: client.change_data(ServerTask(id=1, updated_at="", data={}), {"note": "n"}),
    "delete_task": lambda client: client.delete_task(1),
    "annotations": lambda client: client.annotations(1, skipped=True),
    "drafts": lambda client: client.drafts(1),
    "is_begun": lambda client: client.is_begun(ServerTask(id=1, updated_at="", data={})),
    "annotate": lambda client: client.annotate(1, []),
    "email": lambda client: client.email(1),
    "emails": lambda client: client.emails(),
    "invitation": lambda client: client.invitation(),
}
"""One call of each public method."""
MAY_BE_EMPTY = {"has_task", "drafts", "is_begun", "emails", "email"}
"""Calls that read one list, which may be empty, and nothing more."""


class Answers:
    """What the server says next, by the path that is asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.say: Callable[[str], bytes] = lambda _: b""


@contextmanager
def answering() -> Iterator[Answers]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = answers.say(self.path)
            self.send_response(answers.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Answers]:
    with answering() as answers:
        yield answers


@pytest.fixture
def client(server: Answers) -> LabelStudio:
    return LabelStudio(server.url, "token", wait_s=0.0)


def test_every_call_of_the_client_has_a_row() -> None:
    methods = {name for name, _ in inspect.getmembers(LabelStudio, inspect.isfunction) if not name.startswith("_")}
    assert methods == set(CALLS)


def refused(call: Call, client: LabelStudio) -> AvisError:
    with pytest.raises(AvisError) as caught:
        call(client)
    assert client.url in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("status", [200, 404, 204, 302, 401, 418])
@pytest.mark.parametrize("name", CALLS)
def test_no_answer_ends_in_a_traceback(name: str, status: int, server: Answers, client: LabelStudio) -> None:
    server.status = status
    kinds = BODIES if status in (200, 404) else {"sign-in page": SIGN_IN if status != 204 else b""}
    for kind, body in kinds.items():
        server.say = partial(lambda said, _: said, body)
        deletes = name.startswith("delete") and status == 204
        is_empty = name in MAY_BE_EMPTY and kind in EMPTY_LISTS and status == 200
        if deletes or is_empty:
            CALLS[name](client)
        else:
            refused(CALLS[name], client)


@pytest.mark.parametrize("code", [500, 502, 503])
def test_a_server_that_breaks_down_is_told(code: int, server: Answers, client: LabelStudio) -> None:
    server.status, server.say = code, lambda _: SIGN_IN
    for call in CALLS.values():
        refused(call, client)


def task(number: int) -> dict[str, object]:
    return {"id": number, "updated_at": "2026-01-01", "data": {"clip_id": "a"}}


def page_number(path: str) -> int:
    return int(path.partition("&page=")[2].partition("&")[0])


def test_pages_without_end_are_told(server: Answers, client: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAGE_TASKS", 2)
    monkeypatch.setattr(client_module, "_MOST_PAGES", 20)
    server.status = 200
    server.say = lambda _: json.dumps({"tasks": [task(1), task(2)], "total": 9}).encode()
    assert "holds the same" in str(refused(CALLS["tasks"], client))
    server.say = lambda path: json.dumps({"tasks": [task(2 * page_number(path) + k) for k in (0, 1)]}).encode()
    assert "no end after 20 pages" in str(refused(CALLS["tasks"], client))


def test_a_proxy_that_shortens_pages_loses_no_task(server: Answers, client: LabelStudio) -> None:
    server.status = 200
    server.say = lambda path: json.dumps({"tasks": [task(page_number(path))], "total": 5}).encode()
    assert [found.id for found in client.tasks(1)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", BODIES)
def test_a_token_that_has_to_be_renewed(kind: str, server: Answers) -> None:
    token = jwt.encode({"exp": 4_000_000_000, "token_type": "refresh"}, "k" * 32)
    server.status, server.say = 200, lambda _: BODIES[kind]
    refused(CALLS["whoami"], LabelStudio(server.url, token, wait_s=0.0))


@pytest.mark.parametrize("claims", [{"exp": 1}, {"token_type": "refresh"}], ids=["expired", "without an end"])
def test_a_token_that_is_not_valid_is_told(claims: dict[str, object]) -> None:
    with pytest.raises(ToolError, match=r"token for http://127.0.0.1:1 is not valid"):
        LabelStudio("http://127.0.0.1:1", jwt.encode(claims, "k" * 32))


@pytest.mark.parametrize("value", ["NaN", '"\\ud800"', "[" * 5000 + "]" * 5000], ids=["nan", "surrogate", "deep"])
def test_an_annotation_that_no_file_can_hold(value: str, server: Answers, client: LabelStudio) -> None:
    one = f'{{"id": 1, "completed_by": 1, "updated_at": "", "result": {value}}}'
    server.status, server.say = 200, lambda _: f"[{one}]".encode()
    refused(CALLS["annotations"], client)


KNOWN = {"whoami": b'{"email": "a@example.com"}', "projects/1": b'{"id": 1, "title": "t", "task_number": 1}'}
"""What the server says as it should, by what the path holds, before something else answers in its place."""


@pytest.mark.parametrize("command", ["pull", "status"])
@pytest.mark.parametrize("num_known", range(len(KNOWN) + 1))
@pytest.mark.parametrize("kind", BODIES)
def test_pull_and_status_end_in_our_error(
    kind: str, num_known: int, command: str, server: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server answers the first questions as it should; then a proxy in front of it says something else."""
    workspace = Workspace(tmp_path)
    create_workspace(workspace, "aviseg")
    server_dir(workspace).mkdir()
    write_settings(workspace, ServerSettings(url=server.url, clips_folder=str(tmp_path / "clips")))
    write_secrets(workspace, Secrets(token="t", backend_token="b"))
    project = RoundProject(project_id=1, title="t")
    write_round(workspace, RoundInfo(name="draft", kind=RoundKind.DRAFT, created_at="2026-01-01", projects=(project,)))
    right = dict(list(KNOWN.items())[:num_known])
    server.status = 200
    server.say = lambda path: next((body for part, body in right.items() if part in path), BODIES[kind])
    code = main(["-C", str(tmp_path), "annotate", command])
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    assert code == ExitCode.MISSING_TOOL, (code, said.err)
    assert server.url in said.err and "hint:" in said.err
