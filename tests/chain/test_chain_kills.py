"""Kill -9 at random moments, resume, and end with the very bytes of an undisturbed run.

`AVIS_DATA_KILLS=20 pytest tests/chain/test_chain_kills.py` kills so often at least; by itself each command is killed
twice.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from support.server import MediaServer
from support.shell import avis_data, killed, tree_hashes

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", "8"))
KILLS_OF_A_COMMAND = 2


def commands(root: Path) -> list[tuple[object, ...]]:
    workspace = root / "dataset"
    return [
        ("-C", workspace, "fetch", "--list", root / "videos.csv", "--sleep", 0, "--workers", 2),
        ("-C", workspace, "extract", "--workers", 2),
        ("-C", workspace, "embed", "--untrained", "--workers", 1),
        ("-C", workspace, "import", "--format", "ytvis", root / "truth.json"),
        ("-C", workspace, "export", "--split", "2/1/1"),
    ]


def test_kills_change_no_byte(tmp_path: Path) -> None:
    rng = random.Random(20)
    world = tmp_path / "world"
    assert (
        avis_data("synth", "--num-clips", 4, "--seconds", 5, "--seed", 3, "--size", "96x64", "--out", world).code == 0
    )
    with MediaServer(world / "media") as server:
        lists = (world / "videos.csv").read_text().replace("media/", server.url(""))
        roots = [tmp_path / "undisturbed", tmp_path / "killed"]
        for root in roots:
            root.mkdir()
            (root / "videos.csv").write_text(lists)
            (root / "truth.json").write_bytes((world / "truth.json").read_bytes())
        lasts_s = []
        for command in commands(roots[0]):
            began = time.monotonic()
            assert avis_data(*command).code == 0
            lasts_s.append(time.monotonic() - began)
        kills, finished = 0, []
        while kills < NUM_KILLS:
            for command, most_s in zip(commands(roots[1]), lasts_s, strict=True):
                for _ in range(KILLS_OF_A_COMMAND):
                    kills += killed(*command, after_s=rng.uniform(0.1, most_s))
                assert avis_data(*command).code == 0
            finished.append((roots[1] / "dataset").rename(tmp_path / f"finished-after-{kills}-kills"))
    expected = tree_hashes(roots[0] / "dataset")
    assert len(expected) > 60
    assert [tree_hashes(workspace) for workspace in finished] == [expected] * len(finished)
