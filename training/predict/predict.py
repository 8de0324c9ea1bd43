"""Predict the sounding objects of a split, or of a video file, with a trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from avis_data.errors import ConfigError, DataError
from avis_data.training.checkpoints.trained import categories_of_weights, load_trained, weights_file
from avis_data.training.config import RunConfig, changed_config
from avis_data.training.device import choose_device, set_products, telling_memory
from avis_data.training.models.online import OnlineModel, SeenObject, watch
from avis_data.training.registry import MODELS
from avis_data.training.task import PredictionSummary, Split, task_of

__all__ = ["PredictRequest", "SeenFrame", "predict", "stream"]

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
    """A dataset in the layout of the model's task; or:"""
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
class SeenFrame:
    """One frame of a clip, predicted."""

    clip_id: str
    frame: int
    objects: tuple[SeenObject, ...]


def predict(
    request: PredictRequest, out: Path | None = None, *, on_clip: Callable[[int], None] = lambda of: None
) -> PredictionSummary:
    """Predict and write what the model's task writes: a result file of tracks, or a folder of masks.

    Args:
        out: the file or folder; None: `results.json`, or `predictions`.
        on_clip: called after each clip with the number of all clips.

    Raises:
        ConfigError: if options contradict each other, or nothing says what the model is.
        DataError: if the weights, the dataset or the video are not in order.
        ToolError: if the device or VGGish weights are missing, or memory runs out.
    """
    loaded = _load(request)
    out = out or Path(task_of(loaded.config).default_out)
    with _opened(request, loaded.config) as split:
        return split.predict(loaded.model, loaded.config, loaded.device, out, on_clip=on_clip)


def stream(request: PredictRequest) -> Iterator[SeenFrame]:
    """The objects of frame after frame, as they are predicted; of an earlier frame nothing is revised.

    Raises:
        ConfigError: if options contradict each other, nothing says what the model is, or it is not an online one.
        DataError: if the weights, the dataset or the video are not in order.
        ToolError: if the device is missing, or memory runs out.
    """
    loaded = _load(request)
    config, device = loaded.config, loaded.device
    if not isinstance(loaded.model, OnlineModel):
        raise ConfigError(
            f"{config.model_name} predicts whole clips; frame by frame predict: "
            f"{', '.join(spec.name for spec in MODELS if spec.task == 'avis')}",
            hint="avis-data predict without --stream",
        )
    with _opened(request, config) as split:
        for source in split.sources(config):
            with telling_memory(source, task_of(config).prediction_hint(config)):
                objects = watch(loaded.model, source, config.predict)
                for frame in range(source.num_frames):
                    with torch.autocast(device.type, torch.bfloat16, enabled=config.loop.precision == "bf16"):
                        seen = next(objects)
                    yield SeenFrame(clip_id=source.clip_id, frame=frame, objects=tuple(seen))


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A model in evaluation mode, on its device."""

    model: nn.Module
    config: RunConfig
    device: torch.device


def _load(request: PredictRequest) -> _Loaded:
    _check(request)
    device = choose_device(request.device_name)
    model, config = load_trained(request.weights, request.config_name, request.settings, model_name=request.model_name)
    if request.precision is not None:
        config = changed_config(config, [f"loop.precision={request.precision}"], where="--precision")
    set_products(config.loop.precision)
    return _Loaded(model=model.to(device), config=config, device=device)


@contextmanager
def _opened(request: PredictRequest, config: RunConfig) -> Iterator[Split]:
    """What is to be predicted; a video is a dataset for as long as that takes, or where it is to stay."""
    task = task_of(config)
    with ExitStack() as stack:
        root = request.data
        if root is None:
            root = request.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            names = categories_of_weights(weights_file(request.weights))
            names = names or {number: f"class {number}" for number in range(1, config.model.num_classes + 1)}
            task.make_dataset(request, root, config, names)
        yield task.open(root, request.split, config)


def _check(request: PredictRequest) -> None:
    if request.model_name is not None:
        MODELS[request.model_name]  # raises
    if (request.data is None) == (request.video is None):
        raise ConfigError("give either --data EXPORT or --video FILE")
    of_video = (request.keep, request.vggish, request.fps)
    if request.video is None and any(option is not None for option in of_video):
        raise ConfigError("--keep, --weights and --fps go with --video")
    if request.video is not None and request.split != _VIDEO_SPLIT:
        raise ConfigError("--on goes with --data")
    if request.keep is not None and request.keep.exists() and any(request.keep.iterdir()):
        raise DataError(f"{request.keep}: is not empty", hint="--keep ANOTHER_FOLDER")
