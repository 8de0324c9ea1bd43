"""`annotate serve`: Label Studio and the segmenter on this machine, for one workspace, until somebody ends them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from avis_data.annotation.labels.workspace_labels import WorkspaceLabels, check_rate
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.projects import refresh_projects
from avis_data.annotation.labelstudio.settings import (
    Secrets,
    ServerSettings,
    new_secrets,
    read_secrets,
    server_dir,
    write_secrets,
    write_settings,
)
from avis_data.annotation.segmenters.engines import AUTO, choose_engine, engine_loader
from avis_data.annotation.serve.keep_up import keep_up
from avis_data.annotation.serve.label_studio_install import (
    default_environment,
    program,
    quiet_environment,
    set_up_page,
    template_database,
)
from avis_data.annotation.serve.server_processes import (
    Child,
    check_port,
    end_left_over,
    keep_children,
    start,
    wait_until_up,
)
from avis_data.errors import BusyError, ConfigError, ToolError
from avis_data.extras import need_extra
from avis_data.io import atomic_path, write_private
from avis_data.links.check import check_links
from avis_data.paths import Workspace
from avis_data.recipe import load_recipe

__all__ = [
    "BACKEND_PORT",
    "PORT",
    "ServeOptions",
    "Serving",
    "label_studio_only",
    "label_studio_variables",
    "password_was_told",
    "serve",
]

PORT, BACKEND_PORT = 8080, 9090
_LOGIN = "annotator@example.com"
_FIRST_START_S = 600.0
"""How long the first start of a server may take: minutes on a slow disk, with all its migrations."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What a person may say."""

    port: int = PORT
    backend_port: int = BACKEND_PORT
    environment: Path | None = None
    """Label Studio's own; None: the usual place."""
    url: str | None = None
    """Address of a server that exists; then none is started."""
    token_file: Path | None = None
    """File with the token for that server."""
    backend_url: str | None = None
    """Address of a segmenter that exists, as the server reaches it; then none is started."""
    backend_token_file: Path | None = None
    """File with that segmenter's token."""
    clips_folder: str | None = None
    """The folder `clips` on that server's machine; None: as here."""
    media_prefix: str = ""
    """Path from the root of that server's local files to the workspace."""
    engine: str = AUTO
    weights: Path | None = None


@dataclass(frozen=True)
class Serving:
    """What runs now."""

    url: str
    username: str | None
    password: str | None
    """Until a person was told it (`password_was_told`): a first start that fails tells nothing."""
    projects: list[str]
    children: list[Child]
    left_over: list[str]
    """Servers of an earlier run that was killed, which were ended."""
    processes: Path
    """Where the servers are kept."""

    def watch(self, say: Callable[[str], None]) -> None:
        """Return never: servers that end are started again. KeyboardInterrupt when we are asked to end."""
        keep_up(self.children, self.processes, say=say)


@contextmanager
def serve(
    workspace: Workspace, options: ServeOptions, *, say: Callable[[str], None] = lambda _: None
) -> Iterator[Serving]:
    """Start what is needed, wait until all of it answers, bring the projects up to date; end all of it at the exit.

    Raises:
        BusyError: if this workspace is served already.
        ConfigError: if options contradict each other, the folder is no workspace, or has not one still a second.
        ToolError: if a port is in use, something is not installed, or a server does not come up.
    """
    check_links(workspace.root)
    check_rate(load_recipe(workspace))
    options = _checked(options, say)
    if options.clips_folder is None:  # the server refuses a folder that is not there (yet)
        (workspace.root / "clips").mkdir(exist_ok=True)
    with _running(workspace, options, say, with_backend=True) as (client, settings, serving):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        yield replace(serving, projects=refresh_projects(WorkspaceLabels(workspace), client, settings, now=now))


@contextmanager
def label_studio_only(workspace: Workspace, options: ServeOptions) -> Iterator[Serving]:
    """The same without a segmenter and without projects: what pushing and pulling need, and measurements of them."""
    with _running(workspace, options, lambda _: None, with_backend=False) as (_, _, serving):
        yield serving


