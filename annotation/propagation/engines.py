"""The engines that carry masks, by their names."""

from __future__ import annotations

from pathlib import Path

from avis_data.annotation.propagation.carrier import Carrier
from avis_data.annotation.segmenters.engines import weights_sha256
from avis_data.errors import ConfigError, ToolError
from avis_data.weights import find

__all__ = ["ENGINES", "load_carrier"]

ENGINES = ("optical-flow", "sam2")
"""`optical-flow` needs no weights."""


def load_carrier(engine: str, weights: Path | None) -> Carrier:
    """An engine, on the GPU where there is one and it can use it.

    Args:
        engine: one of `ENGINES`.
        weights: a folder of SAM 2; None: the registered one. Nothing is ever downloaded.

    Raises:
        ConfigError: if there is no such engine, or weights are missing or too many.
        DataError: if the weights are not of that engine.
        ToolError: if its packages are missing.
    """
    if engine not in ENGINES:
        raise ConfigError(f"no engine {engine!r}; there are: {', '.join(ENGINES)}")
    if engine == "optical-flow":
        if weights is not None:
            raise ConfigError("the engine optical-flow has no weights", hint="--engine sam2 --engine-weights FOLDER")
        return _optical_flow()
    return _sam2(weights if weights is not None else _registered())


def _optical_flow() -> Carrier:
    try:
        from avis_data.annotation.propagation.optical_flow import OpticalFlow
    except ImportError as error:
        raise ToolError(f"OpenCV is missing ({error})", hint="pip install 'avis-data[annotate]'") from None
    return OpticalFlow()


def _registered() -> Path:
    entry = find("sam2")
    if entry is None:
        hint = "--engine sam2 --engine-weights FOLDER: facebook/sam2.1-hiera-... in Hugging Face's format"
        raise ConfigError("the engine sam2 needs its weights", hint=hint)
    return Path(entry.path)


def _sam2(weights: Path) -> Carrier:
    if not weights.exists():
        raise ConfigError(f"{weights}: no such folder of weights")
    try:
        import torch

        from avis_data.annotation.propagation.sam2_video import load_sam2_video
    except ImportError as error:
        raise ToolError(f"a package is missing ({error})", hint="pip install 'avis-data[annotate]'") from None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_sam2_video(weights, weights_sha256=weights_sha256(weights), device=device)
