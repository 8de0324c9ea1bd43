"""A small export, and settings and pieces of training runs that take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avis_data.cli.main import main
from avis_data.formats.aviseg_folders import features_path, frame_name, frames_dir, sound_path
from avis_data.formats.ytvis import YtvisDataset, read_ytvis, ytvis_json
from avis_data.io import write_json
from avis_data.media.probe import probe
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.recipe import ExtractOptions
from avis_data.records import Span
from avis_data.synth.scene import WorldOptions
from avis_data.synth.world import make_world
from avis_data.training.config import RunConfig, load_config
from avis_data.training.data.frame_times import FrameTimes
from avis_data.training.registry import new_model
from avis_data.training.run.distributed import Processes
from avis_data.training.run.loop import Trainer
from avis_data.training.run.run_folder import RunFolder
from support.shell import Ran

__all__ = ["TINY", "assert_resumes", "in_process", "one_a_second", "started", "tiny_config", "write_export"]

TINY = (
    "data.batch=2",
    "data.frames=2",
    "data.workers=0",
    "data.augment.short=[32]",
    "data.test_short=32",
    "model.backbone={depths: [1, 1, 1, 1], stem_channels: 8, channels: [16, 16, 32, 32]}",
    "model.channels=32",
    "model.pixel_layers=1",
    "model.frame_queries=4",
    "model.frame_layers=3",
    "model.video_queries=4",
    "model.encoder_layers=2",
    "model.decoder_layers=1",
    "loss.points=64",
    "loop.log_every=1",
    "validation.every=0",
    "validation.draw_every=0",
    "predict.frame_gate=null",
)


def write_export(world: Path, root: Path) -> Path:
    """Synthetic clips in the AVISeg layout, without a workspace: only media are decoded by our own stage."""
    make_world(WorldOptions(seed=5, num_seconds=4, width=96, height=64, fps=8), world, num_clips=7)
    truth = read_ytvis(world / "truth.json")
    whole = [video for number, video in enumerate(truth.videos) if number != 3]  # that one is a span of a longer file
    for number, split in enumerate(("train", "val", "test")):
        videos = tuple(whole[2 * number : 2 * number + 2])
        ids = {video.video_id for video in videos}
        tracks = tuple(track for track in truth.tracks if track.video_id in ids)
        write_json(
            root / f"{split}.json", ytvis_json(YtvisDataset(videos=videos, tracks=tracks, categories=truth.categories))
        )
        for video in videos:
            _write_media(world / "media" / f"{video.name}.mp4", root, split, video.name, video.length)
    return root


def _write_media(source: Path, root: Path, split: str, name: str, seconds: int) -> None:
    out = root / "scratch" / name
    out.mkdir(parents=True)
    record = ExtractRequest(span=Span(clip_id=name, video_id=name), media=probe(source))
    ExtractStage(ExtractOptions()).run(
        Workbench(item_id=name, record=record, inputs={"source": source}, out=out, scratch=out)
    )
    stills, sound, features = (
        frames_dir(root, split, name),
        sound_path(root, split, name),
        features_path(root, split, name),
    )
    for folder in (stills, sound.parent, features.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for second in range(seconds):
        (out / "frames" / f"{second:05d}.jpg").rename(stills / frame_name(second))
    (out / "audio.wav").rename(sound)
    rng = np.random.default_rng(len(name))
    np.save(features, rng.random((seconds, 128), dtype=np.float32))


def in_process(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """Run a command in this process, which has its heavy imports behind it."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Ran(code=code, out=said.out, err=said.err)


def one_a_second(count: int) -> FrameTimes:
    return FrameTimes(fps=1.0, instants_s=tuple(second + 0.5 for second in range(count)))


def tiny_config(*settings: str) -> RunConfig:
    """`avism_tiny`, made smaller still."""
    return load_config("avism_tiny", [*TINY, *settings])


def started(
    config: RunConfig, export: Path, run: Path, *, resume: bool = False, processes: Processes | None = None
) -> Trainer:
    """A trainer on the CPU, its folder made, or gone on from its last checkpoint."""
    device = torch.device("cpu")
    trainer = Trainer(
        config,
        export,
        new_model(config, device),
        RunFolder(run),
        device=device,
        processes=processes or Processes(),
    )
    if resume:
        trainer.resume()
    else:
        run.mkdir(parents=True, exist_ok=True)
        trainer.folder.write_config(config)
    return trainer


def assert_resumes(config: RunConfig, export: Path, folder: Path) -> None:
    """A run of four iterations that stops after two and goes on has the losses of one that does not stop."""
    started(config, export, folder / "whole").run()
    first = started(config, export, folder / "parts")
    ready = first._batches()
    for _ in range(2):
        first.iterate(ready)
    first._save()
    torch.manual_seed(9)
    started(config, export, folder / "parts", resume=True).run()
    whole, rest = (
        [json.loads(line)["losses"] for line in (folder / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    )
    assert len(whole) == 4 and whole[2:] == rest