@contextmanager
def _running(
    workspace: Workspace, options: ServeOptions, say: Callable[[str], None], *, with_backend: bool
) -> Iterator[tuple[LabelStudio, ServerSettings, Serving]]:
    check_links(workspace.root)
    folder = server_dir(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # the token, the password and all that people drew
    with _only_one(folder):
        processes = folder / "processes.json"
        left_over = end_left_over(processes)
        found = _secrets(workspace, options)
        children: list[Child] = []
        try:
            health = _start_all(workspace, options, found, children, with_backend=with_backend)
            keep_children(processes, children)
            wait_until_up(health, timeout_s=_FIRST_START_S, on_wait=lambda names: say(f"waiting for {names} ..."))
            settings = _settings(workspace, options, with_backend=with_backend)
            client = LabelStudio(settings.url, found.token_in_use)
            client.whoami()
            write_settings(workspace, settings)
            username = found.username if options.url is None else None
            password = found.password if username and not found.password_told else None
            yield client, settings, Serving(settings.url, username, password, [], children, left_over, processes)
        finally:
            for child in reversed(children):
                child.end()
            processes.unlink(missing_ok=True)


def password_was_told(workspace: Workspace) -> None:
    """Keep that a person was told the password of the first account, so that it is not printed again."""
    found = read_secrets(workspace)
    if found.password is not None and not found.password_told:
        write_secrets(workspace, found.model_copy(update={"password_told": True}))


def label_studio_variables(workspace: Workspace, found: Secrets, *, url: str) -> dict[str, str]:
    """The environment of our Label Studio. Source: specs of Label Studio, §2 (each line was tried)."""
    return quiet_environment(server_dir(workspace) / "data") | {
        "LABEL_STUDIO_USERNAME": found.username or "",
        "LABEL_STUDIO_PASSWORD": found.password or "",
        "LABEL_STUDIO_USER_TOKEN": found.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_HOST": url,
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(workspace.root.resolve()),
        # Private addresses are refused by default, and the segmenter has one; the cloud's metadata stays forbidden.
        "LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS": "false",
        "LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS": "169.254.0.0/16",
        # Pages of other sites get nothing out of the annotator's browser, and no name but ours leads here.
        "LABEL_STUDIO_CORS_ALLOW_ALL_ORIGINS": "false",
        "LABEL_STUDIO_ALLOWED_HOSTS": ",".join(
            sorted({"127.0.0.1", "localhost", urlsplit(url).hostname or "localhost"})
        ),
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "ML_TIMEOUT_PREDICT": "100",
    }


def _checked(options: ServeOptions, say: Callable[[str], None]) -> ServeOptions:
    """The options with the engine that is taken."""
    if options.url is None and (options.token_file or options.clips_folder or options.media_prefix):
        raise ConfigError("--token-file, --clips-folder and --media-prefix go with --label-studio-url")
    if options.url is not None and options.token_file is None:
        raise ConfigError("--label-studio-url needs --token-file: a file with the token of an account there")
    for option, url in (("--label-studio-url", options.url), ("--backend-url", options.backend_url)):
        if url is not None and not url.startswith(("http://", "https://")):
            raise ConfigError(f"{option}: {url!r} is no address, as http://127.0.0.1:8080")
    if (options.backend_url is None) != (options.backend_token_file is None):
        raise ConfigError("--backend-url and --backend-token-file go together")
    choice = choose_engine(options.engine, options.weights)
    if options.backend_url is None:
        need_extra("annotate", what="the segmenter")
        for line in choice.said:
            say(line)
    engine_loader(choice.engine, choice.weights)
    return replace(options, engine=choice.engine, weights=choice.weights)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"{folder.parent}: served already", hint="end the other `annotate serve` with Ctrl-C") from None
    try:
        yield
    finally:
        lock.release()


