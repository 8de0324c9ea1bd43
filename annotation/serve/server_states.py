"""How the servers are that `annotate serve` runs for a workspace."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.annotation.labelstudio.settings import server_dir
from avis_data.annotation.serve.server_processes import is_alive, read_children
from avis_data.paths import Workspace

__all__ = ["ServerState", "server_states"]


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
