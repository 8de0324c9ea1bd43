"""A small synthetic export, made once; and a model that is tiny even for tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.shell import avis_data
from support.tiny_training import TINY, write_export


@pytest.fixture(scope="session")
def world_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic clips of four seconds in each of train, val and test, with sound and (random) VGGish features."""
    folder = tmp_path_factory.mktemp("training")
    return write_export(folder / "world", folder / "export")


@pytest.fixture
def export_copy(world_export: Path, tmp_path: Path) -> Path:
    """A copy of the export that a test may spoil."""
    return Path(shutil.copytree(world_export, tmp_path / "export"))


@pytest.fixture(scope="session")
def trained(world_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of three iterations."""
    run = tmp_path_factory.mktemp("run") / "run"
    settings = [*TINY, "loop.iterations=3", "validation.every=3", "validation.draw_every=3"]
    options = [part for setting in settings for part in ("--set", setting)]
    ran = avis_data("train-baseline", "--data", world_export, "--config", "avism_tiny", "--out", run, *options)
    assert ran.code == 0, ran.err
    return run
