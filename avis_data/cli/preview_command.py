"""`avis-data preview`."""

from __future__ import annotations

from avis_data.cli.run_steps import stage_command

__all__ = ["command"]

command = stage_command(
    "preview",
    """Make small playable copies of the clips, for annotators and reports. Run again to resume.

Each is an H.264 + AAC file of the very span that was extracted, on the same clock.

\b
Example:
  avis-data -C my-dataset preview --workers 4
""",
)
