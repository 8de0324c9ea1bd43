"""Killed at random moments, a removal is completed by the next call, to the bytes of one that nobody disturbed.

`AVIS_DATA_KILLS=50 pytest tests/pipelines/upkeep/test_remove_kills.py` kills it so often; by itself it is a few times.
The moments are spread over the whole command: one is drawn from each part of it.
"""

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

NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", "6"))


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
    left_open = 0
    for kill in range(NUM_KILLS):
        workspace = without_server(make(f"killed-{kill}"))
        first, end = (1 + (number - 1) * part // NUM_KILLS for part in (kill, kill + 1))
        moment = rng.randrange(first, max(first + 1, end))
        assert die_at(moment, "-C", workspace.root, *command)
        left_open += workspace.removal.exists()
        if kill % 2 and workspace.removal.exists():
            die_at(
                rng.randrange(1, max(2, number - moment)), "-C", workspace.root, "remove"
            )  # and the one that completes it
        ended = avis_data("-C", workspace.root, *(command if not workspace.removal.exists() else ("remove",)))
        assert ended.code == 0, ended.err
        assert tree_hashes(workspace.root) == expected
        assert traces_of(workspace, [GONE])[1] == []
    assert left_open > NUM_KILLS / 3, "most kills were before the work or after it"
