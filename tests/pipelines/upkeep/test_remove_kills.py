"""Killed at random moments, a removal is completed by the next call, to the bytes of one that nobody disturbed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.verify import traces_of
from support.dying import changes_of, die_at
from support.full_workspace import GONE
from support.shell import avis_data, tree_hashes

pytestmark = pytest.mark.slow

NUM_KILLS = 5 if os.environ.get("CI") else 20


def without_server(workspace: Workspace) -> Workspace:
    """Nobody to be waited for."""
    (workspace.root / "label-studio" / "server.json").unlink()
    return workspace


def test_random_kills_leave_nothing_half_done(make: Callable[[str], Workspace]) -> None:
    undisturbed = without_server(make("undisturbed"))
    command = ("remove", GONE, "--reason", "takedown", "--by", "me", "--exports")
    number = changes_of("-C", undisturbed.root, *command)
    assert number > 100
    expected, rng = tree_hashes(undisturbed.root), random.Random(13)
    kills, left_open = 0, 0
    while kills < NUM_KILLS:
        workspace = without_server(make(f"killed-{kills}"))
        moments = sorted(rng.sample(range(1, number), 2), reverse=True)
        assert die_at(moments[0], "-C", workspace.root, *command)
        kills += 1
        left_open += workspace.removal.exists()
        if rng.random() < 0.5 and workspace.removal.exists():
            kills += die_at(moments[1], "-C", workspace.root, "remove")  # and the one that completes it too
        ended = avis_data("-C", workspace.root, *(command if not workspace.removal.exists() else ("remove",)))
        assert ended.code == 0, ended.err
        assert tree_hashes(workspace.root) == expected
        assert traces_of(workspace, [GONE])[1] == []
    assert left_open > NUM_KILLS / 3, "most kills were before the work or after it"
