"""How fast a model is, how late its answer comes, how large it is.

Shapes: T frames of a clip, H, W pixels at network size.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from avis_data.errors import ConfigError, ToolError
from avis_data.training.checkpoints.trained import load_trained
from avis_data.training.config import RunConfig, load_config
from avis_data.training.data.clips import TensorClip
from avis_data.training.device import choose_device, first_line, is_end_of_memory, most_memory_mb
from avis_data.training.models.online import OnlineModel
from avis_data.training.models.spec import MaskModel, TrackModel
from avis_data.training.registry import MODELS, new_model
from avis_data.training.task import task_of

__all__ = ["BenchmarkRequest", "BenchmarkResult", "benchmark_model", "latency_s", "measure"]


_VGGISH = {"vggish": 72_157_696, "vggish-window": 71_616_768}
"""Parameters by the kind of audio: with the 16,512 values of a PCA that nobody uses, as the AVISM paper counts; without
the last layer, as RCF has it."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkRequest:
    """What to measure, and how."""

    model_name: str | None = None
    """Which model; without config and weights, by its published recipe."""
    config_name: str | None = None
    """A shipped config or a YAML file; its weights are random, which find little to make masks of. Or:"""
    weights: Path | None = None
    """Trained weights, or the folder of a run."""
    settings: tuple[str, ...] = ()
    """Changes of the config."""
    num_frames: int = 10
    """Frames of the clip."""
    size_hw: tuple[int, int] = (360, 640)
    """Size of the original frames, which are resized as the config says."""
    stream_fps: float = 6.0
    """Rate at which frames come; 6 is that of YouTube-VIS."""
    repeats: int = 3
    """The median of so many clips counts."""
    device_name: str = "auto"


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """What was measured."""

    model: str
    device: str
    precision: str
    network_size: tuple[int, int]
    """Height and width."""
    num_frames: int
    online: bool
    parameters: int
    parameters_mib: float
    """The same in 2^20 bytes of float32."""
    parameters_with_vggish_mib: float | None
    """With those of the VGGish that it hears by, as the AVISM paper counts; None where it hears by none."""
    fps: float
    """Frames a second through the model, from decoded frames to run lengths, one clip at a time."""
    stream_fps: float
    latency_s: float
    """Seconds from the instant of a frame to its masks."""
    peak_memory_mb: float
    """Memory of the tensors on a GPU; else of the whole process."""


def benchmark_model(request: BenchmarkRequest) -> BenchmarkResult:
    """Predict clips of noise, and measure.

    Raises:
        ConfigError: if not exactly one of config and weights is given, or it is of another model or bad.
        DataError: if the weights are not in order.
        ToolError: if the device is missing, or its memory runs out.
    """
    try:
        return measure(request)
    except (MemoryError, RuntimeError) as error:
        if not is_end_of_memory(error):
            raise
        hint = "lower --num-frames or --size; --find-max-frames says how many fit"
        raise ToolError(f"out of memory ({first_line(error)})", hint=hint) from None


def measure(request: BenchmarkRequest, *, prepared: Callable[[], None] = lambda: None) -> BenchmarkResult:
    """What `benchmark_model` gives, where the caller tells of the end of memory.

    Args:
        request: what is measured.
        prepared: called when the model is there, before anything is predicted.

    Raises:
        ConfigError, DataError: as `benchmark_model`.
        ToolError: if the device is missing.
        MemoryError, RuntimeError: if memory ends, and for whatever else torch cannot do (`is_end_of_memory`).
    """
    device = choose_device(request.device_name)
    model, config = _model(request, device)
    sizes = task_of(config).network_size(config, request.size_hw)
    seconds = []
    prepared()
    _seconds(model, config, _noise(config, min(2, request.num_frames), request.size_hw, device), device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(request.repeats):
        clip = _noise(config, request.num_frames, request.size_hw, device)
        seconds.append(_seconds(model, config, clip, device))
    fps = request.num_frames / statistics.median(seconds)
    online = MODELS[config.model_name].online or (config.predict.online and isinstance(model, OnlineModel))
    count, vggish = sum(parameter.numel() for parameter in model.parameters()), _vggish_parameters(config)
    return BenchmarkResult(
        model=config.model_name,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=config.loop.precision,
        network_size=sizes,
        num_frames=request.num_frames,
        online=online,
        parameters=count,
        parameters_mib=_mib(count),
        parameters_with_vggish_mib=None if vggish is None else _mib(count + vggish),
        fps=fps,
        stream_fps=request.stream_fps,
        latency_s=latency_s(request.stream_fps, fps, clip_frames=None if online else request.num_frames),
        peak_memory_mb=most_memory_mb(device),
    )


def latency_s(stream_fps: float, model_fps: float, *, clip_frames: int | None = None) -> float:
    """Seconds from the instant of a frame to its masks: it has to come, and to be predicted.

    Args:
        clip_frames: of a model that predicts whole clips, how many frames have to come and to be predicted first; None:
            an online model, which needs one.

    Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion", section 4.
    """
    return (clip_frames or 1) * (1 / stream_fps + 1 / model_fps)


def _vggish_parameters(config: RunConfig) -> int | None:
    """The parameters of the VGGish whose values a model gets; None where it gets none."""
    return _VGGISH.get(str(asdict(config)["data"].get("audio"))) if config.model.needs_audio else None


def _mib(parameters: int) -> float:
    return parameters * 4 / 2**20


def _model(request: BenchmarkRequest, device: torch.device) -> tuple[nn.Module, RunConfig]:
    named, name = request.config_name, request.model_name
    if name is not None and named is None and request.weights is None:
        named = MODELS[name].default_config
    if (named is None) == (request.weights is None):
        raise ConfigError("give either --config NAME (or --model NAME) or --checkpoint RUN")
    if request.weights is not None:
        model, config = load_trained(request.weights, None, request.settings, model_name=name)
        return model.to(device), config
    config = load_config(named or "", request.settings, model=name)
    return new_model(config, device).eval(), config


def _noise(config: RunConfig, num_frames: int, size_hw: tuple[int, int], device: torch.device) -> TensorClip:
    """Frames on the device, as a loader would have left them there."""
    task, generator = task_of(config), torch.Generator().manual_seed(num_frames)
    height, width = task.network_size(config, size_hw)
    frames = torch.randint(0, 256, (num_frames, 3, height, width), generator=generator, dtype=torch.uint8)
    audio = None
    if config.model.needs_audio:
        audio = torch.rand(num_frames, *task.sound_shape(config), generator=generator).to(device)
    return TensorClip(clip_id="noise", frames_T3HW=frames.to(device), audio_TA=audio, size_hw=size_hw)


def _seconds(model: nn.Module, config: RunConfig, clip: TensorClip, device: torch.device) -> float:
    _finish(device)
    began = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=config.loop.precision == "bf16"):
        cast(TrackModel | MaskModel, model).predict(clip, config.predict)
    _finish(device)
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
