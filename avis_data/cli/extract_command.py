"""`avis-data extract`."""

from __future__ import annotations

from avis_data.cli.run_steps import stage_command

__all__ = ["command"]

command = stage_command(
    "extract",
    """Take stills and sound out of the source videos. Run again to resume.

One decode per clip gives one still per second at its original size, 16 kHz mono sound, and times.json, which says
where in the source each of them lies.

\b
Example:
  avis-data -C my-dataset extract --workers 4
""",
)
