"""The metrics of the field on plain arrays or run-length masks.

`table` is the one list of figures: what each is called, what is counted in a video, how the sum becomes the figure.
`track_ap`, `hota` and `fsla` count tracks, `avs` and `avss` masks without identities; `counting` says what a figure is
made of. `evaluation` measures videos, `files` and `avs_evaluation` files; `bootstrap` and `comparison` draw videos
again, `t_test` compares found objects, `attribution` says why frames are wrong. `reading`, `entries` and `tracks` bring
masks in, undecoded.

Nothing here knows of pages, datasets on disk or training. Each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avis_data.metrics.attribution import ErrorKind, FrameError, VideoErrors, attribute_errors
    from avis_data.metrics.avs import AvsClip, AvsResult, evaluate_avs
    from avis_data.metrics.avss import AvssClip, AvssResult, classes_of_logits, evaluate_avss
    from avis_data.metrics.bootstrap import Interval, bootstrap_intervals
    from avis_data.metrics.comparison import Difference, compare_results
    from avis_data.metrics.counting import Counting, Figure, Mode, Rank, Rules, Variant, added_up
    from avis_data.metrics.evaluation import AvisResult, ModeResult, evaluate_avis
    from avis_data.metrics.files import evaluate_files
    from avis_data.metrics.inputs import MaskLike, TrackInput, VideoInput
    from avis_data.metrics.table import FIGURES
    from avis_data.metrics.tracks import VideoTracks

__all__ = [
    "FIGURES",
    "AvisResult",
    "AvsClip",
    "AvsResult",
    "AvssClip",
    "AvssResult",
    "Counting",
    "Difference",
    "ErrorKind",
    "Figure",
    "FrameError",
    "Interval",
    "MaskLike",
    "Mode",
    "ModeResult",
    "Rank",
    "Rules",
    "TrackInput",
    "Variant",
    "VideoErrors",
    "VideoInput",
    "VideoTracks",
    "added_up",
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
    "counting": ("Counting", "Figure", "Mode", "Rank", "Rules", "Variant", "added_up"),
    "evaluation": ("AvisResult", "ModeResult", "evaluate_avis"),
    "files": ("evaluate_files",),
    "inputs": ("MaskLike", "TrackInput", "VideoInput"),
    "table": ("FIGURES",),
    "tracks": ("VideoTracks",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
