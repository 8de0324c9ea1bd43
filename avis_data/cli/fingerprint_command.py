"""`avis-data fingerprint`."""

from __future__ import annotations

from avis_data.cli.run_steps import stage_command

__all__ = ["command"]

command = stage_command(
    "fingerprint",
    """Make a fingerprint of each clip's stills and sound, in fingerprints/part-*.parquet. Run again to resume.

`avis-data duplicates` finds by them which clips are nearly the same.

\b
Example:
  avis-data -C my-dataset fingerprint
""",
)
