"""Where the tests find the repository and what lies beside it."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared"
"""Real clips and reference cases; not there on a user's machine."""
