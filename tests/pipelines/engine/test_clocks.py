"""A limit of time measures the item: not how long a worker takes to start, nor how busy the machine is."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from avis_data import platforms
from avis_data.errors import Reason
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors import ExecutorFactory, local
from avis_data.pipelines.engine.executors.here import HereExecutors
from avis_data.pipelines.engine.executors.local import LocalExecutor, LocalExecutors
from avis_data.pipelines.engine.planner import Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, run_stage
from avis_data.pipelines.engine.spec import Candidates
from avis_data.pipelines.engine.stage import Prepared, Workbench
from avis_data.pipelines.engine.worker import Failure, Job, Success
from avis_data.pipelines.stages.embed import EmbedStage
from avis_data.platforms import WorkClock
from support.toy_stages import LoadingStage, ShoutFacts, ShoutStage, Word, word_items

LIMIT_S = 1.0


class SlowToLoad(ShoutStage):
    """Takes longer to load than an item may."""

    def prepare(self) -> None:
        time.sleep(2 * LIMIT_S)


class Downloads(ShoutStage):
    """Hardly computes, but what it writes grows."""

    def run(self, bench: Workbench) -> ShoutFacts:
        with (bench.scratch / "part").open("wb") as file:
            for _ in range(25):
                time.sleep(LIMIT_S / 10)
                file.write(bytes(100))
                file.flush()
        return super().run(bench)


class Endless(ShoutStage):
    """Computes for ever."""

    def run(self, bench: Workbench) -> ShoutFacts:
        while True:
            pass


def run(root: Path, stage: ShoutStage, executors: ExecutorFactory) -> dict[str, Reason | None]:
    workspace = Workspace(root)
    with Ledger(workspace.ledger) as ledger:
        plan = plan_stage(workspace, ledger, stage, Candidates(items=word_items({"w": Word(text="w")})), Selection())
        run_stage(workspace, ledger, stage, plan, executors=executors, policy=Policy())
        return {item_id: entry.reason for item_id, entry in ledger.entries("shout").items()}


@pytest.mark.parametrize("executors", [LocalExecutors(workers=1), HereExecutors()])
def test_loading_is_not_part_of_an_item(tmp_path: Path, executors: ExecutorFactory) -> None:
    assert run(tmp_path, SlowToLoad(timeout_s=LIMIT_S), executors) == {"w": None}


def test_what_is_at_work_goes_on_and_what_computes_for_ever_is_ended(tmp_path: Path) -> None:
    assert run(tmp_path / "a", Downloads(timeout_s=LIMIT_S), LocalExecutors(workers=1)) == {"w": None}
    assert run(tmp_path / "b", Endless(timeout_s=LIMIT_S), LocalExecutors(workers=1)) == {"w": Reason.TIMEOUT}


def shout(root: Path, item_id: str) -> Job:
    out, scratch = root / item_id, root / "scratch" / item_id
    return Job(item_id=item_id, record=Word(text="hello"), root=root, inputs={}, out=out, scratch=scratch)


def kill_workers() -> None:
    for worker in multiprocessing.active_children():
        worker.kill()
        worker.join()
    time.sleep(0.5)  # so that the pool mostly has noticed; either way is to go well


def results_of(executor: LocalExecutor, number: int) -> list[Success | Failure]:
    found: list[Success | Failure] = []
    while len(found) < number:
        found += executor.wait(1.0)
    return found


def test_a_worker_that_dies_with_nothing_to_do_costs_no_item(tmp_path: Path) -> None:
    """Six of them, one after the other: each before the next item, which another worker does."""
    with LocalExecutor(ShoutStage(), workers=1) as executor:
        assert all(executor.come_up(5.0) for _ in range(2))
        for number in range(6):
            kill_workers()
            executor.submit(shout(tmp_path, f"w{number}"), 30.0)
            (result,) = results_of(executor, 1)
            assert isinstance(result, Success), result


def test_a_worker_that_dies_while_it_comes_up_is_followed_by_another(tmp_path: Path) -> None:
    """It is not waited for: nothing will ever come of what the broken pool was asked."""
    begun, hold = tmp_path / "begun", tmp_path / "hold"
    begun.mkdir()
    hold.touch()
    with LocalExecutor(LoadingStage(begun, hold), workers=1) as executor:
        for number in (1, 2):
            while len(list(begun.iterdir())) < number:
                assert not executor.come_up(0.2)
            kill_workers()
        hold.unlink()
        while not executor.come_up(1.0):
            pass
        assert len(list(begun.iterdir())) == 3


def test_what_is_done_is_not_done_again_where_its_worker_dies_before_it_is_fetched(tmp_path: Path) -> None:
    with LocalExecutor(ShoutStage(), workers=1) as executor:
        executor.submit(shout(tmp_path, "a"), 30.0)
        while not (tmp_path / "a" / "a-letters" / "5").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        kill_workers()
        executor.submit(shout(tmp_path, "b"), 30.0)
        results = results_of(executor, 2)
    assert [result.facts.tries for result in results if isinstance(result, Success)] == [1, 1]  # type: ignore[attr-defined]  # those of ShoutStage
    assert sorted(result.item_id for result in results) == ["a", "b"]


def test_stages_that_load_a_model_do_so_before_their_clock() -> None:
    assert issubclass(EmbedStage, Prepared)
    assert not isinstance(ShoutStage(), Prepared), "a stage without a model needs no such method"


@contextmanager
def child(code: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        yield process.pid
        process.kill()


def turn(clock: WorkClock, used_s: float, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Ten seconds later, of which the process got so many."""
    clock._look_at = time.monotonic()
    monkeypatch.setattr(platforms, "_used_by", lambda _: used_s)
    return clock.fault()


def test_a_busy_machine_is_no_fault_of_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "_used_by", lambda _: 5.0)
    clock = WorkClock(1, 10.0)
    for used_s in (5.1, 5.3, 5.4, 14.9):  # a fiftieth of a core for minutes
        assert turn(clock, used_s, monkeypatch) is None
    assert "processor time" in (turn(clock, 15.1, monkeypatch) or "")
    assert "did nothing" in (turn(WorkClock(1, 10.0), 15.1, monkeypatch) or "")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells it")
def test_a_process_counts_with_what_it_started() -> None:
    work = "import time; all(time.process_time() < 5 for _ in iter(int, 1))"  # it ends by itself, whoever forgets it
    busy = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    with child(busy) as pid:
        deadline = time.monotonic() + 60
        while (platforms._used_by(pid) or 0.0) < 0.5:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_what_a_job_wrote_is_counted_while_its_folders_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is listed by the one above it, and gone when it is looked into."""
    for name in ("here", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"12345")
    scandir = os.scandir

    def vanishing(path: Any) -> Any:
        if not isinstance(path, int) and Path(path).name == "gone":
            monkeypatch.undo()
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    none = tmp_path / "none"
    job = Job(item_id="a", record=Word(text="a"), root=tmp_path, inputs={}, out=none, scratch=tmp_path)
    assert local._written(job) == 5
