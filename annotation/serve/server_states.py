"""How the servers are that `annotate serve` runs for a workspace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from avis_data.annotation.labelstudio.settings import server_dir
from avis_data.annotation.serve.server_processes import is_alive, read_children
from avis_data.paths import Workspace

__all__ = ["Refusal", "ServerState", "refusals", "server_states"]


_REFUSED = re.compile(r"(?P<at>\S+ [\d:]+)\S* WARNING clip=(?P<clip_id>[\w.-]+): (?P<why>.*)")
_TAIL_BYTES = 200_000
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A click that the segmenter could not answer. The page shows nothing of it."""

    at: str
    """When, by the clock of this machine."""
    clip_id: str
    why: str

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """One server."""

    name: str
    is_up: bool
    num_restarts: int
    last_end: str | None
    """How and when it ended last by itself."""

    def words(self) -> str:
        """For people."""
        state = "runs" if self.is_up else "is down, and is started again while `annotate serve` runs"
        ends = f"; {self.num_restarts} restart(s), the last end: {self.last_end}" if self.last_end else ""
        return f"{self.name} {state}{ends}"

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def server_states(workspace: Workspace) -> list[ServerState]:
    """Of the servers on this machine; none where `annotate serve` does not run, or all are elsewhere."""
    return [
        ServerState(
            name=child.name,
            is_up=is_alive(child),
            num_restarts=child.num_restarts,
            last_end=child.last_end,
        )
        for child in read_children(server_dir(workspace) / "processes.json")
    ]


def refusals(workspace: Workspace) -> list[Refusal]:
    """The last clicks that came to nothing, oldest first, as our segmenter wrote them down."""
    found = [match for line in _tail(server_dir(workspace) / "backend.log") if (match := _REFUSED.fullmatch(line))]
    return [Refusal(**match.groupdict()) for match in found[-_SHOWN:]]


def _tail(path: Path) -> list[str]:
    """The last lines of a log; none where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
