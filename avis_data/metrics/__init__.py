"""The metrics of the field on plain arrays or run-length masks; each name is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avis_data.metrics.attribution import ErrorKind, FrameError, VideoErrors, attribute_errors
    from avis_data.metrics.avs import AvsClip, AvsResult, evaluate_avs
    from avis_data.metrics.avss import AvssClip, AvssResult, classes_of_logits, evaluate_avss
    from avis_data.metrics.bootstrap import Interval, bootstrap_intervals
    from avis_data.metrics.comparison import Difference, compare_results
    from avis_data.metrics.evaluation import AvisResult, evaluate_avis
    from avis_data.metrics.figures import ModeResult, YtvisResult
    from avis_data.metrics.files import evaluate_files
    from avis_data.metrics.inputs import MaskLike, TrackInput, VideoInput
    from avis_data.metrics.video_stats import Mode, Variant

__all__ = [
    "AvisResult",
    "AvsClip",
    "AvsResult",
    "AvssClip",
    "AvssResult",
    "Difference",
    "ErrorKind",
    "FrameError",
    "Interval",
    "MaskLike",
    "Mode",
    "ModeResult",
    "TrackInput",
    "Variant",
    "VideoErrors",
    "VideoInput",
    "YtvisResult",
    "attribute_errors",
    "bootstrap_intervals",
    "classes_of_logits",
    "compare_results",
    "evaluate_avis",
    "evaluate_avs",
    "evaluate_avss",
    "evaluate_files",
]

_MODULES = {
    "attribution": ("ErrorKind", "FrameError", "VideoErrors", "attribute_errors"),
    "avs": ("AvsClip", "AvsResult", "evaluate_avs"),
    "avss": ("AvssClip", "AvssResult", "classes_of_logits", "evaluate_avss"),
    "bootstrap": ("Interval", "bootstrap_intervals"),
    "comparison": ("Difference", "compare_results"),
    "evaluation": ("AvisResult", "evaluate_avis"),
    "figures": ("ModeResult", "YtvisResult"),
    "files": ("evaluate_files",),
    "inputs": ("MaskLike", "TrackInput", "VideoInput"),
    "video_stats": ("Mode", "Variant"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
