"""One workspace with everything in it, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from avis_data.paths import Workspace
from support.full_workspace import full_workspace


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `full_workspace` makes it; not to be changed."""
    return full_workspace(tmp_path_factory.mktemp("whole") / "ds").root


@pytest.fixture
def make(whole: Path, tmp_path: Path) -> Callable[[str], Workspace]:
    """A copy of it, by a name of its own."""

    def copy(name: str) -> Workspace:
        return Workspace(Path(shutil.copytree(whole, tmp_path / name)))

    return copy


@pytest.fixture
def workspace(make: Callable[[str], Workspace]) -> Workspace:
    """A copy of it."""
    return make("ds")
