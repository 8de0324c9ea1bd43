"""Where the tests find the repository and what lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared"
"""Real clips and reference cases; not there on a user's machine."""
NO_SHARED = "needs the folder of real clips and reference cases (../shared beside the checkout)"
NEEDS_SHARED = pytest.mark.skipif(not SHARED.is_dir(), reason=NO_SHARED)
"""For tests whose cases lie there. Where the folder is there and holds none, they run and fail."""
REFERENCE_TRUTHS = [
    pytest.param(path, id=path.parent.name) for path in sorted((SHARED / "metric_cases").glob("*/gt.json"))
] or [pytest.param(SHARED, id="none", marks=NEEDS_SHARED)]
"""The truth of every reference case of the metrics, for `parametrize`."""
