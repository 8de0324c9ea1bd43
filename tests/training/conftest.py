"""A small synthetic export, made once; and a model that is tiny even for tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.formats.ytvis import YtvisDataset, read_ytvis, ytvis_json
from avis_data.io import write_json
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
    data = ["--data", str(world_export), "--config", "avism_tiny", "--out", str(run)]
    assert main(["train-baseline", *data, *options]) == 0
    return run


@pytest.fixture(scope="session")
def one_clip(world_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip, as training and as validation split."""
    root = tmp_path_factory.mktemp("one") / "export"
    shutil.copytree(world_export / "train", root / "train")
    (root / "val").symlink_to(root / "train")
    truth = read_ytvis(world_export / "train.json")
    video = max(truth.videos, key=lambda video: sum(track.video_id == video.video_id for track in truth.tracks))
    tracks = tuple(track for track in truth.tracks if track.video_id == video.video_id)
    for split in ("train", "val"):
        write_json(
            root / f"{split}.json",
            ytvis_json(YtvisDataset(videos=(video,), tracks=tracks, categories=truth.categories)),
        )
    return root
