"""The engines that carry masks, by their names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from avis_data.annotation.propagation.carrier import Carrier
from avis_data.annotation.segmenters.engines import weights_sha256
from avis_data.errors import ConfigError
from avis_data.extras import need_extra
from avis_data.weights import find

__all__ = ["ENGINES", "FoundEngine", "find_engine", "load_carrier"]

ENGINES = ("optical-flow", "sam2")
"""`optical-flow` needs no weights."""


@dataclass(frozen=True, kw_only=True)
class FoundEngine:
    """An engine that is there with its weights, and is not loaded yet."""

    name: str
    version: int
    weights: Path | None
    weights_sha256: str | None


def find_engine(engine: str, weights: Path | None) -> FoundEngine:
    """An engine and its weights, without loading them.

    Args:
        engine: one of `ENGINES`.
        weights: an official file of SAM 2, or a folder; None: the registered one. Nothing is ever downloaded.

    Raises:
        ConfigError: if there is no such engine, or weights are missing or too many.
        ToolError: if its packages are missing.
    """
    if engine not in ENGINES:
        raise ConfigError(f"no engine {engine!r}; there are: {', '.join(ENGINES)}")
    if engine == "optical-flow":
        if weights is not None:
            raise ConfigError("the engine optical-flow has no weights", hint="--engine sam2 --engine-weights PATH")
        return _optical_flow()
    return _sam2(weights if weights is not None else _registered())


def load_carrier(found: FoundEngine) -> Carrier:
    """An engine, on the GPU where there is one and it can use it.

    Raises:
        DataError: if the weights are not of that engine.
    """
    if found.weights is None or found.weights_sha256 is None:
        from avis_data.annotation.propagation.optical_flow import OpticalFlow

        return OpticalFlow()
    import torch

    from avis_data.annotation.propagation.sam2_video import load_sam2_video

    torch.set_num_threads(os.cpu_count() or 1)  # a worker begins with one; here one clip is to have them all
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_sam2_video(found.weights, weights_sha256=found.weights_sha256, device=device)


def _optical_flow() -> FoundEngine:
    need_extra("annotate", "cv2", what="the engine optical-flow")
    from avis_data.annotation.propagation.optical_flow import OpticalFlow

    return FoundEngine(name=OpticalFlow.name, version=OpticalFlow.version, weights=None, weights_sha256=None)


def _registered() -> Path:
    entry = find("sam2")
    if entry is None:
        hint = "avis-data weights get sam2.1-tiny (small, base-plus, large)"
        raise ConfigError("the engine sam2 needs its weights", hint=hint)
    return Path(entry.path)


def _sam2(weights: Path) -> FoundEngine:
    if not weights.exists():
        raise ConfigError(f"{weights}: no such file or folder of weights")
    need_extra("annotate", "cv2", "transformers", what="the engine sam2")
    from avis_data.annotation.propagation.sam2_video import Sam2Video

    return FoundEngine(
        name="sam2", version=Sam2Video.version, weights=weights.resolve(), weights_sha256=weights_sha256(weights)
    )
