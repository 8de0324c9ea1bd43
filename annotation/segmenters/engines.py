"""The engines by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.annotation.segmenters.segmenter import Segmenter, SegmenterSpec
from avis_data.errors import ConfigError, ToolError
from avis_data.extras import need_extra
from avis_data.io import sha256_file
from avis_data.registry import Registry
from avis_data.weights import problem_with, registered
from avis_data.weights.known import KNOWN

if TYPE_CHECKING:
    import torch

__all__ = [
    "AUTO",
    "GRABCUT",
    "SALIENCY",
    "SAM",
    "SAM2",
    "SEGMENTERS",
    "SEGMENT_ANYTHING",
    "EngineChoice",
    "choose_engine",
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


AUTO = "auto"
"""What is said in place of an engine's name for the best one whose weights are here."""
_BEST_FIRST = ("sam2", "sam", "saliency")
_BETTER = {
    "grabcut": "better masks of photographs: avis-data weights get u2netp",
    "saliency": "better masks, with a GPU: avis-data weights get sam-vit-b",
}


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """An engine, and why it was taken."""

    engine: str
    weights: Path | None
    said: tuple[str, ...] = ()
    """Lines for a person, where it was chosen for them: which, how to get a better one, what could not be taken."""


def choose_engine(engine: str, weights: Path | None, *, on_gpu: bool = False) -> EngineChoice:
    """The engine of that name; for `auto` SAM 2, SAM, saliency or GrabCut, the first whose registered weights are here.

    Args:
        engine: one of `SEGMENTERS`, or `auto`.
        weights: None: the registered ones of an engine that needs some.
        on_gpu: whether only an engine will do that computes on a GPU.

    Raises:
        ConfigError: if there is no such engine, weights are named for `auto`, or the engine computes on no GPU.
    """
    names: tuple[str, ...] = _BEST_FIRST if engine == AUTO else (SEGMENTERS[engine].name,)
    if engine == AUTO and weights is not None:
        known = ", ".join(name for name in SEGMENTERS.names() if SEGMENTERS[name].load_weights is not None)
        raise ConfigError(f"{weights}: of which engine are these weights?", hint=f"name it with --engine: {known}")
    names = tuple(name for name in names if SEGMENTERS[name].uses_gpu or not on_gpu)
    if not names:
        raise _no_gpu(f"the engine {engine} computes on no GPU")
    if weights is not None:
        return EngineChoice(engine=engine, weights=weights)
    passed: list[str] = []
    for name in names:
        for entry in registered():
            if entry.kind != (SEGMENTERS[name].kind_of_weights or name):
                continue
            if problem := problem_with(entry):
                passed.append(f"not taken: {problem} (avis-data weights get {entry.name})")
                continue
            said = f"segmenter: {name} with {entry.name}" + (f"; {_BETTER[name]}" if name in _BETTER else "")
            return EngineChoice(engine=name, weights=Path(entry.path), said=(*passed, said))
    if engine != AUTO:
        return EngineChoice(engine=engine, weights=None, said=tuple(passed))
    if on_gpu:
        raise _no_gpu("there are no weights of an engine that computes on a GPU")
    said = f"segmenter: grabcut, without weights; {_BETTER['grabcut']}"
    return EngineChoice(engine="grabcut", weights=None, said=(*passed, said))


def _no_gpu(what: str) -> ConfigError:
    return ConfigError(what, hint="avis-data weights get sam-vit-b, and --engine auto; or reserve no GPU")


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
            raise ConfigError(f"the engine {engine} needs its weights", hint=_how_to_get(spec))
        return spec.load
    if spec.load_weights is None:
        raise ConfigError(f"the engine {engine} has no weights", hint="--engine sam --engine-weights FILE")
    if not weights.exists():
        raise ConfigError(f"{weights}: no such file or folder of weights")
    return partial(spec.load_weights, weights)


def _how_to_get(spec: SegmenterSpec) -> str:
    kind = spec.kind_of_weights or spec.name
    fetched = next((f"avis-data weights get {known.name}, or " for known in KNOWN if known.kind == kind), "")
    return f"{fetched}--engine {spec.name} --engine-weights FILE"


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
SAM = SegmenterSpec(name="sam", load_weights=_sam, uses_gpu=True)
SAM2 = SegmenterSpec(name="sam2", load_weights=_sam2, uses_gpu=True)
SEGMENT_ANYTHING = SegmenterSpec(
    name="segment-anything", load_weights=_segment_anything, uses_gpu=True, kind_of_weights="sam"
)
