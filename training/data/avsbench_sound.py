"""The sound of AVSBench clips: log-mel examples of 0.96 s, one after the other, and the vectors that models hear.

Shapes: T frames, n examples of F = 96 frames of 25 ms, M = 64 mel bands, A = 128 values of a vector.

Source: specs/avs_bg.md, section 2.5. Example k covers 0.96 k to 0.96 k + 0.975 s, not second k, as published.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite, load_npy
from avis_data.features.logmel import EXAMPLE_FRAMES, NUM_BANDS, log_mel
from avis_data.features.vggish import Vggish, embed_examples, load_vggish
from avis_data.training.data.audio_sound import read_sound
from avis_data.training.data.audio_summary import example_summary
from avis_data.weights import resolve_vggish

__all__ = ["VECTOR_WIDTH", "AvsAudioKind", "AvsHearing", "read_examples"]

AvsAudioKind = Literal["vggish", "logmel"]

VECTOR_WIDTH = 128
"""Values of the vector of a frame, of either kind."""


class AvsHearing:
    """Makes the vectors of clips."""

    def __init__(self, kind: AvsAudioKind, *, pickles: bool) -> None:
        """Get ready.

        Args:
            kind: `vggish` needs the registered weights; `logmel` is a plain summary of each example.
            pickles: whether log-mel pickles may be read, with an allow-list.

        Raises:
            ToolError: if there are no VGGish weights.
            DataError: if they are not in order.
        """
        self._pickles = pickles
        self._model: Vggish | None = None
        if kind == "vggish":
            path, sha256 = resolve_vggish(None, untrained=False)
            assert path is not None
            self._model = load_vggish(path, sha256=sha256)

    def vectors(self, sounds: Sequence[Path], frames: int, *, repeat_last: bool) -> NDArray[np.float32]:
        """What is heard in each frame of a clip, float32 (T, 128).

        Args:
            sounds: files it may be read from; the first that exists counts.
            frames: T; further examples are left out.
            repeat_last: whether a clip with fewer examples repeats its last one; else its vectors are zeros there.

        Raises:
            DataError: if there is no file, or it holds no example.
        """
        examples = read_examples(sounds, pickles=self._pickles)[:frames]
        if self._model is not None:
            heard = embed_examples(self._model, examples)
        else:
            heard = np.stack([example_summary(example_FM) for example_FM in examples])
        missing = frames - len(heard)
        return np.pad(heard, ((0, missing), (0, 0)), mode="edge" if repeat_last else "constant")


def read_examples(sounds: Sequence[Path], *, pickles: bool) -> NDArray[np.float32]:
    """The log-mel examples of a clip, float32 (n, 96, 64), n at least 1.

    Args:
        sounds: `.npy` of examples, `.wav`, or `.pkl` of a tensor of examples; the first that exists counts.
        pickles: whether a `.pkl` may be read; nothing but a tensor is made of one.

    Raises:
        DataError: if there is none, or it cannot be used.
    """
    for path in sounds:
        if path.is_file() and (pickles or path.suffix != ".pkl"):
            return _examples_of(path)
    left = [path for path in sounds if path.is_file()]
    if left:
        raise DataError(f"only a pickle: {left[0]}", hint="--set data.pickles=true reads it, and runs no code of it")
    raise DataError(f"no sound: none of {', '.join(str(path) for path in sounds)}")


def _examples_of(path: Path) -> NDArray[np.float32]:
    if path.suffix == ".wav":
        frames_FM = log_mel(read_sound(path))
        count = len(frames_FM) // EXAMPLE_FRAMES
        if not count:
            raise DataError(f"{path}: holds less than 0.975 s of sound")
        return frames_FM[: count * EXAMPLE_FRAMES].reshape(count, EXAMPLE_FRAMES, NUM_BANDS)
    values = load_npy(path) if path.suffix == ".npy" else _unpickled(path)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    fits = values.ndim == 3 and len(values) and values.shape[1:] == (EXAMPLE_FRAMES, NUM_BANDS)
    if not fits or values.dtype.kind != "f":
        wanted = f"(n, {EXAMPLE_FRAMES}, {NUM_BANDS})"
        raise DataError(f"{path}: holds {values.dtype} {values.shape}, must be float {wanted}")
    examples_NFM: NDArray[np.float32] = values.astype(np.float32)
    check_finite(examples_NFM, path, what="log-mel values")
    return examples_NFM


_ODD_PICKLE = (
    *(OSError, EOFError, AttributeError, IndexError, KeyError, RuntimeError, TypeError),
    *(ValueError, OverflowError, MemoryError),
)
"""What unpickling was seen to raise of a damaged file, besides its own error."""


class _TensorUnpickler(pickle.Unpickler):
    """Makes a tensor, and refuses every other name that a pickle may ask for."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage_from_bytes  # torch's own would unpickle what is inside without a list
        raise pickle.UnpicklingError(f"asks for {module}.{name}, which no tensor needs")


def _storage_from_bytes(content: bytes) -> object:
    storage: object = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return storage


def _unpickled(path: Path) -> NDArray[np.generic]:
    try:
        with path.open("rb") as file:
            tensor = _TensorUnpickler(file).load()
    except (pickle.UnpicklingError, *_ODD_PICKLE) as error:
        raise DataError(f"{path}: no pickled tensor, or damaged ({error})") from None
    if not isinstance(tensor, torch.Tensor):
        raise DataError(f"{path}: holds a {type(tensor).__name__}, must be a tensor")
    return tensor.detach().numpy()
