"""A synthetic dataset at six stills a second, and the command line that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avis_data.cli.main import main
from avis_data.paths import Workspace
from avis_data.recipe import shipped_recipe

__all__ = ["Rated", "run", "six_per_second"]

_SIX = "embed:\n  front_end: causal\n\nextract:\n  fps: 6\n"


@dataclass(frozen=True)
class Rated:
    """Where things are."""

    world: Path
    workspace: Workspace

    @property
    def export(self) -> Path:
        """Of all that is seen."""
        return self.workspace.exports / "ytvis"


def six_per_second(root: Path, *, truth: str) -> Workspace:
    """An empty workspace at that rate."""
    root.mkdir(parents=True)
    workspace = Workspace(root)
    text = shipped_recipe("aviseg").replace("extract:\n", _SIX) + f"\ntruth: {truth}\n"
    workspace.recipe.write_text(text, encoding="utf-8")
    return workspace


def run(*words: object) -> int:
    """The command line, in this process."""
    return main([str(word) for word in words])
