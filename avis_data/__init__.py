"""From a list of videos to a trained, evaluated model of which objects make the sound.

`import avis_data as avis` gives the names below, and imports each only when it is first used: docs/python.md. What is
not among them is inside, and may change.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own is not imported: Ctrl-C meanwhile would be a traceback (cli/main.py)
if TYPE_CHECKING:
    from avis_data.door.clip_sets import ClipSet
    from avis_data.door.clips import Clip
    from avis_data.door.drawing import draw_sheet, draw_still, draw_video
    from avis_data.door.example import make_example
    from avis_data.door.exports import export, export_formats
    from avis_data.door.figures import compare, count, evaluate, validate
    from avis_data.door.files import read_ytvis, write_ytvis
    from avis_data.door.models import load_model, train
    from avis_data.door.opening import open
    from avis_data.door.sounds import Sound
    from avis_data.door.stages import run_stage, stages, status
    from avis_data.door.torch_clips import TorchClips
    from avis_data.door.tracks import Track
    from avis_data.errors import AvisError, BusyError, ConfigError, DataError, ProblemsError, ToolError
    from avis_data.formats.ytvis import YtvisDataset
    from avis_data.masks.rle import Rle, decode, encode

__version__ = "0.1.0"

_MODULES = {
    "door.clip_sets": ("ClipSet",),
    "door.clips": ("Clip",),
    "door.drawing": ("draw_sheet", "draw_still", "draw_video"),
    "door.example": ("make_example",),
    "door.exports": ("export", "export_formats"),
    "door.figures": ("compare", "count", "evaluate", "validate"),
    "door.files": ("read_ytvis", "write_ytvis"),
    "door.models": ("load_model", "train"),
    "door.opening": ("open",),
    "door.sounds": ("Sound",),
    "door.stages": ("run_stage", "stages", "status"),
    "door.torch_clips": ("TorchClips",),
    "door.tracks": ("Track",),
    "errors": ("AvisError", "BusyError", "ConfigError", "DataError", "ProblemsError", "ToolError"),
    "formats.ytvis": ("YtvisDataset",),
    "masks.rle": ("Rle", "decode", "encode"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [
    "AvisError",
    "BusyError",
    "Clip",
    "ClipSet",
    "ConfigError",
    "DataError",
    "ProblemsError",
    "Rle",
    "Sound",
    "ToolError",
    "TorchClips",
    "Track",
    "YtvisDataset",
    "compare",
    "count",
    "decode",
    "draw_sheet",
    "draw_still",
    "draw_video",
    "encode",
    "evaluate",
    "export",
    "export_formats",
    "load_model",
    "make_example",
    "open",
    "read_ytvis",
    "run_stage",
    "stages",
    "status",
    "train",
    "validate",
    "write_ytvis",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
