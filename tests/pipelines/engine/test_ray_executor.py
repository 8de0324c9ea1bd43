"""The Ray executor does the very same work as the local one: a real Ray on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from avis_data.errors import Reason
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors import ExecutorFactory
from avis_data.pipelines.engine.executors.local import LocalExecutors
from avis_data.pipelines.engine.executors.ray import RayExecutors
from avis_data.pipelines.engine.planner import Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, StageReport, run_stage
from avis_data.pipelines.engine.spec import Candidates
from support.places import TESTS
from support.toy_stages import ShoutStage, Word, word_items

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one_cluster() -> Iterator[None]:
    """One Ray for all tests of this file: starting it takes seconds."""
    ray = pytest.importorskip("ray", reason="needs the extra `scale`")
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200_000_000,
        runtime_env=environment,
    )
    yield
    ray.shutdown()


def run(root: Path, words: dict[str, Word], executors: ExecutorFactory, timeout_s: float = 60.0) -> StageReport:
    workspace, stage = Workspace(root), ShoutStage(timeout_s=timeout_s)
    with Ledger(workspace.ledger) as ledger:
        plan = plan_stage(workspace, ledger, stage, Candidates(items=word_items(words)), Selection())
        return run_stage(workspace, ledger, stage, plan, executors=executors, policy=Policy())


def tree_of(root: Path) -> dict[str, bytes]:
    folder = root / "shouts"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("one_cluster")
def test_same_files_as_on_one_machine(tmp_path: Path) -> None:
    words = {f"w{i}": Word(text=f"word {i}") for i in range(9)} | {"bad": Word(text="b", behave="bad_media")}
    on_ray = run(tmp_path / "ray", words, RayExecutors(workers=2))
    local = run(tmp_path / "local", words, LocalExecutors(workers=2))
    assert on_ray.done == local.done == 9
    assert on_ray.failed == local.failed == {Reason.BAD_MEDIA: 1}
    assert tree_of(tmp_path / "ray") == tree_of(tmp_path / "local") != {}


@pytest.mark.usefixtures("one_cluster")
def test_a_worker_that_dies_or_hangs_costs_its_item(tmp_path: Path) -> None:
    words = {
        "fine": Word(text="a"),
        "dies_once": Word(text="b", behave="die", ok_after=1),
        "dies": Word(text="c", behave="die"),
        "hangs": Word(text="d", behave="hang"),
    }
    report = run(tmp_path, words, RayExecutors(workers=2), timeout_s=5.0)
    assert report.done == 2
    assert report.failed == {Reason.WORKER_DIED: 1, Reason.TIMEOUT: 1}
    assert (tmp_path / "shouts" / "dies_once.txt").read_text() == "B!"
