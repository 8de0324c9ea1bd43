"""One browser and one workspace for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.label_studio import TestServer
from support.labelling_page import chromium
from support.studio import Studio, made_studio


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def studio(label_studio: TestServer, shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with made_studio(label_studio, shared_dir, tmp_path_factory.mktemp("studio")) as made:
        yield made
