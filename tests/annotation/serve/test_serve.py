"""`annotate serve`: a real Label Studio and the segmenter for a workspace, ended cleanly, found again after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import pytest

from avis_data.annotation.labelstudio.settings import (
    connect,
    new_secrets,
    read_secrets,
    read_settings,
    server_dir,
    write_secrets,
)
from avis_data.annotation.segmenters import engines
from avis_data.annotation.serve import label_studio_install
from avis_data.annotation.serve.keep_up import pauses
from avis_data.annotation.serve.label_studio_install import default_environment, install, is_installed
from avis_data.annotation.serve.server_processes import (
    check_port,
    end_left_over,
    keep_children,
    read_children,
    start,
)
from avis_data.annotation.serve.servers import ServeOptions, label_studio_only
from avis_data.annotation.work.pull import pull_workspace
from avis_data.cli.main import main
from avis_data.errors import DataError, ToolError
from avis_data.io import sha256_file
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from avis_data.weights import RegisteredWeights
from support.label_studio import TestServer, free_port, is_available
from support.labelling_world import labelled, push, start_world, submit, task_ids
from support.served import Served, serving

needs_label_studio = pytest.mark.skipif(not is_available(), reason="needs avis-data annotate install")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path / "set")
    found.root.mkdir()
    create_workspace(found, "aviseg")
    return found


@needs_label_studio
@pytest.mark.slow
def test_it_comes_up_and_ends_without_leaving_anything(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = ["-C", str(workspace.root), "annotate", "serve", "--port", str(taken.getsockname()[1])]
        assert main(command) == 5  # the account's password is made by now, and nobody was told it
    with serving(workspace) as served:
        said = served.wait_until_up()
        found = read_secrets(workspace)
        assert f"http://127.0.0.1:{served.port}" in said and str(found.username) in said
        assert str(found.password) in said and found.token not in said and found.backend_token not in said
        for name in ("secrets.json", "backend-token"):
            assert (workspace.root / "label-studio" / name).stat().st_mode & 0o777 == 0o600
        client, _ = connect(workspace)
        assert client.whoami() == found.username
        _check_backend(workspace, served, found.backend_token)
        _check_nobody_signs_up(f"http://127.0.0.1:{served.port}")
        _check_strangers_are_told_nothing(f"http://127.0.0.1:{served.port}", found.token)
        for folder in (".", "data"):
            assert (workspace.root / "label-studio" / folder).stat().st_mode & 0o777 == 0o700
        assert main(["-C", str(workspace.root), "annotate", "serve", "--port", str(free_port())]) == 5  # one at a time
        assert served.end(signal.SIGINT) == 0
        assert served.answers() == [False, False]
    found = found.model_copy(update={"password_told": True})
    with serving(workspace) as again:
        said = again.wait_until_up()
        assert str(found.password) not in said and read_secrets(workspace) == found
        _check_backend(workspace, again, found.backend_token)  # another port now, and still one connection
        assert again.end(signal.SIGTERM) == 0
        assert again.answers() == [False, False]
    logs = "".join(path.read_text(errors="replace") for path in (workspace.root / "label-studio").glob("*.log"))
    assert not any(secret in logs for secret in (str(found.password), found.token, found.backend_token))


def _check_strangers_are_told_nothing(url: str, token: str) -> None:
    """Pages of other sites, names that lead here (DNS rebinding), and the page of metrics, which no setting closes."""
    key = {"Authorization": f"Token {token}"}
    with httpx.Client(base_url=url) as page:
        for path in ("/api/projects/", "/health", "/user/login/", "/metrics/"):
            with_key = page.get(path, headers={**key, "Origin": "https://evil.example"})
            assert with_key.status_code == 200
            assert not [name for name in with_key.headers if name.startswith("access-control-")]
            asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
            assert "access-control-allow-origin" not in page.options(path, headers=asked).headers
            assert page.get(path, headers={**key, "Host": "evil.example"}).status_code == 400
        for path in ("/metrics/", "/metrics/anything?all=1", "/__lsa/"):
            for headers in ({}, key):
                assert page.get(path, headers=headers).content == b"", "it holds nothing, whoever asks"
        assert page.get("/api/projects/").status_code == 401


def _check_nobody_signs_up(url: str) -> None:
    """Without an invitation. (The page itself is shown.)"""
    with httpx.Client(base_url=url, follow_redirects=True) as page:
        form = page.get("/user/signup/").text
        csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        fields = {"email": "eve@example.com", "password": "a-long-password"}
        fields["csrfmiddlewaretoken"] = csrf.group(1) if csrf else ""
        assert page.post("/user/signup/", data=fields, headers={"Referer": url}).status_code == 403


def _check_backend(workspace: Workspace, served: Served, token: str) -> None:
    url, headers = f"http://127.0.0.1:{served.port}/api", {"Authorization": f"Token {read_secrets(workspace).token}"}
    (project,) = httpx.get(f"{url}/projects/", headers=headers).json()["results"]
    (backend,) = httpx.get(f"{url}/ml/?project={project['id']}", headers=headers).json()
    assert backend["url"] == f"http://127.0.0.1:{served.backend_port}" and backend["is_interactive"]
    assert backend["state"] == "CO", backend  # connected: the server reached it, with its token
    asked = {"project": f"{project['id']}.1", "schema": "<View/>"}
    for sent, status in ((token, 200), ("no", 401)):  # and nobody reaches it without
        assert httpx.post(f"{backend['url']}/setup", json=asked, auth=("avis-data", sent)).status_code == status


@needs_label_studio
@pytest.mark.slow
def test_killed_it_starts_again_with_nothing_lost(workspace: Workspace) -> None:
    port, backend_port = free_port(), free_port()
    with serving(workspace, port=port, backend_port=backend_port) as served:
        served.wait_until_up()
        client, _ = connect(workspace)
        projects = [project["id"] for project in _projects(workspace)]
        served.end(signal.SIGKILL)
        assert served.answers() == [True, True]  # its servers live on
        with serving(workspace, port=port, backend_port=backend_port) as again:
            again.wait_until_up()
            assert "Label Studio of an earlier run was still there" in again.err.read_text()
            assert [project["id"] for project in _projects(workspace)] == projects
            assert client.whoami() == read_secrets(workspace).username


def _projects(workspace: Workspace) -> list[dict[str, int]]:
    headers = {"Authorization": f"Token {read_secrets(workspace).token}"}
    return list(httpx.get(f"{read_settings(workspace).url}/api/projects/", headers=headers).json()["results"])


@needs_label_studio
@pytest.mark.slow
def test_servers_that_die_are_started_again(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(workspace) as served:
        served.wait_until_up()
        before = {child.name: child for child in read_children(server_dir(workspace) / "processes.json")}
        assert set(before) == {"Label Studio", "the segmenter"}
        for child in before.values():
            os.kill(child.pid, signal.SIGKILL)
            served.wait_until_again(child.name)
        capsys.readouterr()
        assert main(["-C", str(workspace.root), "annotate", "status", "--json"]) == 0
        told = {server["name"]: server for server in json.loads(capsys.readouterr().out)["servers"]}
        assert {name: server["num_restarts"] for name, server in told.items()} == dict.fromkeys(before, 1)
        assert all(server["is_up"] and server["last_end"].startswith("exit -9 at ") for server in told.values())
        assert main(["-C", str(workspace.root), "annotate", "status"]) == 0
        assert "the segmenter runs; 1 restart(s), the last end: exit -9 at 20" in capsys.readouterr().out
        assert served.end(signal.SIGTERM) == 0
        assert served.answers() == [False, False]


def test_pauses_grow_up_to_a_minute() -> None:
    assert list(islice(pauses(), 9)) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_it_says_which_engine_it_took_and_how_to_get_a_better_one(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before anything starts, here on a port that is taken."""
    weights = tmp_path / "u2netp.onnx"
    weights.write_bytes(b"not read here")
    known = RegisteredWeights(
        name="u2netp", kind="saliency", path=str(weights), sha256=sha256_file(weights), size_bytes=13
    )
    monkeypatch.setattr(engines, "registered", list)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = ["-C", str(workspace.root), "annotate", "serve", "--port", str(taken.getsockname()[1])]
        assert main(command) == 5
        said = "segmenter: grabcut, without weights; better masks of photographs: avis-data weights get u2netp"
        assert said in capsys.readouterr().err
        assert main([*command, "--engine", "grabcut"]) == 5
        assert "segmenter:" not in capsys.readouterr().err, "it was named"
        monkeypatch.setattr(engines, "registered", lambda: [known])
        assert main(command) == 5
        assert "segmenter: saliency with u2netp; better masks, with a GPU: avis-data" in capsys.readouterr().err


