"""The VGGish network: one log-mel example in, 128 numbers out; and the loader of its published weight files.

Legend: B or T examples (one a second), F = 96 frames, M = 64 mel bands, C channels, D = 128 values.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.features.logmel import EXAMPLE_FRAMES, NUM_BANDS
from avis_data.weights.files import check_sha256, read_tensors

__all__ = [
    "EMBEDDING_SIZE",
    "HIDDEN_SIZE",
    "Vggish",
    "embed_examples",
    "load_vggish",
    "untrained_vggish",
    "vggish_state",
]

EMBEDDING_SIZE = 128
HIDDEN_SIZE = 4096
_HIDDEN_LAYERS = 4
"""Layers of `Vggish.embeddings`: two linear ones with their ReLUs."""
DEFAULT_BATCH = 32
"""Between 16 and 64 the time per example is the same on a CPU; the memory is not."""

logger = logging.getLogger(__name__)
_BLOCKS = ((64,), (128,), (256, 256), (512, 512))
"""Output channels of the 3 x 3 convolutions; each block ends in a 2 x 2 maximum."""
_FLAT = (EXAMPLE_FRAMES // 16) * (NUM_BANDS // 16) * 512
_KEY = re.compile(r"(?:module\.)?(features|embeddings|features_network|embedding_network)\.(\d+)\.(weight|bias)")
_PART = {"features_network": "features", "embedding_network": "embeddings"}
"""The names in torchaudio's file, and those of torchvggish, which are ours."""


