"""Nodes of a Ray cluster that die, join late, differ, are slow or full: the run goes on with what is left.

`AVIS_DATA_KILLS=20 pytest tests/pipelines/engine/test_ray_nodes.py` kills so many nodes; by itself it is a few.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from avis_data.errors import Reason, ToolError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors import ExecutorFactory
from avis_data.pipelines.engine.executors import ray as ray_module
from avis_data.pipelines.engine.executors import ray_cluster as cluster_module
from avis_data.pipelines.engine.executors.here import HereExecutors
from avis_data.pipelines.engine.executors.ray import RayExecutors
from avis_data.pipelines.engine.executors.ray_cluster import Nodes, RayCluster
from avis_data.pipelines.engine.executors.ray_joining import why_not
from avis_data.pipelines.engine.planner import Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, StageReport, run_stage
from avis_data.pipelines.engine.spec import Candidates
from support.machine_faults import small_disk
from support.ray_nodes import RayNodes, ray_nodes
from support.toy_stages import LoadingStage, ShoutStage, Word, word_items

pytestmark = pytest.mark.slow
NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", "2"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    """One cluster for all tests of this file; each brings the nodes that it kills."""
    with ray_nodes() as cluster:
        yield cluster


def run(
    root: Path,
    words: dict[str, Word],
    executors: ExecutorFactory,
    *,
    pause_s: float = 0.0,
    stage: ShoutStage | None = None,
) -> StageReport:
    workspace, stage = Workspace(root), stage or ShoutStage(pause_s=pause_s, timeout_s=120.0)
    with Ledger(workspace.ledger) as ledger:
        plan = plan_stage(workspace, ledger, stage, Candidates(items=word_items(words)), Selection())
        return run_stage(workspace, ledger, stage, plan, executors=executors, policy=Policy())


def tree_of(root: Path) -> dict[str, bytes]:
    folder = root / "shouts"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def words(number: int) -> dict[str, Word]:
    return {f"w{i}": Word(text=f"word {i}") for i in range(number)}


class Meanwhile(threading.Thread):
    """Does something beside the run; its failure fails the test."""

    def __init__(self, what: Callable[[], None]) -> None:
        super().__init__()
        self._what = what
        self._done = False
        self.start()

    def run(self) -> None:
        self._what()
        self._done = True

    def ended(self) -> None:
        self.join()
        assert self._done, "what was done beside the run failed; its traceback is above"


def until(what: Callable[[], bool]) -> None:
    for _ in range(2400):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def test_nodes_die_and_join_while_they_work(nodes: RayNodes, tmp_path: Path) -> None:
    """And, each time, the worker of the head, whose node lives."""
    given = words(8 * NUM_KILLS)
    rng = random.Random(4)
    nodes.join()

    def deaths() -> None:
        for _ in range(NUM_KILLS):
            until(lambda: bool(nodes.workers(nodes.others[0])))  # a worker starts there, or works
            time.sleep(rng.uniform(0.0, 2.0))
            nodes.kill(nodes.others[0])
            nodes.join()
            until(lambda: bool(nodes.workers(nodes.head)))
            os.kill(nodes.workers(nodes.head)[0], signal.SIGKILL)

    meanwhile = Meanwhile(deaths)
    report = run(tmp_path / "ray", given, RayExecutors(workers=2, address=nodes.address), pause_s=0.25)
    meanwhile.ended()
    nodes.kill(nodes.others[0])
    assert (report.done, report.failed) == (len(given), {})
    run(tmp_path / "here", given, HereExecutors())
    assert tree_of(tmp_path / "ray") == tree_of(tmp_path / "here") != {}
    workspace_tmp = Workspace(tmp_path / "ray").tmp
    assert workspace_tmp.is_dir() and not list(workspace_tmp.rglob("out-*"))


def test_a_worker_that_dies_before_it_is_ready_costs_no_item(
    nodes: RayNodes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Five times, on a node that lives; an item that it had in hand would have been given up after three."""
    caplog.set_level("INFO", logger="avis_data.pipelines.engine.executors.ray")
    begun, hold = tmp_path / "begun", tmp_path / "hold"
    begun.mkdir()
    hold.touch()

    def have_begun(number: int) -> bool:
        return len(list(begun.iterdir())) >= number

    def deaths() -> None:
        try:
            for number in range(5):
                until(partial(have_begun, number + 1))
                for worker in nodes.workers(nodes.head):  # one of the test before may still be about
                    with suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
        finally:
            hold.unlink()

    meanwhile = Meanwhile(deaths)
    executors = RayExecutors(workers=1, address=nodes.address)
    report = run(tmp_path / "ray", words(3), executors, stage=LoadingStage(begun, hold))
    meanwhile.ended()
    assert (report.done, report.failed) == (3, {})
    assert not [record for record in caplog.records if record.message.startswith("lost ")]


