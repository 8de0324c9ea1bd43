"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is there: workers share the cores, and test networks are tiny


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cases",
        type=Path,
        default=None,
        metavar="DIR",
        help="tests/metrics, tests/parity: other cases with outputs of official implementations (default: ../shared).",
    )


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real clips and reference cases beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder of real clips and reference cases (../shared beside the checkout)")
    return folder


@pytest.fixture(scope="session")
def media_dir(shared_dir: Path) -> Path:
    """Real clips with sound; `media.csv` says what is true of each."""
    return shared_dir / "media"
