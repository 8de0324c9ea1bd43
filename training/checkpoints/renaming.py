"""Names of tensors by rules: a pattern for the whole foreign name, and ours with its groups."""

from __future__ import annotations

import re

__all__ = ["Rules", "renamed", "rules"]

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
