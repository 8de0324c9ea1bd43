"""The stills to look at, in words for the person in front of the page."""

from __future__ import annotations

from collections.abc import Iterable

from avis_data.annotation.labels.records import Flag

__all__ = ["flags_note"]


def flags_note(flags: Iterable[Flag]) -> str:
    """One line with the flagged pages, counted from 1 as the page does, in their order; empty if there are none."""
    said = [_text(flag) for flag in sorted(flags, key=lambda flag: (flag.second, flag.identity or ""))]
    return f"Look first at: {'; '.join(said)}" if said else ""


def _text(flag: Flag) -> str:
    name = f" {flag.identity}" if flag.identity else ""
    return f"page {flag.second + 1}{name} ({flag.message})"
