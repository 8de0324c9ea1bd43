"""Packages that only a part of the work needs: what is missing, and the one command that installs it."""

from __future__ import annotations

import importlib.util
from typing import Literal

from avis_data.errors import ToolError

__all__ = ["MODULES", "Extra", "missing_modules", "need_extra"]

Extra = Literal["annotate", "buckets", "scale", "train", "youtube"]
"""The name of an extra, as in `pip install 'avis-data[train]'`."""
MODULES: dict[Extra, tuple[str, ...]] = {
    "annotate": (
        "cv2",
        "fastapi",
        "label_studio_sdk",
        "onnxruntime",
        "prometheus_client",
        "segment_anything",
        "transformers",
        "uvicorn",
    ),
    "buckets": ("s3fs",),
    "scale": ("ray",),
    "train": ("transformers",),
    "youtube": ("yt_dlp_ejs",),
}
"""What cannot be done without; that TensorBoard is missing is no reason not to train."""


def need_extra(extra: Extra, *modules: str, what: str) -> None:
    """Find out whether the packages of an extra are there, without importing them.

    Args:
        extra: which.
        modules: those of its modules that are needed; none given: all of `MODULES`.
        what: what needs it, for the message: "training".

    Raises:
        ToolError: if a package is missing; names it and the command that installs it.
    """
    if missing := missing_modules(extra, *modules):
        raise ToolError(
            f"{what} needs packages that are not installed: {', '.join(missing)}",
            hint=f"pip install 'avis-data[{extra}]'",
        )


def missing_modules(extra: Extra, *modules: str) -> list[str]:
    """The modules of an extra that cannot be imported; all of it is looked at unless some are named."""
    return [name for name in modules or MODULES[extra] if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # `sys.modules[name]` is None: hidden on purpose
        return False
