"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.media_tests import touches_media
from support.places import NO_SHARED, SHARED

if TYPE_CHECKING:
    from support.label_studio import TestServer

pytest_plugins = ["support.format_matrix", "support.skips"]

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch is there: workers share the cores, and test networks are tiny

os.environ.setdefault("AVIS_DATA_ALLOW_PRIVATE_HOSTS", "1")  # for commands: the tests' own servers are on this machine

sys.dont_write_bytecode = (
    False  # a suite that compiles everything anew in each of its processes takes half as long again
)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup: what the tests start would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cases",
        type=Path,
        default=None,
        metavar="DIR",
        help="tests/metrics, tests/parity: other cases with outputs of official implementations (default: ../shared).",
    )


def pytest_sessionstart() -> None:
    gc.disable()  # to import everything makes millions of objects, and hardly one of them is rubbish


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if touches_media(item.path):
            item.add_marker("media")


@pytest.fixture(autouse=True)
def _leaves_the_process_where_it_was(pytestconfig: pytest.Config) -> Iterator[None]:
    """A test that leaves the process in a folder of its own breaks others: they run there, until it is removed."""
    yield
    if Path.cwd() != pytestconfig.rootpath:
        left_in = Path.cwd()
        os.chdir(pytestconfig.rootpath)
        pytest.fail(f"left the process in {left_in}")


@pytest.fixture(autouse=True)
def _leaves_the_log_as_it_was() -> Iterator[None]:
    """A command that ran in this process has the log for itself: the next test would hear nothing of it."""
    yield
    logger = logging.getLogger("avis_data")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real clips and reference cases beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED


@pytest.fixture(scope="session")
def media_dir(shared_dir: Path) -> Path:
    """Real clips with sound; `media.csv` says what is true of each."""
    return shared_dir / "media"


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[TestServer]:
    """A real Label Studio, one for all workers; `support.label_studio` says how to use it."""
    from support.label_studio import is_available, shared_server

    if not is_available():
        pytest.skip("needs Label Studio's own environment: avis-data annotate install")
    base = tmp_path_factory.getbasetemp()
    with shared_server(base if worker_id == "master" else base.parent) as server:
        yield server
