"""Servers that end by themselves are started again, each for itself: one that dies costs nobody's work at the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from avis_data.annotation.serve.server_processes import Child, keep_children
from avis_data.errors import ToolError

__all__ = ["keep_up", "pauses"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_STEADY_S = 120.0
"""A server that ran so long is well again: the pauses begin anew."""
_LOOK_S = 0.5


@dataclass
class _Watched:
    """One server, and what it did lately."""

    child: Child
    pauses: Iterator[float]
    since: float
    due: float | None = None
    """When it is started again, while it is down."""


def pauses() -> Iterator[float]:
    """Seconds before a server is started again, twice as long each time up to a minute."""
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE_S, 2 * pause)


def keep_up(children: list[Child], path: Path, *, say: Callable[[str], None]) -> None:
    """Watch servers and start again those that end. Returns never: KeyboardInterrupt ends it.

    Args:
        children: as they were started; each is replaced in this list by the one that is started for it.
        path: where children are kept, for who ends them after a kill, and for `annotate status`.
        say: is told what ends and what is started again.
    """
    watched = [_Watched(child, pauses(), time.monotonic()) for child in children]
    while True:
        for number, server in enumerate(watched):
            if _looked_at(server, say):
                children[number] = server.child
                keep_children(path, children)
        time.sleep(_LOOK_S)


def _looked_at(server: _Watched, say: Callable[[str], None]) -> bool:
    """Look after one server; True if another process runs now, or none does any more."""
    now, child = time.monotonic(), server.child
    if server.due is None:
        code = child.process.poll()
        if code is None:
            return False
        if now - server.since > _STEADY_S:
            server.pauses = pauses()
        child.end()  # what it started itself
        when = datetime.now(UTC).isoformat(timespec="seconds")
        server.child = replace(child, last_end=f"exit {code} at {when}")
        server.due = now + next(server.pauses)
        say(f"{child.name} ended (exit {code}); it is started again in {server.due - now:.0f} s. Its log: {child.log}")
        return True
    if now < server.due:
        return False
    try:
        started = child.again()
    except ToolError as error:
        server.due = now + next(server.pauses)
        say(f"{child.name} cannot be started: {error}; tried again in {server.due - now:.0f} s")
        return False
    server.child = replace(started, num_restarts=child.num_restarts + 1, last_end=child.last_end)
    server.since, server.due = now, None
    say(f"{child.name} was started again")
    return True
