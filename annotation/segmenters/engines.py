"""The engines by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.annotation.segmenters.segmenter import Segmenter, SegmenterSpec
from avis_data.errors import ConfigError, ToolError
from avis_data.extras import need_extra
from avis_data.io import sha256_file
from avis_data.registry import Registry

if TYPE_CHECKING:
    import torch

__all__ = [
    "GRABCUT",
    "SALIENCY",
    "SAM",
    "SAM2",
    "SEGMENTERS",
    "SEGMENT_ANYTHING",
    "engine_loader",
    "load_segmenter",
    "weights_sha256",
]

_HERE = "avis_data.annotation.segmenters.engines"
SEGMENTERS: Registry[SegmenterSpec] = Registry(
    "engine",
    {
        "grabcut": f"{_HERE}:GRABCUT",
        "saliency": f"{_HERE}:SALIENCY",
        "sam": f"{_HERE}:SAM",
        "sam2": f"{_HERE}:SAM2",
        "segment-anything": f"{_HERE}:SEGMENT_ANYTHING",
    },
    group="avis_data.segmenters",
)
"""What turns a click into a mask."""


def load_segmenter(engine: str, weights: Path | None) -> Segmenter:
    """An engine, on the GPU where there is one.

    Args:
        engine: one of `SEGMENTERS`.
        weights: a file or folder of it; nothing is ever downloaded.

    Raises:
        ConfigError: if there is no such engine, or weights are missing or too many.
        DataError: if the weights are not of that engine.
        ToolError: if its packages are missing.
    """
    loader = engine_loader(engine, weights)
    try:
        return loader()
    except ImportError as error:
        raise ToolError(f"the engine {engine} needs a package that is not installed ({error})") from None


def engine_loader(engine: str, weights: Path | None) -> Callable[[], Segmenter]:
    """What loads an engine, which takes its time.

    Raises:
        ConfigError: if there is no such engine, or weights are missing or too many.
    """
    spec = SEGMENTERS[engine]
    if weights is None:
        if spec.load is None:
            raise ConfigError(f"the engine {engine} needs its weights", hint=f"--engine {engine} --engine-weights FILE")
        return spec.load
    if spec.load_weights is None:
        raise ConfigError(f"the engine {engine} has no weights", hint="--engine sam --engine-weights FILE")
    if not weights.exists():
        raise ConfigError(f"{weights}: no such file or folder of weights")
    return partial(spec.load_weights, weights)


def weights_sha256(weights: Path) -> str:
    """The hash of a file, or of a folder: of the names and hashes of its safetensors and settings."""
    if weights.is_file():
        return sha256_file(weights)
    files = sorted(path for path in weights.iterdir() if path.suffix in (".safetensors", ".json"))
    return hashlib.sha256("\n".join(f"{path.name} {sha256_file(path)}" for path in files).encode()).hexdigest()


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _grabcut() -> Segmenter:
    need_extra("annotate", "cv2", what="the engine grabcut")
    from avis_data.annotation.segmenters.grabcut import GrabCut

    return GrabCut()


def _saliency(weights: Path) -> Segmenter:
    need_extra("annotate", "cv2", "onnxruntime", what="the engine saliency")
    from avis_data.annotation.segmenters.saliency import Saliency
    from avis_data.annotation.segmenters.saliency_maps import load_network

    return Saliency(load_network(weights), weights_sha256=weights_sha256(weights))


def _sam(weights: Path) -> Segmenter:
    need_extra("annotate", "transformers", what="the engine sam")
    from avis_data.annotation.segmenters.sam import load_sam

    return load_sam(weights, weights_sha256=weights_sha256(weights), device=_device())


def _sam2(weights: Path) -> Segmenter:
    need_extra("annotate", "transformers", what="the engine sam2")
    from avis_data.annotation.segmenters.sam import load_sam2

    return load_sam2(weights, weights_sha256=weights_sha256(weights), device=_device())


def _segment_anything(weights: Path) -> Segmenter:
    need_extra("annotate", "segment_anything", what="the engine segment-anything")
    from avis_data.annotation.segmenters.segment_anything_engine import load_segment_anything

    return load_segment_anything(weights, weights_sha256=weights_sha256(weights), device=_device())


GRABCUT = SegmenterSpec(name="grabcut", load=_grabcut)
SALIENCY = SegmenterSpec(name="saliency", load_weights=_saliency)
SAM = SegmenterSpec(name="sam", load_weights=_sam)
SAM2 = SegmenterSpec(name="sam2", load_weights=_sam2)
SEGMENT_ANYTHING = SegmenterSpec(name="segment-anything", load_weights=_segment_anything)