def test_a_stage_at_whose_start_every_worker_dies_ends_the_run_in_words(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is always one that is about to."""
    monkeypatch.setattr(ray_module, "_MAX_UNREADY", 3)
    nodes.join()
    executors = RayExecutors(workers=2, address=nodes.address)
    stage = LoadingStage(tmp_path, tmp_path / "no-hold", dies=True)
    with pytest.raises(ToolError, match=r"no Ray worker of stage 'shout' gets ready: .* end before they begin"):
        run(tmp_path / "ray", words(2), executors, stage=stage)
    nodes.kill(nodes.others[0])
    assert not (tmp_path / "ray" / "shouts").exists()


def test_a_node_that_joins_after_the_first_items_works(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    may_work, let_in = Nodes.may_work, set()

    def remembered(self: Nodes, node_id: str) -> bool | None:
        may = may_work(self, node_id)
        if may:
            let_in.add(node_id)
        return may

    def late() -> None:
        until(lambda: len(list((tmp_path / "shouts").glob("*.txt"))) >= 2)
        nodes.join()
        until(lambda: len(let_in) == 2 or "left out" in capsys.readouterr().err)

    monkeypatch.setattr(Nodes, "may_work", remembered)
    meanwhile = Meanwhile(late)
    report = run(tmp_path, words(16), RayExecutors(workers=2, address=nodes.address), pause_s=0.25)
    meanwhile.ended()
    nodes.kill(nodes.others[0])
    assert (report.done, len(let_in)) == (16, 2)


def test_a_node_whose_disk_is_full_is_left_out_in_words(
    nodes: RayNodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {name: word.model_copy(update={"behave": "needs_disk"}) for name, word in words(12).items()}
    with small_disk(tmp_path / "full", 100) as full:
        node = nodes.join(environment={"TMPDIR": str(full)})
        report = run(tmp_path / "ray", given, RayExecutors(workers=2, address=nodes.address), pause_s=0.1)
        nodes.kill(node)
    assert (report.done, report.failed, report.stopped) == (12, {}, None)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert "No space left on device; make room on the disk" in said
    run(tmp_path / "here", given, HereExecutors())
    assert tree_of(tmp_path / "ray") == tree_of(tmp_path / "here") != {}
    assert not list(Workspace(tmp_path / "ray").tmp.rglob("out-*"))


LOST = ["no node", "the other one, unnoticed", "the other one, later", "the other one, while a worker waits for it"]


@pytest.mark.parametrize("dies", LOST)
def test_a_disk_that_is_full_everywhere_stops_the_run_in_words(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """Ray tells of a dead node for seconds, and an empty disk elsewhere is no help once that node is gone."""
    if dies != "no node":
        other = nodes.join()
        leave_out, take_back = Nodes.leave_out_full, Nodes.take_back_full
        gone: list[float] = []

        def left_out(self: Nodes, node_id: str, why: str, *, gpus: float) -> bool:
            if dies == "the other one, unnoticed":
                nodes.kill(other)
            is_out = leave_out(self, node_id, why, gpus=gpus)
            if is_out and dies != "the other one, unnoticed":
                nodes.kill(other)
            return is_out

        def taken_back(self: Nodes, *, gpus: float) -> bool:
            """Some seconds late, so that a worker is asked for where no node is any more."""
            if self.full and not self.has_room(gpus):
                gone.append(time.monotonic())
                if dies == "the other one, while a worker waits for it" and gone[-1] - gone[0] < 5:
                    return False
            return take_back(self, gpus=gpus)

        monkeypatch.setattr(Nodes, "leave_out_full", left_out)
        monkeypatch.setattr(Nodes, "take_back_full", taken_back)
    given = words(2) | {"big": Word(text="b", behave="disk_full")}
    report = run(tmp_path, given, RayExecutors(workers=1, address=nodes.address))
    assert report.failed == {Reason.DISK_FULL: 1} and "the disk is full: make room" in str(report.stopped)


def test_a_node_that_is_slow_keeps_its_items(nodes: RayNodes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nine tenths of the time it stands still; it is waited for, and nothing is done twice."""
    caplog.set_level("INFO", logger="avis_data.pipelines.engine.executors.ray")
    node, stood_still = nodes.join(), []

    def pulses() -> None:
        until(lambda: bool(nodes.workers(node)))
        for _ in range(8):
            stopped = nodes.workers(node)
            for signal_, pause_s in ((signal.SIGSTOP, 0.9), (signal.SIGCONT, 0.1)):
                for pid in stopped:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal_)
                time.sleep(pause_s)
            stood_still.extend(stopped)

    meanwhile = Meanwhile(pulses)
    report = run(tmp_path, words(12), RayExecutors(workers=2, address=nodes.address), pause_s=0.15)
    meanwhile.ended()
    nodes.kill(node)
    assert (report.done, report.failed) == (12, {}) and stood_still
    assert not [record for record in caplog.records if record.message.startswith("lost ")]


