"""What the containers of docker-compose.yml run, as plain processes with the variables of `.env`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from avis_data.annotation.serve.label_studio_install import default_environment, program
from support.label_studio import free_port, is_available
from support.places import ROOT

__all__ = ["COMPOSE", "App", "filled_in", "healthy", "running_app", "stopped", "until", "values_of_env", "variables"]

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
_GRACE_S = 10
"""So long `docker stop` waits before it kills."""


def values_of_env(public_url: str) -> dict[str, str]:
    """`.env`, filled in."""
    return {
        "POSTGRES_PASSWORD": "a-password-of-the-database",
        "PUBLIC_URL": public_url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost,app",
        "LABEL_STUDIO_USERNAME": "lead@example.com",
        "LABEL_STUDIO_PASSWORD": "a-long-password",
        "LABEL_STUDIO_USER_TOKEN": "0" * 39 + "7",
    }


def filled_in(text: str, values: dict[str, str]) -> str:
    """A text with the variables of `.env`."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: values[found[1]], text)


def variables(service: str, values: dict[str, str]) -> dict[str, str]:
    """What a container finds in its environment; of this machine only what no program can do without."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    given = COMPOSE["services"][service].get("environment", {})
    return kept | {name: filled_in(value, values) for name, value in given.items()}


def healthy(service: str, changed: Callable[[str], str], environment: dict[str, str]) -> bool:
    """Whether the container's own health check is content."""
    kind, *command = COMPOSE["services"][service]["healthcheck"]["test"]
    command = [changed(word) for word in command]
    ran = subprocess.run(command[0] if kind == "CMD-SHELL" else command, shell=kind == "CMD-SHELL", env=environment,
                         capture_output=True, check=False)  # fmt: skip
    return ran.returncode == 0


def until(what: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        time.sleep(0.3)


def stopped(process: subprocess.Popen[bytes]) -> int:
    """Its exit code after what `docker stop` sends."""
    process.send_signal(signal.SIGTERM)
    return process.wait(_GRACE_S)


@dataclass(frozen=True, kw_only=True)
class App:
    """Label Studio as the container `app` runs it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def running_app(folder: Path, values: dict[str, str], database: Mapping[str, str]) -> Iterator[App]:
    """Label Studio with the variables of its container, healthy by the container's own check.

    Args:
        folder: with the dataset in `ds`; its data and its log come there too.
        values: of `.env`.
        database: the variables that say where its database is.
    """
    if not is_available():
        pytest.skip("needs Label Studio's own environment: avis-data annotate install")
    port = free_port()
    places = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / "ds"),
        "HOME": str(folder),
    }
    environment = variables("app", values) | places | dict(database)
    log = folder / "app.log"
    command = [str(program(default_environment())), "start", "--no-browser", "--internal-host", "127.0.0.1"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--port", str(port)], env=environment, cwd=folder, stdout=out, stderr=out)
    try:

        def on_our_port(word: str) -> str:
            return {"python3": sys.executable}.get(word, word.replace(":8000/", f":{port}/"))

        until(lambda: healthy("app", on_our_port, environment), process, log, within_s=600)
        yield App(url=f"http://127.0.0.1:{port}", process=process, log=log)
    finally:
        process.kill()
