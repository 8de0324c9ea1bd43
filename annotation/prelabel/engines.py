"""The taggers and detectors by their names, and which weights each takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from avis_data.annotation.prelabel.engine import Detector, DetectorSpec, Tagger, TaggerSpec
from avis_data.annotation.segmenters.engines import weights_sha256
from avis_data.errors import ConfigError
from avis_data.extras import need_extra
from avis_data.io import sha256_file
from avis_data.registry import Registry
from avis_data.weights import path_of

__all__ = ["DETECTORS", "TAGGERS", "FoundEngine", "find_detector", "find_tagger"]

_HERE = "avis_data.annotation.prelabel.engines"
TAGGERS: Registry[TaggerSpec] = Registry(
    "tagger",
    {"yamnet": f"{_HERE}:YAMNET", "ast": f"{_HERE}:AST", "clap": f"{_HERE}:CLAP"},
    group="avis_data.taggers",
)
"""What says which categories are heard."""
DETECTORS: Registry[DetectorSpec] = Registry(
    "detector",
    {
        "ssd-mobilenet": f"{_HERE}:SSD_MOBILENET",
        "grounding-dino": f"{_HERE}:GROUNDING_DINO",
        "owlv2": f"{_HERE}:OWLV2",
    },
    group="avis_data.detectors",
)
"""What finds things in stills."""

Spec = TypeVar("Spec", TaggerSpec, DetectorSpec)


@dataclass(frozen=True, kw_only=True)
class FoundEngine:
    """An engine that is there with its weights, and is not loaded yet."""

    name: str
    weights: Path
    weights_sha256: str


def find_tagger(name: str, weights: Path | None) -> FoundEngine:
    """A tagger and its weights, without loading them.

    Args:
        name: one of `TAGGERS`.
        weights: a file or folder of it; None: the registered ones. Nothing is ever downloaded.

    Raises:
        ConfigError: if there is no such tagger, or its weights are not named or not there.
        ToolError: if the registered ones are missing; names the command that fetches them.
    """
    return _found(TAGGERS[name], weights, option="--tagger-weights")


def find_detector(name: str, weights: Path | None) -> FoundEngine:
    """A detector and its weights, without loading them; arguments and errors as those of `find_tagger`."""
    return _found(DETECTORS[name], weights, option="--detector-weights")


def _found(spec: Spec, weights: Path | None, *, option: str) -> FoundEngine:
    if weights is None:
        if spec.weights is None:
            hint = f"{option} FOLDER, as its publisher lays it out: docs/prelabel.md"
            raise ConfigError(f"{spec.name} needs its weights, which no package ships", hint=hint)
        weights = path_of(spec.weights)
    if not weights.exists():
        raise ConfigError(f"{weights}: no such file or folder of weights")
    return FoundEngine(name=spec.name, weights=weights.resolve(), weights_sha256=_sha256(weights))


def _sha256(weights: Path) -> str:
    """As segmenters have it; of folders without safetensors, as those of packages are, of every file in them."""
    if weights.is_dir() and not any(weights.glob("*.safetensors")):
        import hashlib

        files = sorted(path for path in weights.iterdir() if path.is_file())
        return hashlib.sha256("\n".join(f"{path.name} {sha256_file(path)}" for path in files).encode()).hexdigest()
    return weights_sha256(weights)


def _yamnet(weights: Path) -> Tagger:
    need_extra("annotate", "onnxruntime", what="the tagger yamnet")
    from avis_data.annotation.prelabel.yamnet import load_yamnet

    return load_yamnet(weights, weights_sha256=_sha256(weights))


def _ast(weights: Path) -> Tagger:
    need_extra("annotate", "transformers", what="the tagger ast")
    from avis_data.annotation.prelabel.audio_transformers import load_ast

    return load_ast(weights, weights_sha256=_sha256(weights))


def _clap(weights: Path) -> Tagger:
    need_extra("annotate", "transformers", what="the tagger clap")
    from avis_data.annotation.prelabel.audio_transformers import load_clap

    return load_clap(weights, weights_sha256=_sha256(weights))


def _ssd_mobilenet(weights: Path) -> Detector:
    need_extra("annotate", "cv2", what="the detector ssd-mobilenet")
    from avis_data.annotation.prelabel.ssd_mobilenet import load_ssd_mobilenet

    return load_ssd_mobilenet(weights, weights_sha256=_sha256(weights))


def _grounding_dino(weights: Path) -> Detector:
    need_extra("annotate", "transformers", what="the detector grounding-dino")
    from avis_data.annotation.prelabel.boxes_transformers import load_grounding_dino

    return load_grounding_dino(weights, weights_sha256=_sha256(weights))


def _owlv2(weights: Path) -> Detector:
    need_extra("annotate", "transformers", what="the detector owlv2")
    from avis_data.annotation.prelabel.boxes_transformers import load_owlv2

    return load_owlv2(weights, weights_sha256=_sha256(weights))


YAMNET = TaggerSpec(name="yamnet", load=_yamnet, weights="yamnet")
AST = TaggerSpec(name="ast", load=_ast)
CLAP = TaggerSpec(name="clap", load=_clap)
SSD_MOBILENET = DetectorSpec(name="ssd-mobilenet", load=_ssd_mobilenet, weights="ssd-mobilenet")
GROUNDING_DINO = DetectorSpec(name="grounding-dino", load=_grounding_dino)
OWLV2 = DetectorSpec(name="owlv2", load=_owlv2)
