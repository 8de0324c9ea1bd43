"""Names of tensors by rules: a pattern for the whole foreign name, and ours with its groups."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Renamed", "Rules", "renamed", "rules"]

Rules = tuple[tuple[re.Pattern[str], str], ...]


def rules(*pairs: tuple[str, str]) -> Rules:
    """Rules from (regular expression, replacement) pairs; the first that fits the whole name counts."""
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def renamed(name: str, table: Rules) -> str | None:
    """Our name, or None if no rule fits."""
    for pattern, replacement in table:
        if match := pattern.fullmatch(name):
            return match.expand(replacement)
    return None


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """A checkpoint under our names."""

    tensors: dict[str, Tensor]
    """Named as in the `state_dict()` of our model."""
    unknown: tuple[str, ...]
    """Official names that no rule knows; their tensors are left out."""
    odd_class_weights: tuple[str, ...]
    """Class weights of the loss that are not 1 with a last one of 0.1: the file was trained in another way."""