def test_a_busy_port_is_an_error_and_not_another_port(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["-C", str(workspace.root), "annotate", "serve", "--port", str(port)]) == 5
        said = capsys.readouterr().err
        assert f"port {port} for Label Studio is in use" in said and f"--port {port + 1}" in said
    check_port(port, name="x", option="--port")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label-studio-url", "http://127.0.0.1:9"], "--token-file"),
        (["--clips-folder", "x"], "--label-studio-url"),
        (["--backend-url", "http://127.0.0.1:9"], "--backend-token-file"),
        (["--label-studio-url", "localhost:8080", "--token-file", "{token}"], "'localhost:8080' is no address"),
        (["--engine", "magic"], "there are: grabcut"),
        (["--engine", "sam"], "--engine-weights"),
    ],
)
def test_options_that_do_not_go_together(
    workspace: Workspace, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    token = workspace.root / "token.txt"
    token.write_text("x")
    options = [option.format(token=token) for option in options]
    assert main(["-C", str(workspace.root), "annotate", "serve", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_dataset_of_two_stills_a_second_is_refused_before_anything_starts(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    text = workspace.recipe.read_text()
    workspace.recipe.write_text(
        text.replace("\nextract:\n", "\nembed:\n  front_end: causal\n\nextract:\n  fps: 2\n", 1)
    )
    nowhere = str(workspace.root / "env")  # where it is not refused, it must not start either
    assert main(["-C", str(workspace.root), "annotate", "serve", "--env", nowhere]) == 2
    assert "this dataset has 2 stills a second (extract.fps in recipe.yaml)" in capsys.readouterr().err
    assert not server_dir(workspace).exists()


def test_a_server_that_exists_is_used(label_studio: TestServer, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = start_world(label_studio, "existing")
    folder = workspace.root / "label-studio"
    prefix = read_settings(workspace).media_prefix
    for path in folder.iterdir():
        path.unlink()
    token = workspace.root.parent / "token.txt"
    token.write_text(label_studio.token + "\n")
    with _silent_backend() as url:
        command = ["-C", str(workspace.root), "annotate", "serve", "--label-studio-url", label_studio.url]
        command += ["--token-file", str(token), "--media-prefix", prefix]
        assert main([*command, "--backend-url", url, "--backend-token-file", str(token)]) == 0
        said = capsys.readouterr().out
        assert label_studio.url in said and "password" not in said and label_studio.token not in said
        push(workspace)
        submit(label_studio.client(), task_ids(label_studio.client(), workspace)["c1"], [])
        pull_workspace(workspace)
    assert len(labelled(workspace)) == 1
    before = read_secrets(workspace)
    wrong = workspace.root.parent / "wrong.txt"
    wrong.write_text("0" * 40)
    command[command.index(str(token))] = str(wrong)
    assert main([*command, "--backend-url", url, "--backend-token-file", str(wrong)]) == 5
    assert "401" in capsys.readouterr().err
    assert read_secrets(workspace) == before  # and one can still pull
    assert pull_workspace(workspace).num_tasks > 0
    assert main(["-C", str(workspace.root), "annotate", "serve"]) == 5  # not a second server by mistake
    assert "name it again with --label-studio-url" in capsys.readouterr().err


def test_another_server_does_not_cost_our_own_its_account(label_studio: TestServer, workspace: Workspace) -> None:
    own = new_secrets(username="lead@example.com")
    server_dir(workspace).mkdir()
    write_secrets(workspace, own)
    token = workspace.root / "token.txt"
    token.write_text("0" * 40)
    command = ["-C", str(workspace.root), "annotate", "serve", "--label-studio-url", label_studio.url]
    command += ["--token-file", str(token)]
    assert main([*command, "--backend-port", str(free_port())]) == 5
    assert read_secrets(workspace) == own
    token.write_text(label_studio.token)
    with label_studio_only(workspace, ServeOptions(url=label_studio.url, token_file=token)) as serving:
        assert serving.username is None  # that is the login of our own
    kept = read_secrets(workspace)
    assert kept.token_in_use == label_studio.token
    assert (kept.username, kept.password, kept.token) == (own.username, own.password, own.token)


def test_without_the_secrets_of_its_accounts_a_server_is_not_started(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    data = server_dir(workspace) / "data"
    data.mkdir(parents=True)
    (data / "label_studio.sqlite3").write_bytes(b"")
    assert main(["-C", str(workspace.root), "annotate", "serve"]) == 5
    assert "bring it back from a copy" in capsys.readouterr().err
    assert not (server_dir(workspace) / "secrets.json").exists()


@contextmanager
def _silent_backend() -> Iterator[str]:
    """A segmenter that knows nothing: it is healthy and answers every question with no mask."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status": "UP", "model_class": "none", "model_version": "none", "results": []}'
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_left_over_children_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    note = tmp_path / "processes.json"
    child = start(
        "sleeper", ["sleep", "60"], environment={"PATH": os.environ["PATH"]}, cwd=tmp_path, log=tmp_path / "l"
    )
    keep_children(note, [child])
    other = note.read_text().replace(re.findall(r'"started": "([^"]+)"', note.read_text())[0], "Thu Jan  1 1970")
    (tmp_path / "other.json").write_text(other)
    assert end_left_over(tmp_path / "other.json") == []  # the id was given to another process meanwhile
    assert child.process.poll() is None
    assert end_left_over(note) == ["sleeper"]
    assert child.process.wait(5) != 0
    assert end_left_over(note) == [] and end_left_over(tmp_path / "none.json") == []


def test_a_child_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such engine')"]
    child = start("the segmenter", command, environment={}, cwd=tmp_path, log=tmp_path / "log")
    child.process.wait()
    with pytest.raises(ToolError, match=r"the segmenter ended \(exit 1\)[\s\S]*no such engine"):
        child.check()


def test_where_processes_have_no_groups_servers_are_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: what cannot be ended with all that it started is not begun, and the way out is told."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ToolError, match=r"needs Linux or macOS[\s\S]*--label-studio-url"):
        start("the segmenter", [sys.executable, "-V"], environment={}, cwd=tmp_path, log=tmp_path / "log")
    assert not (tmp_path / "log").exists() and end_left_over(tmp_path / "none.json") == []


def test_secrets_that_others_may_read_are_refused(workspace: Workspace) -> None:
    folder = workspace.root / "label-studio"
    folder.mkdir()
    (folder / "secrets.json").write_text('{"token": "x", "backend_token": "y"}')
    (folder / "secrets.json").chmod(0o644)
    with pytest.raises(DataError, match="others may read"):
        read_secrets(workspace)
    (folder / "secrets.json").chmod(0o600)
    assert read_secrets(workspace).token == "x"
    (folder / "secrets.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        read_secrets(workspace)


def test_an_environment_counts_only_when_it_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "env"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert not is_installed(folder)
    with pytest.raises(DataError, match="holds something that is no environment"):
        install(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "avis-data.json").write_text('{"packages_sha256": "of an older version"}')
    assert not is_installed(folder)
    if is_available():
        assert main(["annotate", "install"]) == 0
        assert f"{default_environment()}: is there already" in capsys.readouterr().err


@pytest.mark.slow
def test_an_installation_that_fails_leaves_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(ToolError, match="pip could not install Label Studio"):
        install(tmp_path / "env")
    assert not is_installed(tmp_path / "env")
    with pytest.raises(ToolError, match="pip could not install"):  # and what it left is no hindrance
        install(tmp_path / "env")


def test_the_page_is_set_up_once_and_follows_what_it_asks_for(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "python3.11" / "site-packages" / "web" / "dist" / "apps" / "labelstudio"
    folder.mkdir(parents=True)
    phrases = list(label_studio_install._PAGE)
    (folder / "one.js").write_text(f"first;{phrases[0]};")
    (folder / "two.js").write_text(f"second;{';'.join(phrases[1:])};")
    label_studio_install.set_up_page(tmp_path)
    once = (folder / "two.js").read_text()
    assert all(ours in (folder / "one.js").read_text() + once for ours in label_studio_install._PAGE.values())
    assert once.count("window.avisFill = ") == once.count("window.fetch = ") == 1
    assert "avisFill" not in (folder / "one.js").read_text()
    (folder / "two.js").write_text(once.replace("avis-filling", "of an older version"))
    label_studio_install.set_up_page(tmp_path)
    assert (folder / "two.js").read_text() == once
    (folder / "one.js").write_text("another version")
    with pytest.raises(ToolError, match="not as expected"):
        label_studio_install.set_up_page(tmp_path)
