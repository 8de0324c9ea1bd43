"""Kill -9 at random moments, resume, and end with the very bytes of an undisturbed run."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from support.server import MediaServer
from support.shell import avis_data, start, tree_hashes

pytestmark = pytest.mark.slow

NUM_KILLS = 20
LONGEST_S = 4.0


def commands(root: Path) -> list[tuple[object, ...]]:
    workspace = root / "dataset"
    return [
        ("-C", workspace, "fetch", "--list", root / "videos.csv", "--sleep", 0, "--workers", 2),
        ("-C", workspace, "extract", "--workers", 2),
        ("-C", workspace, "embed", "--untrained", "--workers", 1),
        ("-C", workspace, "import", "--format", "ytvis", root / "truth.json"),
        ("-C", workspace, "export", "--split", "2/1/1"),
    ]


def test_twenty_kills_change_no_byte(tmp_path: Path) -> None:
    rng = random.Random(20)
    world = tmp_path / "world"
    assert (
        avis_data("synth", "--num-clips", 4, "--seconds", 5, "--seed", 3, "--size", "160x90", "--out", world).code == 0
    )
    with MediaServer(world / "media") as server:
        lists = (world / "videos.csv").read_text().replace("media/", server.url(""))
        roots = [tmp_path / "undisturbed", tmp_path / "killed"]
        for root in roots:
            root.mkdir()
            (root / "videos.csv").write_text(lists)
            (root / "truth.json").write_bytes((world / "truth.json").read_bytes())
        for command in commands(roots[0]):
            assert avis_data(*command).code == 0
        kills = 0
        while kills < NUM_KILLS:
            for command in commands(roots[1]):
                process = start(*command)
                try:
                    process.wait(timeout=rng.uniform(0.2, LONGEST_S) if kills < NUM_KILLS else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    break
                assert process.returncode == 0
            else:
                (roots[1] / "dataset").rename(tmp_path / f"finished-after-{kills}-kills")  # and once more from nothing
        for command in commands(roots[1]):
            assert avis_data(*command).code == 0
    workspaces = [root / "dataset" for root in roots] + list(tmp_path.glob("finished-after-*"))
    expected = tree_hashes(workspaces[0])
    assert len(expected) > 60
    for workspace in workspaces[1:]:
        assert tree_hashes(workspace) == expected