def _secrets(workspace: Workspace, options: ServeOptions) -> Secrets:
    """The secrets that are there, else new ones.

    The token for a server that exists stands beside the account of our own, which is never forgotten, and a token that
    the server does not take is not kept.
    """
    given = _token(options.token_file) if options.token_file is not None else None
    backend = _token(options.backend_token_file) if options.backend_token_file is not None else None
    path = server_dir(workspace) / "secrets.json"
    is_new = not path.exists()
    if is_new and given is None and _database(workspace).exists():
        hint = "bring it back from a copy, or move label-studio/data away: what was pulled stays"
        raise ToolError(f"{path}: is gone, and the server's first account was made with it", hint=hint)
    found = new_secrets(username=None if given else _LOGIN) if is_new else read_secrets(workspace)
    if given is None and found.username is None:
        raise ToolError(f"{path}: is for a server that exists", hint="name it again with --label-studio-url")
    if given is not None and options.url is not None:
        LabelStudio(options.url, given).whoami()
    wanted = found.model_copy(update={"existing_token": given, "backend_token": backend or found.backend_token})
    if is_new or wanted != found:
        write_secrets(workspace, wanted)
    return wanted


def _database(workspace: Workspace) -> Path:
    return server_dir(workspace) / "data" / "label_studio.sqlite3"


def _token(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not text or any(sign.isspace() for sign in text):
        raise ConfigError(f"{path}: holds no token (one word)")
    return text


def _start_all(
    workspace: Workspace, options: ServeOptions, found: Secrets, children: list[Child], *, with_backend: bool
) -> dict[str, Child]:
    """Start what is not named as existing; gives the children by the URL of their health page."""
    starts_backend = with_backend and options.backend_url is None
    if options.url is None:
        check_port(options.port, name="Label Studio", option="--port")
    if starts_backend:
        check_port(options.backend_port, name="the segmenter", option="--backend-port")
    health = {}
    if options.url is None:
        children.append(_start_label_studio(workspace, options, found))
        health[f"http://127.0.0.1:{options.port}/health"] = children[-1]
    if starts_backend:
        children.append(_start_backend(workspace, options, found))
        health[f"http://127.0.0.1:{options.backend_port}/health"] = children[-1]
    return health


def _start_label_studio(workspace: Workspace, options: ServeOptions, found: Secrets) -> Child:
    environment = options.environment or default_environment()
    executable = program(environment)
    set_up_page(environment)
    database, template = _database(workspace), template_database(environment)
    database.parent.mkdir(mode=0o700, exist_ok=True)  # it holds hashes of passwords, and tokens
    if not database.exists() and template.is_file():
        with atomic_path(database) as part:
            shutil.copyfile(template, part)
    command = [str(executable), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(options.port)]
    variables = label_studio_variables(workspace, found, url=f"http://127.0.0.1:{options.port}")
    log = server_dir(workspace) / "server.log"
    return start("Label Studio", command, environment=variables, cwd=server_dir(workspace), log=log)


def _start_backend(workspace: Workspace, options: ServeOptions, found: Secrets) -> Child:
    token_file = server_dir(workspace) / "backend-token"
    write_private(token_file, found.backend_token + "\n")
    command = [sys.executable, "-m", "avis_data.annotation.serve.segmenter"]
    command += ["--workspace", str(workspace.root.resolve())]
    command += ["--host", "127.0.0.1", "--port", str(options.backend_port), "--token-file", str(token_file)]
    command += ["--engine", options.engine]
    if options.weights is not None:
        command += ["--engine-weights", str(options.weights.resolve())]
    log = server_dir(workspace) / "backend.log"
    return start("the segmenter", command, environment=os.environ, cwd=workspace.root, log=log)


def _settings(workspace: Workspace, options: ServeOptions, *, with_backend: bool) -> ServerSettings:
    own = f"http://127.0.0.1:{options.backend_port}" if with_backend else None
    return ServerSettings(
        url=options.url or f"http://127.0.0.1:{options.port}",
        clips_folder=options.clips_folder or str(workspace.root.resolve() / "clips"),
        media_prefix=options.media_prefix,
        backend_url=options.backend_url or own,
    )
