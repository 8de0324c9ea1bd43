"""Predict the sounding objects of a split, or of a video file, with a trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from avis_data.errors import ConfigError, DataError
from avis_data.training.checkpoints.trained import categories_of_weights, load_trained, weights_file
from avis_data.training.config import RunConfig
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.source import SplitClipSource
from avis_data.training.data.split import DatasetClip, SplitData, open_split
from avis_data.training.data.video_dataset import make_video_dataset
from avis_data.training.models.online import SeenObject, watch
from avis_data.training.predict.predict_avs import MaskSummary, predict_masks
from avis_data.training.predict.results import write_results
from avis_data.training.registry import MODELS, model_entry
from avis_data.training.run.distributed import choose_device
from avis_data.training.run.task import audio_of
from avis_data.training.run.validation import predict_clip, telling_memory

__all__ = ["PredictRequest", "PredictionSummary", "SeenFrame", "predict", "stream"]

_VIDEO_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """What to predict, and with what."""

    weights: Path
    """A weight file, or the folder of a run."""
    model_name: str | None = None
    """Which model the weights must be of; None: any."""
    config_name: str | None = None
    """A shipped config or a YAML file, for weights that do not say theirs."""
    settings: Sequence[str] = ()
    """Changes of the config, `key.sub=value`."""
    data: Path | None = None
    """A dataset in the AVISeg layout; or:"""
    video: Path | None = None
    """A video file."""
    fps: float | None = None
    """Frames of the video that are looked at in a second; None: one."""
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

    out: str
    """The file."""
    clips: int
    tracks: int
    silent_clips: int
    """Clips without any predicted track."""

    def __str__(self) -> str:
        return f"{self.out}: {self.tracks} tracks in {self.clips} clips, {self.silent_clips} without any"


@dataclass(frozen=True, kw_only=True)
class SeenFrame:
    """One frame of a clip, predicted."""

    clip: DatasetClip
    frame: int
    objects: tuple[SeenObject, ...]


def predict(
    request: PredictRequest, out: Path | None = None, *, on_clip: Callable[[int], None] = lambda of: None
) -> PredictionSummary | MaskSummary:
    """Predict and write a result file; of models that give one mask per frame, a folder of masks.

    Args:
        out: the file or folder; None: `results.json`, or `predictions`.
        on_clip: called after each clip with the number of all clips.

    Raises:
        ConfigError: if options contradict each other, or nothing says what the model is.
        DataError: if the weights, the dataset or the video are not in order.
        ToolError: if the device or VGGish weights are missing, or memory runs out.
    """
    loaded = _load(request)
    if model_entry(loaded.config.model_name).task == "avs":
        if request.data is None:
            raise ConfigError(f"{loaded.config.model_name} predicts AVSBench datasets: give --data instead of --video")
        target = out or Path("predictions")
        return predict_masks(
            loaded.model, loaded.config, request.data, request.split, target, loaded.device, on_clip=on_clip
        )
    out = out or Path("results.json")
    counts = [0, 0]
    with _opened(request, loaded) as ready:

        def counted() -> Iterator[tuple[DatasetClip, list[PredictedTrack]]]:
            for clip, tracks in _predictions(ready):
                counts[0] += not tracks
                counts[1] += len(tracks)
                on_clip(len(ready.split.clips))
                yield clip, tracks

        write_results(out, counted())
        return PredictionSummary(out=str(out), clips=len(ready.split.clips), tracks=counts[1], silent_clips=counts[0])


def stream(request: PredictRequest) -> Iterator[SeenFrame]:
    """The objects of frame after frame, as they are predicted; of an earlier frame nothing is revised.

    Raises:
        ConfigError: if options contradict each other, nothing says what the model is, or it is not an online one.
        DataError: if the weights, the dataset or the video are not in order.
        ToolError: if the device is missing, or memory runs out.
    """
    loaded = _load(request)
    if not model_entry(loaded.config.model_name).online:
        online = ", ".join(name for name, entry in MODELS.items() if entry.online)
        raise ConfigError(
            f"{loaded.config.model_name} predicts whole clips; frame by frame predict: {online}",
            hint="avis-data predict without --stream",
        )
    with _opened(request, loaded) as ready:
        for clip in ready.split.clips:
            source = SplitClipSource(
                ready.split, clip, short=ready.config.data.test_short, long=ready.config.data.test_long
            )
            with telling_memory(clip, ready.config):
                objects = watch(ready.model, source)  # type: ignore[arg-type]  # an online.OnlineModel, as was checked
                for frame in range(clip.num_frames):
                    with torch.autocast(
                        ready.device.type, torch.bfloat16, enabled=ready.config.loop.precision == "bf16"
                    ):
                        seen = next(objects)
                    yield SeenFrame(clip=clip, frame=frame, objects=tuple(seen))


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A model in evaluation mode, on its device."""

    model: nn.Module
    config: RunConfig
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class _Ready(_Loaded):
    """A model and what it is to predict."""

    split: SplitData


def _load(request: PredictRequest) -> _Loaded:
    _check(request)
    device = choose_device(request.device_name)
    model, config = load_trained(request.weights, request.config_name, request.settings, model_name=request.model_name)
    if request.precision is not None:
        config = replace(config, loop=replace(config.loop, precision=request.precision))
    return _Loaded(model=model.to(device), config=config, device=device)


@contextmanager
def _opened(request: PredictRequest, loaded: _Loaded) -> Iterator[_Ready]:
    config = loaded.config
    with ExitStack() as stack:
        root = request.data
        if request.video is not None:
            root = request.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            names = categories_of_weights(weights_file(request.weights))
            names = names or {number: f"class {number}" for number in range(1, config.model.num_classes + 1)}
            make_video_dataset(
                request.video,
                root,
                _VIDEO_SPLIT,
                categories=names,
                audio=audio_of(config),
                vggish=request.vggish,
                fps=request.fps or 1.0,
            )
        assert root is not None
        split = open_split(root, request.split, num_classes=config.model.num_classes, audio=audio_of(config))
        yield _Ready(model=loaded.model, config=config, split=split, device=loaded.device)


def _predictions(ready: _Ready) -> Iterator[tuple[DatasetClip, list[PredictedTrack]]]:
    for clip in ready.split.clips:
        yield clip, predict_clip(ready.model, ready.split, clip, ready.config, ready.device)


def _check(request: PredictRequest) -> None:
    if request.model_name is not None:
        model_entry(request.model_name)
    if (request.data is None) == (request.video is None):
        raise ConfigError("give either --data EXPORT or --video FILE")
    of_video = (request.keep, request.vggish, request.fps)
    if request.video is None and any(option is not None for option in of_video):
        raise ConfigError("--keep, --weights and --fps go with --video")
    if request.video is not None and request.split != _VIDEO_SPLIT:
        raise ConfigError("--on goes with --data")
    if request.keep is not None and request.keep.exists() and any(request.keep.iterdir()):
        raise DataError(f"{request.keep}: is not empty", hint="--keep ANOTHER_FOLDER")
