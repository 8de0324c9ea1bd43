"""Predict the sounding objects of a split, or of a video file, with a trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.training.clips import PredictedTrack
from avis_data.training.config import RunConfig
from avis_data.training.data import DatasetClip, SplitData, open_split
from avis_data.training.loop import audio_of
from avis_data.training.processes import choose_device
from avis_data.training.results import write_results
from avis_data.training.validation import predict_clip
from avis_data.training.video_dataset import make_video_dataset
from avis_data.training.weights import categories_of_weights, load_trained, weights_file

__all__ = ["PredictRequest", "PredictionSummary", "predict"]

_VIDEO_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """What to predict, and with what."""

    weights: Path
    """A weight file, or the folder of a run."""
    config_name: str | None = None
    """A shipped config or a YAML file, for weights that do not say theirs."""
    settings: Sequence[str] = ()
    """Changes of the config, `key.sub=value`."""
    data: Path | None = None
    """A dataset in the AVISeg layout; or:"""
    video: Path | None = None
    """A video file."""
    keep: Path | None = None
    """Folder in which the stills, sound and features of the video stay, as a dataset; None: they are not kept."""
    vggish: Path | None = None
    """VGGish weights for a video; None: the registered ones."""
    split: str = _VIDEO_SPLIT
    """Which split of the dataset."""
    precision: str | None = None
    """`bf16` or `fp32`; None: what the config says."""
    device_name: str = "auto"


@dataclass(frozen=True, kw_only=True)
class PredictionSummary:
    """What was written."""

    clips: int
    tracks: int
    silent_clips: int
    """Clips without any predicted track."""


def predict(
    request: PredictRequest, out: Path, *, on_clip: Callable[[int], None] = lambda of: None
) -> PredictionSummary:
    """Predict and write a result file.

    Args:
        out: the file.
        on_clip: called after each clip with the number of all clips.

    Raises:
        ConfigError: if options contradict each other, or nothing says what the model is.
        DataError: if the weights, the dataset or the video are not in order.
        ToolError: if the device or VGGish weights are missing, or memory runs out.
    """
    _check(request)
    device = choose_device(request.device_name)
    model, config = load_trained(request.weights, request.config_name, request.settings)
    if request.precision is not None:
        config = replace(config, loop=replace(config.loop, precision=request.precision))
    model.to(device)
    counts = [0, 0]
    with ExitStack() as stack:
        root = request.data
        if request.video is not None:
            root = request.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            names = categories_of_weights(weights_file(request.weights))
            names = names or {number: f"class {number}" for number in range(1, config.model.num_classes + 1)}
            make_video_dataset(
                request.video, root, _VIDEO_SPLIT, categories=names, audio=audio_of(config), vggish=request.vggish
            )
        assert root is not None
        split = open_split(root, request.split, num_classes=config.model.num_classes, audio=audio_of(config))

        def counted() -> Iterator[tuple[DatasetClip, list[PredictedTrack]]]:
            for clip, tracks in _predictions(model, split, config, device):
                counts[0] += not tracks
                counts[1] += len(tracks)
                on_clip(len(split.clips))
                yield clip, tracks

        write_results(out, counted())
        return PredictionSummary(clips=len(split.clips), tracks=counts[1], silent_clips=counts[0])


def _predictions(
    model: nn.Module, split: SplitData, config: RunConfig, device: torch.device
) -> Iterator[tuple[DatasetClip, list[PredictedTrack]]]:
    for clip in split.clips:
        try:
            yield clip, predict_clip(model, split, clip, config, device)
        except torch.OutOfMemoryError as error:
            now = config.predict.frames_per_pass
            raise ToolError(
                f"clip {clip.clip_id} ({clip.num_frames} frames): out of memory ({str(error).splitlines()[0]})",
                hint=f"--set predict.frames_per_pass={max(1, now // 2)} (now {now}), --set predict.kept_frames=0, "
                "--precision bf16, or --set data.test_short=...",
            ) from None


def _check(request: PredictRequest) -> None:
    if (request.data is None) == (request.video is None):
        raise ConfigError("give either --data EXPORT or --video FILE")
    if request.video is None and (request.keep is not None or request.vggish is not None):
        raise ConfigError("--keep and --vggish go with --video")
    if request.video is not None and request.split != _VIDEO_SPLIT:
        raise ConfigError("--split goes with --data")
    if request.keep is not None and request.keep.exists() and any(request.keep.iterdir()):
        raise DataError(f"{request.keep}: is not empty", hint="--keep ANOTHER_FOLDER")
