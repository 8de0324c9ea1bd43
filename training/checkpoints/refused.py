"""Checkpoints that are recognised but not taken, and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from avis_data.errors import DataError

__all__ = ["check_licence"]

_ADELAIDET = ("proposal_generator.fcos_head.", "controller.")
"""What tensors of CrossVIS, and of CondInst that it starts from, are called in its code base."""


def check_licence(path: Path, names: Iterable[str]) -> None:
    """Refuse what may not be used by everybody.

    Args:
        path: of the checkpoint, for the message.
        names: of its tensors.

    Raises:
        DataError: for checkpoints of CrossVIS and CondInst, whose licence allows non-commercial use only.
    """
    if any(name.removeprefix("module.").startswith(_ADELAIDET) for name in names):
        raise DataError(
            f"{path}: is a CrossVIS or CondInst checkpoint of the authors; their licence allows non-commercial use "
            "only, which weights converted or trained from it would inherit, so it is refused",
            hint="avis-data train-baseline --data EXPORT --config crossvis_r50 --init resnet50.pth",
        )
