"""Servers as children of ours: started, waited for, ended, and found again when we were killed before we ended them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import Field

from avis_data.config import validated
from avis_data.errors import DataError, ProblemsError, ToolError
from avis_data.io import read_json, write_text
from avis_data.platforms import not_on_windows
from avis_data.records import Record

__all__ = [
    "Child",
    "ChildRecord",
    "check_port",
    "end_left_over",
    "is_alive",
    "keep_children",
    "read_children",
    "start",
    "wait_until_up",
]

_PATIENCE_S = 10.0
"""How long a server may take to end when it is asked to, before it is killed."""


class ChildRecord(Record):
    """What is kept of a child, so that a later run knows it again: process ids are given out anew."""

    name: str
    pid: int = Field(gt=0)
    started: str = Field(description="When the system says that it was started.")
    num_restarts: int = Field(default=0, ge=0)
    last_end: str | None = Field(default=None, description="How and when it ended last, if it was started again.")


class _Children(Record):
    children: tuple[ChildRecord, ...]


@dataclass(frozen=True, kw_only=True)
class Child:
    """A server that we started, and how."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    again: Callable[[], Child]
    """Starts it anew, in the same way."""
    num_restarts: int = 0
    last_end: str | None = None

    def check(self) -> None:
        """Raise ToolError, with the end of its log, if it has ended."""
        code = self.process.poll()
        if code is not None:
            message = f"{self.name} ended (exit {code}); the end of {self.log}:\n{_tail(self.log)}"
            raise ToolError(message, hint="avis-data annotate serve starts it again; what people did is kept")

    def end(self) -> None:
        """Ask it to end, then kill it and all that it started; it is gone when this returns."""
        if self.process.poll() is None:
            _end_group(self.process.pid)
            try:
                self.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                pass
        _kill_group(self.process.pid)  # also what an ended server left running
        self.process.wait()

    def record(self) -> ChildRecord:
        """What the server is known again by."""
        return ChildRecord(
            name=self.name,
            pid=self.process.pid,
            started=_started(self.process.pid) or "unknown",
            num_restarts=self.num_restarts,
            last_end=self.last_end,
        )


def start(name: str, command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, log: Path) -> Child:
    """Start a server in a session of its own, so that Ctrl-C reaches us only; its words go to the end of `log`.

    Raises:
        ToolError: if it cannot be started, or this system has no groups of processes (Windows): it could not be ended
            with all that it starts.
    """
    if sys.platform == "win32":
        hint = "avis-data annotate serve --label-studio-url URL --backend-url URL, of servers on another machine"
        raise not_on_windows(f"starting {name}", hint=hint)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        try:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise ToolError(f"{name} cannot be started: {error}", hint="avis-data annotate install") from None
    again = partial(start, name, command, environment=environment, cwd=cwd, log=log)
    return Child(name=name, process=process, log=log, again=again)


def check_port(port: int, *, name: str, option: str) -> None:
    """Raise ToolError if something listens on a port of 127.0.0.1 already (Label Studio would take another in silence).

    Args:
        port: to be looked at.
        name: of the server that wants it.
        option: of the command, by which another can be chosen.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            hint = f"avis-data annotate serve {option} {port + 1}"
            raise ToolError(f"port {port} for {name} is in use by another program", hint=hint) from None


def wait_until_up(children: Mapping[str, Child], *, timeout_s: float, on_wait: Callable[[str], None]) -> None:
    """Wait until every URL answers 200.

    Args:
        children: by the URL of their health page.
        timeout_s: for all of them together.
        on_wait: is told whom we wait for, about every five seconds.

    Raises:
        ToolError: if one ends, or time is up; with the end of its log.
    """
    waiting = dict(children)
    began = told = time.monotonic()
    while waiting:
        for url, child in list(waiting.items()):
            child.check()
            if _answers(url):
                del waiting[url]
        now = time.monotonic()
        if waiting and now - began > timeout_s:
            child = next(iter(waiting.values()))
            raise ToolError(f"{child.name} does not answer after {timeout_s:.0f} s; its log:\n{_tail(child.log)}")
        if waiting and now - told >= 5:
            told = now
            on_wait(", ".join(child.name for child in waiting.values()))
        if waiting:
            time.sleep(0.2)


def end_left_over(path: Path) -> list[str]:
    """End the children of a run that was killed, by the file it kept of them; only those that are really the same.

    Returns:
        Their names.
    """
    if sys.platform == "win32":
        return []  # and none was started
    ended = []
    for child in read_children(path):
        if is_alive(child):
            ended.append(child.name)
            _end_group(child.pid)
            deadline = time.monotonic() + _PATIENCE_S
            while is_alive(child) and time.monotonic() < deadline:
                time.sleep(0.1)
            _kill_group(child.pid)
    return ended


def read_children(path: Path) -> tuple[ChildRecord, ...]:
    """The children that are kept of; none where nothing is, or nothing that can be read."""
    try:
        return validated(_Children, read_json(path), where=str(path)).children
    except (DataError, ProblemsError):
        return ()


def keep_children(path: Path, children: Sequence[Child]) -> None:
    """Keep by what children are known again."""
    write_text(path, _Children(children=tuple(child.record() for child in children)).model_dump_json(indent=2) + "\n")


def is_alive(child: ChildRecord) -> bool:
    """Whether a child that was kept still runs."""
    return _started(child.pid) == child.started


def _started(pid: int) -> str | None:
    """When a process was started, as the system says it; None if there is none. `ps` knows on Linux and macOS."""
    ran = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = ran.stdout.strip().partition(" ")
    return started.strip() if ran.returncode == 0 and not state.startswith("Z") else None


def _end_group(pid: int) -> None:
    """Ask a server and all that it started to end."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)


def _kill_group(pid: int) -> None:
    """End a server and all that it started."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _tail(log: Path, lines: int = 12) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (nothing)"