class Vggish(nn.Module):
    """VGGish up to its embedding, with the parameter names of torchvggish; 72,141,184 parameters.

    Source: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017, in the form that
    was published with AudioSet: three fully connected layers, each with a ReLU, also the last. No PCA, no quantisation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_convolutions())
        self.embeddings = nn.Sequential(
            nn.Linear(_FLAT, HIDDEN_SIZE),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN_SIZE, EMBEDDING_SIZE),
            nn.ReLU(inplace=True),
        )

    def forward(self, examples_BFM: torch.Tensor) -> torch.Tensor:
        """Embed log-mel examples, float32 (B, 96, 64); gives float32 (B, 128), never negative."""
        result: torch.Tensor = self.embeddings[_HIDDEN_LAYERS:](self.hidden(examples_BFM))
        return result

    def hidden(self, examples_BFM: torch.Tensor) -> torch.Tensor:
        """The last hidden layer, of which the embedding is made: float32 (B, 4096), never negative."""
        maps_BCFM: torch.Tensor = self.features(examples_BFM[:, None].contiguous(memory_format=torch.channels_last))
        # The weights come from TensorFlow, where channels vary fastest: flatten in the order height, width, channel.
        result: torch.Tensor = self.embeddings[:_HIDDEN_LAYERS](maps_BCFM.permute(0, 2, 3, 1).flatten(1))
        return result


def embed_examples(
    model: Vggish, examples_TFM: NDArray[np.float32], *, batch: int = DEFAULT_BATCH, hidden: bool = False
) -> NDArray[np.float32]:
    """Embeddings of T examples, float32 (T, 96, 64), as float32 (T, 128); or the last hidden layer, (T, 4096)."""
    result_TD = np.empty((len(examples_TFM), HIDDEN_SIZE if hidden else EMBEDDING_SIZE), dtype=np.float32)
    network = model.hidden if hidden else model
    with torch.inference_mode():
        for first in range(0, len(examples_TFM), batch):
            part = torch.from_numpy(examples_TFM[first : first + batch])
            result_TD[first : first + batch] = network(part).numpy()
    return result_TD


def load_vggish(path: Path, *, sha256: str | None = None) -> Vggish:
    """The network with the weights of a file, ready to embed.

    Args:
        path: `.pth`/`.pt` in the layout of torchvggish or of torchaudio, or the same tensors as `.safetensors`.
        sha256: what the file must hash to; None: whatever it hashes to.

    Raises:
        DataError: if the file is missing, torn, holds code, has another hash than `sha256` or than its name says,
            or is no VGGish (`ProblemsError` with every missing, unknown or misshapen tensor).
    """
    check_sha256(path, expected=sha256)
    state = vggish_state(read_tensors(path), where=str(path))
    # A copy: the tensors read may be a view of the file, which could change under a running job.
    return _with_state({name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()})


def untrained_vggish(seed: int) -> Vggish:
    """The network with random weights, the same for the same seed on every machine. For tests and demonstrations.

    Uniform weights after He keep the size of the signal, so that distinct sounds get distinct embeddings and about
    half the outputs are positive.
    """
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in _shapes().items():
        bound = math.sqrt(6 / math.prod(shape[1:])) if len(shape) > 1 else 0.05
        values = rng.random(shape, dtype=np.float32)
        values *= np.float32(2 * bound)
        values -= np.float32(bound)
        state[name] = torch.from_numpy(values)
    return _with_state(state)


def vggish_state(tensors: Mapping[str, torch.Tensor], *, where: str) -> dict[str, torch.Tensor]:
    """The tensors of a weight file under our names, complete and of the right shapes.

    Both published layouts number their layers alike; should a copy number them otherwise, their order decides, and
    their shapes must fit. PCA values (`pproc.*`) are left out: they belong to a later step that we do not do.

    Raises:
        ProblemsError: with every missing, unknown or misshapen tensor.
    """
    network = {name: tensor for name, tensor in tensors.items() if not name.startswith("pproc.")}
    if len(network) < len(tensors):
        logger.info("%s: its PCA values are not used: embeddings are the network's own output", where)
    state = _renamed(network)
    problems = list(_state_problems(state))
    if problems:
        raise ProblemsError(
            f"{where}: not the weights of VGGish",
            problems,
            hint="avis-data weights list  (says where the published files are)",
        )
    return state


def _renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    matches = {name: _KEY.fullmatch(name) for name in tensors}
    found = {(_PART.get(m[1], m[1]), int(m[2])) for m in matches.values() if m}
    ours = {(name.split(".")[0], int(name.split(".")[1])) for name in _shapes()}
    place: dict[tuple[str, int], int] = {}
    for part in ("features", "embeddings"):
        theirs = sorted(index for name, index in found if name == part)
        wanted = sorted(index for name, index in ours if name == part)
        # With a layer too few or too many an order says nothing; the numbers as they are give the better message.
        numbers = wanted if len(theirs) == len(wanted) else theirs
        place.update({(part, index): number for index, number in zip(theirs, numbers, strict=True)})
    state = {}
    for name, match in matches.items():
        if match is None:
            state[name] = tensors[name]
        else:
            part = _PART.get(match[1], match[1])
            state[f"{part}.{place[part, int(match[2])]}.{match[3]}"] = tensors[name]
    return state


def _state_problems(state: Mapping[str, torch.Tensor]) -> Iterable[Problem]:
    shapes = _shapes()
    for name in sorted(shapes.keys() - state.keys()):
        yield Problem("", name, f"missing (shape {shapes[name]})")
    for name, tensor in state.items():
        if name not in shapes:
            yield Problem("", name, f"unknown (shape {tuple(tensor.shape)})")
        elif tuple(tensor.shape) != shapes[name]:
            yield Problem("", name, f"has shape {tuple(tensor.shape)}, must have {shapes[name]}")
        elif not tensor.is_floating_point():
            yield Problem("", name, f"holds {tensor.dtype}, must hold floating-point numbers")


def _with_state(state: dict[str, torch.Tensor]) -> Vggish:
    for name, tensor in state.items():
        if not math.isfinite(float(tensor.sum())):  # a NaN or infinity survives a sum, which is 40 times as fast
            raise DataError(f"VGGish weights: {name} holds values that are no numbers (NaN or infinite)")
    with torch.device("meta"):
        model = Vggish()
    ready = {name: _channels_last(tensor) for name, tensor in state.items()}
    model.load_state_dict(ready, assign=True)
    return model.eval().requires_grad_(False)


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor.contiguous()


def _shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in Vggish().state_dict().items()}


def _convolutions() -> Iterable[nn.Module]:
    channels = 1
    for block in _BLOCKS:
        for width in block:
            yield nn.Conv2d(channels, width, kernel_size=3, padding=1)
            yield nn.ReLU(inplace=True)
            channels = width
        yield nn.MaxPool2d(kernel_size=2, stride=2)
