"""Validation within a run: predict the split `val`, measure it with the evaluator, draw some of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from avis_data.metrics import Mode, ModeResult, Rank, TrackInput, VideoInput, evaluate_avis
from avis_data.metrics.table import figures_of
from avis_data.report.sheet import write_sheet
from avis_data.training.config import RunConfig
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.loading import DataConfig
from avis_data.training.data.source import SplitClipSource
from avis_data.training.data.split import DatasetClip, SplitData
from avis_data.training.device import evaluating, telling_memory
from avis_data.training.models.spec import TrackModel
from avis_data.training.predict.visualize import predicted_view, true_view
from avis_data.training.task import Figures, Sharing, task_of

__all__ = ["draw_samples", "measured", "predict_clip", "validate_model"]

_DRAWN_SECONDS = 20


def predict_clip(
    model: nn.Module, split: SplitData, clip: DatasetClip, config: RunConfig, device: torch.device
) -> list[PredictedTrack]:
    """The tracks of a clip by a model in evaluation mode, highest score first.

    Raises:
        DataError: if a file of the clip is bad.
        ToolError: if memory runs out.
    """
    assert isinstance(config.data, DataConfig)  # that of this task
    source = SplitClipSource(split, clip, short=config.data.test_short, long=config.data.test_long)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.loop.precision == "bf16")
    with telling_memory(source, task_of(config).prediction_hint(config)), autocast:
        return cast(TrackModel, model).predict(source, config.predict)


def validate_model(
    model: nn.Module, split: SplitData, config: RunConfig, sharing: Sharing, device: torch.device
) -> Figures:
    """The figures of the model on the clips of a split, which the processes share; the same in every process."""
    clips = split.clips[: config.validation.clips]
    with evaluating(model):
        found = sharing.spread(len(clips), lambda n: predict_clip(model, split, clips[n], config, device))
    return measured(split, clips, found)


def measured(split: SplitData, clips: Sequence[DatasetClip], tracks: Sequence[Sequence[PredictedTrack]]) -> Figures:
    """The main metrics of predictions, `strict` and `aviseg_compat`."""
    ids = {track.label + 1 for row in tracks for track in row} | {track.label + 1 for c in clips for track in c.tracks}
    categories = {number: f"class {number}" for number in sorted(ids)} | split.categories
    videos = [_video(clip, row) for clip, row in zip(clips, tracks, strict=True)]
    result = evaluate_avis(videos, categories=categories, modes=[Mode.STRICT, Mode.COMPAT])
    return {str(mode): _overview(found) for mode, found in result.modes.items()}


def draw_samples(
    model: nn.Module, split: SplitData, config: RunConfig, device: torch.device, folder: Path, iteration: int
) -> list[Path]:
    """Draw the first clips of a split, truth above prediction: `<iteration>-<clip>.png`."""
    paths = []
    for clip in split.clips[: config.validation.draw_clips]:
        with evaluating(model):
            tracks = predict_clip(model, split, clip, config, device)
        path = folder / f"{iteration:07d}-{clip.clip_id}.png"
        views = [
            replace(true_view(split, clip), title="truth"),
            replace(predicted_view(split, clip, tracks), title="prediction"),
        ]
        shown = range(min(clip.num_frames, _DRAWN_SECONDS))
        write_sheet(path, views, seconds=shown)
        paths.append(path)
    return paths


def _video(clip: DatasetClip, tracks: Sequence[PredictedTrack]) -> VideoInput:
    height, width = clip.size_hw
    return VideoInput(
        name=clip.clip_id,
        num_frames=clip.num_frames,
        height=height,
        width=width,
        truth=[
            TrackInput(category=track.label + 1, masks=track.masks, track_id=number)
            for number, track in enumerate(clip.tracks, start=1)
        ],
        predictions=[TrackInput(category=track.label + 1, masks=track.masks, score=track.score) for track in tracks],
        video_id=clip.video_id,
    )


def _overview(result: ModeResult) -> dict[str, float | None]:
    return {figure.called: result.figures[figure.name] for figure in figures_of(result.mode, Rank.OVERVIEW)}
