"""A small synthetic workspace with its export, predictions and a trained model, as the examples name them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import avis_data as avis
from support.once import made_once
from support.small_example import write_example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the example, made once for all workers; only read by tests."""
    return made_once(tmp_path_factory, "door", lambda folder: write_example(folder / "example")) / "example"


@pytest.fixture
def beside_example(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a copy of the example in it, which commands may change."""
    shutil.copytree(example, tmp_path / "example")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clips(example: Path) -> avis.ClipSet:
    """The clips of the export."""
    return avis.open(example / "exports" / "ytvis")
