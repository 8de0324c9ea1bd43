"""The device that a model runs on, how much memory it needs, and what is said when that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from avis_data.errors import ConfigError, ToolError
from avis_data.platforms import peak_memory_mb
from avis_data.training.data.clips import ClipSource

__all__ = [
    "choose_device",
    "evaluating",
    "first_line",
    "is_end_of_memory",
    "most_memory_mb",
    "set_products",
    "telling_memory",
]


def choose_device(name: str) -> torch.device:
    """The device of this process.

    Args:
        name: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        ConfigError: if that is no device.
        ToolError: if this machine has not got it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"--device {name!r}: no device; auto, cpu, cuda, cuda:1, mps") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ToolError(f"--device {name}: this machine has no CUDA device", hint="--device cpu")
        number = device.index if device.index is not None else int(os.environ.get("LOCAL_RANK", "0"))
        if number >= torch.cuda.device_count():
            raise ToolError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
        device = torch.device("cuda", number)
        torch.cuda.set_device(device)
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise ToolError("--device mps: this machine has none", hint="--device cpu")
    return device


def set_products(precision: str) -> None:
    """Let this process multiply float32 as a precision says: `tf32` with the first 11 bits on a GPU, else with all."""
    exact = precision != "tf32"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards as it was."""
    was_training = model.training
    model.eval()
    yield
    model.train(was_training)


@contextmanager
def telling_memory(clip: ClipSource, hint: str) -> Iterator[None]:
    """Turns the end of memory at a clip into a ToolError with a hint that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_end_of_memory(error):
            raise
        raise ToolError(
            f"clip {clip.clip_id} ({clip.num_frames} frames): out of memory ({first_line(error)})", hint=hint
        ) from None


def is_end_of_memory(error: BaseException) -> bool:
    """Whether memory ended, of a GPU or of this process: libraries say so in different words."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = str(error).lower()
    return any(part in words for part in ("allocate memory", "not enough memory", "bad_alloc", "out of memory"))


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def most_memory_mb(device: torch.device) -> float:
    """The most memory that was needed so far, MB: of the GPU, else of this process."""
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else peak_memory_mb()
