"""The engines by their names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from avis_data.annotation.segmenters.segmenter import Segmenter
from avis_data.errors import ConfigError, ToolError
from avis_data.io import sha256_file

__all__ = ["ENGINES", "load_segmenter", "weights_sha256"]

ENGINES = ("grabcut", "sam", "sam2", "segment-anything")
"""`grabcut` needs no weights; the others need theirs."""


def load_segmenter(engine: str, weights: Path | None) -> Segmenter:
    """An engine, on the GPU where there is one.

    Args:
        engine: one of `ENGINES`.
        weights: a file or folder of it; nothing is ever downloaded.

    Raises:
        ConfigError: if there is no such engine, or weights are missing or too many.
        DataError: if the weights are not of that engine.
        ToolError: if its packages are missing.
    """
    if engine not in ENGINES:
        raise ConfigError(f"no engine {engine!r}; there are: {', '.join(ENGINES)}")
    if engine == "grabcut":
        if weights is not None:
            raise ConfigError("the engine grabcut has no weights")
        return _grabcut()
    if weights is None:
        raise ConfigError(f"the engine {engine} needs its weights", hint=f"--engine {engine} --engine-weights FILE")
    if not weights.exists():
        raise ConfigError(f"{weights}: no such file or folder of weights")
    return _sam(engine, weights)


def _grabcut() -> Segmenter:
    try:
        from avis_data.annotation.segmenters.grabcut import GrabCut
    except ImportError as error:
        raise ToolError(f"OpenCV is missing ({error})", hint="pip install 'avis-data[annotate]'") from None
    return GrabCut()


def _sam(engine: str, weights: Path) -> Segmenter:
    try:
        import torch

        from avis_data.annotation.segmenters.sam import load_sam, load_sam2
        from avis_data.annotation.segmenters.segment_anything_engine import load_segment_anything
    except ImportError as error:
        raise ToolError(f"a package is missing ({error})", hint="pip install 'avis-data[annotate]'") from None
    load = {"sam": load_sam, "sam2": load_sam2, "segment-anything": load_segment_anything}[engine]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load(weights, weights_sha256=weights_sha256(weights), device=device)


def weights_sha256(weights: Path) -> str:
    """Of a file; of a folder, of the names and hashes of its safetensors and settings."""
    if weights.is_file():
        return sha256_file(weights)
    files = sorted(path for path in weights.iterdir() if path.suffix in (".safetensors", ".json"))
    return hashlib.sha256("\n".join(f"{path.name} {sha256_file(path)}" for path in files).encode()).hexdigest()
