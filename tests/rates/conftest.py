"""One synthetic dataset at six stills a second, through the whole pipeline."""

from __future__ import annotations

import pytest

from support.rated_world import Rated, run, six_per_second


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Rated:
    root = tmp_path_factory.mktemp("rated")
    world = root / "world"
    options = ("--num-clips", 4, "--seconds", 3, "--size", "96x64", "--seed", 3, "--fps", 6, "--objects", "visible")
    assert run("synth", *options, "--video-fps", 12, "--out", world, "--workers", 1) == 0
    workspace = six_per_second(root / "ws", truth="visible")
    at = ("-C", workspace.root)
    assert run(*at, "fetch", "--list", world / "videos.csv", "--allow-local") == 0
    assert run(*at, "extract", "--workers", 1) == 0
    assert run(*at, "embed", "--untrained", "--workers", 1) == 0
    assert run(*at, "import", "--format", "ytvis", world / "truth.json") == 0
    assert run(*at, "export", "--split", "2/1/1") == 0
    return Rated(world, workspace)
