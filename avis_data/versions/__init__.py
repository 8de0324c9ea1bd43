"""Two versions of one dataset: what changed between them, the changes as a file that makes the new out of the old, and
what they do to published figures. Only truth in the YTVIS / AVISeg layout; no media are read.
"""

from __future__ import annotations

__all__ = ["SUBSET"]

SUBSET = "subset.json"
"""In the folder of a rebuilt set."""
