"""A small synthetic world, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.shell import avis_data


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of five seconds: videos.csv, media/, truth.json."""
    folder = tmp_path_factory.mktemp("synthetic") / "world"
    made = avis_data("synth", "--num-clips", 6, "--seconds", 5, "--seed", 3, "--size", "160x90", "--out", folder)
    assert made.code == 0, made.err
    return folder
