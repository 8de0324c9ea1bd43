"""Packages that only a part of the work needs: what is missing, and the one command that installs it."""

from __future__ import annotations

import importlib.util
from typing import Literal

from avis_data.errors import ToolError

__all__ = ["Extra", "need_extra"]

Extra = Literal["train"]
"""The name of an extra, as in `pip install 'avis-data[train]'`."""
_MODULES: dict[Extra, tuple[str, ...]] = {"train": ("transformers",)}
"""What cannot be done without; that TensorBoard is missing is no reason not to train."""


def need_extra(extra: Extra, *, what: str) -> None:
    """Find out whether the packages of an extra are there, without importing them.

    Args:
        extra: which.
        what: what needs it, for the message: "training".

    Raises:
        ToolError: if a package is missing; names it and the command that installs it.
    """
    missing = [name for name in _MODULES[extra] if not _is_there(name)]
    if missing:
        raise ToolError(
            f"{what} needs packages that are not installed: {', '.join(missing)}",
            hint=f"pip install 'avis-data[{extra}]'",
        )


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # `sys.modules[name]` is None: hidden on purpose
        return False