def test_a_node_that_stands_still_for_good_is_given_up(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_module, "_SILENT_S", 5.0)
    node, stopped = nodes.join(), []

    def stand_still() -> None:
        until(lambda: len(list((tmp_path / "ray" / "shouts").glob("*.txt"))) >= 2)  # so they have items
        until(lambda: bool(nodes.workers(node)))
        stopped.extend(nodes.workers(node))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

    given = words(8)
    meanwhile = Meanwhile(stand_still)
    report = run(tmp_path / "ray", given, RayExecutors(workers=2, address=nodes.address), pause_s=0.2)
    meanwhile.ended()
    nodes.kill(node)
    assert (report.done, report.failed) == (8, {}) and stopped
    run(tmp_path / "here", given, HereExecutors())
    assert tree_of(tmp_path / "ray") == tree_of(tmp_path / "here")


def test_a_node_that_runs_something_else_is_named_before_the_first_item(nodes: RayNodes, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho ffmpeg version 0.1-other\n")
    program.chmod(0o755)
    other = nodes.join(environment={"AVIS_DATA_FFMPEG": str(program)})
    with pytest.raises(ToolError, match=r"do not run what this machine runs:\n.*ffmpeg 0\.1-other instead of"):
        run(tmp_path / "ws", words(2), RayExecutors(workers=1, address=nodes.address))
    nodes.kill(other)
    assert not (tmp_path / "ws" / "shouts").exists()


def have_silent(monkeypatch: pytest.MonkeyPatch, *, all_nodes: bool = False) -> None:
    """All nodes, or those with `SILENT` set, never say what they run: a network folder hangs there, say."""
    here = cluster_module._facts(None)

    def facts(token: str | None) -> object:
        if token is not None and (all_nodes or "SILENT" in os.environ):
            time.sleep(600)
        return here

    monkeypatch.setattr(cluster_module, "_facts", facts)
    monkeypatch.setattr(cluster_module, "_SILENT_S", 10.0)
    monkeypatch.setattr(cluster_module, "_FIRST_ANSWERS_S", 0.0)


def test_a_node_that_never_says_what_it_runs_is_told_of_and_gets_no_work(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only worker has its place there when a node comes that does say it."""
    have_silent(monkeypatch)
    silent = nodes.join(gpus=1, environment={"SILENT": "1"})

    def another() -> None:
        until(lambda: bool(nodes.workers(silent)))
        nodes.join(gpus=1)

    meanwhile = Meanwhile(another)
    executors = RayExecutors(workers=1, address=nodes.address, gpus_per_worker=1)
    report = run(tmp_path / "ws", words(2), executors)
    meanwhile.ended()
    for node in nodes.others:
        nodes.kill(node)
    assert (report.done, report.failed) == (2, {})
    assert "gets no work, as it does not say what it runs" in capsys.readouterr().err


def test_a_cluster_none_of_whose_nodes_says_what_it_runs_ends_the_run_in_words(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_silent(monkeypatch, all_nodes=True)
    monkeypatch.setattr(cluster_module, "_ALL_SILENT_S", 5.0)
    with pytest.raises(ToolError, match=r"no node of the Ray cluster has said for \d+ s what it runs"):
        run(tmp_path / "ws", words(2), RayExecutors(workers=1, address=nodes.address))
    assert not (tmp_path / "ws" / "shouts").exists()


def test_a_cluster_without_a_place_for_a_worker_ends_the_run_in_words(nodes: RayNodes, tmp_path: Path) -> None:
    executors = RayExecutors(workers=1, address=nodes.address, gpus_per_worker=1, empty_after_s=1)
    with pytest.raises(ToolError, match=r"the Ray cluster is empty: none of .* a CPU and 1 GPUs"):
        run(tmp_path, words(2), executors)


def test_a_head_that_is_gone_is_told_before_ray_ends_the_process(
    nodes: RayNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = RayCluster(nodes.address)
    assert cluster.head_answers()
    monkeypatch.setattr(cluster, "_head", ("127.0.0.1", 9))
    assert not cluster.head_answers()
    monkeypatch.setattr(cluster, "_head_seen", time.monotonic() - 31)
    with pytest.raises(ToolError, match=r"the head of the Ray cluster \(127\.0\.0\.1:9\) is gone"):
        cluster.head_answers()
    cluster.leave()


@pytest.mark.parametrize(
    ("mode", "said", "told"),
    [
        (None, "Unauthenticated: RPC error: InvalidAuthToken", "asks for a token, and RAY_AUTH_MODE is not set here"),
        ("disabled", "RPC error: InvalidAuthToken", "asks for a token, and RAY_AUTH_MODE is disabled here"),
        ("token", "RPC error: InvalidAuthToken", "refuses the token that this machine has"),
        (None, "Version mismatch: The cluster was started with", "does not run what this machine runs"),
        (None, "", "no Ray cluster at 10.0.0.1:6379"),
    ],
)
def test_why_a_cluster_lets_nobody_in_is_told(
    monkeypatch: pytest.MonkeyPatch, mode: str | None, said: str, told: str
) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra `scale`")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    error = why_not(ray, "10.0.0.1:6379", ConnectionError("Failed to connect to Ray cluster"), said)
    assert told in str(error) and error.hint
