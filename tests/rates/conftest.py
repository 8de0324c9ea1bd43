"""One synthetic dataset at six stills a second, through the whole pipeline."""

from __future__ import annotations

import pytest

from support.fetched_world import well
from support.rated_world import Rated, six_per_second


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Rated:
    root = tmp_path_factory.mktemp("rated")
    world = root / "world"
    options = ("--num-clips", 4, "--seconds", 3, "--size", "96x64", "--seed", 3, "--fps", 6, "--objects", "visible")
    well("synth", *options, "--video-fps", 12, "--out", world, "--workers", 1)
    workspace = six_per_second(root / "ws", truth="visible")
    at = ("-C", workspace.root)
    well(*at, "fetch", "--list", world / "videos.csv", "--allow-local")
    well(*at, "extract", "--workers", 1)
    well(*at, "embed", "--untrained", "--workers", 1)
    well(*at, "import", "--format", "ytvis", world / "truth.json")
    well(*at, "export", "--split", "2/1/1")
    return Rated(world, workspace)
