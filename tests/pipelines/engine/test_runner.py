"""The runner on a toy stage: what is done, what is skipped, what is retried, and what misbehaviour costs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from avis_data.errors import Reason
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors.here import HereExecutors
from avis_data.pipelines.engine.executors.local import LocalExecutors
from avis_data.pipelines.engine.planner import Plan, Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, StageReport, run_stage
from avis_data.pipelines.engine.spec import Candidates
from support.toy_stages import ShoutStage, Word, word_items

FAST = Policy(retries=3, retry_wait_s=0.01, throttle_wait_s=0.05, max_throttles=3, same_failure_limit=4)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def ledger(workspace: Workspace) -> Iterator[Ledger]:
    with Ledger(workspace.ledger) as ledger:
        yield ledger


def plan(workspace: Workspace, ledger: Ledger, words: dict[str, Word], stage: ShoutStage, selection: Selection) -> Plan:
    return plan_stage(workspace, ledger, stage, Candidates(items=word_items(words)), selection)


def run(
    workspace: Workspace,
    ledger: Ledger,
    words: dict[str, Word],
    *,
    stage: ShoutStage | None = None,
    selection: Selection | None = None,
    workers: int = 2,
    policy: Policy = FAST,
) -> StageReport:
    stage = stage or ShoutStage()
    todo = plan(workspace, ledger, words, stage, selection or Selection())
    return run_stage(workspace, ledger, stage, todo, executors=LocalExecutors(workers=workers), policy=policy)


def shouts(workspace: Workspace) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted((workspace.root / "shouts").glob("*.txt"))}


WORDS = {name: Word(text=name) for name in ("alpha", "beta", "gamma")}


def test_results_are_in_place_and_a_second_run_has_nothing_to_do(workspace: Workspace, ledger: Ledger) -> None:
    first = run(workspace, ledger, WORDS)
    assert (first.done, first.exit_code) == (3, 0)
    assert shouts(workspace) == {"alpha": "ALPHA!", "beta": "BETA!", "gamma": "GAMMA!"}
    assert (workspace.root / "shouts" / "beta-letters" / "1").read_text() == "E"
    second = run(workspace, ledger, WORDS)
    assert (second.planned, second.already_done) == (0, 3)
    assert not any(workspace.tmp.rglob("out-*"))


def test_another_parameter_or_record_redoes_what_it_concerns_and_removes_the_old_files(
    workspace: Workspace, ledger: Ledger
) -> None:
    run(workspace, ledger, WORDS)
    changed = run(workspace, ledger, WORDS | {"beta": Word(text="other")})
    assert (changed.done, changed.already_done) == (1, 2)
    assert shouts(workspace)["beta"] == "OTHER!"
    assert not (workspace.root / "shouts" / "beta-letters" / "6").exists()
    assert run(workspace, ledger, WORDS, stage=ShoutStage("?")).done == 3
    assert shouts(workspace)["alpha"] == "ALPHA?"


def test_misbehaving_items_end_with_their_reason_and_the_others_are_done(workspace: Workspace, ledger: Ledger) -> None:
    words = WORDS | {
        "bug": Word(text="b", behave="bug"),
        "die": Word(text="d", behave="die"),
        "hang": Word(text="h", behave="hang"),
        "bad": Word(text="m", behave="bad_media"),
    }
    report = run(workspace, ledger, words, stage=ShoutStage(timeout_s=2.0))
    assert set(shouts(workspace)) == set(WORDS)
    entries = ledger.entries("shout")
    assert {name: entries[name].reason for name in ("bug", "die", "hang", "bad")} == {
        "bug": Reason.BUG,
        "die": Reason.WORKER_DIED,
        "hang": Reason.TIMEOUT,
        "bad": Reason.BAD_MEDIA,
    }
    assert (report.done, report.exit_code) == (3, 4)
    message = entries["bug"].message or ""
    assert "ZeroDivisionError" in message and "toy_stages.py" in message
    assert "secret" not in message


def test_failures_stay_until_retried_by_reason(workspace: Workspace, ledger: Ledger) -> None:
    words = {
        "bad": Word(text="a", behave="bad_media", ok_after=1),
        "slow": Word(text="b", behave="timeout", ok_after=1),
        "fine": Word(text="c"),
    }
    run(workspace, ledger, words)
    again = run(workspace, ledger, words)
    assert again.planned == 0 and again.failed_before == {Reason.BAD_MEDIA: 1, Reason.TIMEOUT: 1}
    assert again.exit_code == 4
    by_kind = run(workspace, ledger, words, selection=Selection(retry_failed="retryable"))
    assert (by_kind.done, by_kind.failed_before) == (1, {Reason.BAD_MEDIA: 1})
    by_reason = run(workspace, ledger, words, selection=Selection(retry_failed="bad_media"))
    assert (by_reason.done, by_reason.exit_code) == (1, 0)
    assert ledger.entries("shout")["bad"].attempts == 2


def test_network_failures_are_tried_again_within_the_run(workspace: Workspace, ledger: Ledger) -> None:
    words = {f"n{i}": Word(text="x", behave="network", ok_after=i) for i in range(1, 5)}
    report = run(workspace, ledger, words)
    assert report.done == 3 and report.failed == {Reason.NETWORK: 1}  # 3 retries: the one that needs 4 fails


def test_throttling_pauses_all_and_ends_the_run_with_advice(workspace: Workspace, ledger: Ledger) -> None:
    words = {f"w{i}": Word(text="x", behave="rate_limited") for i in range(30)}
    report = run(workspace, ledger, words)
    assert report.stopped is not None and "--cookies" in report.stopped
    untried = 30 - sum(report.failed.values())
    assert untried > 15 and report.exit_code == 4


def test_a_run_that_fails_in_one_way_only_is_ended_early(workspace: Workspace, ledger: Ledger) -> None:
    words = {f"w{i:02}": Word(text="x", behave="removed") for i in range(40)}
    report = run(workspace, ledger, words)
    assert report.stopped is not None and "removed" in report.stopped
    assert sum(report.failed.values()) < 12
    mixed = {f"m{i:02}": Word(text="x", behave="removed" if i else "ok") for i in range(12)}
    assert run(workspace, ledger, mixed, workers=1).stopped is None


def test_a_full_disk_ends_the_run(workspace: Workspace, ledger: Ledger) -> None:
    words = WORDS | {f"w{i:02}": Word(text="x", behave="disk_full") for i in range(30)}
    report = run(workspace, ledger, words)
    assert report.stopped is not None and "disk is full" in report.stopped
    assert set(shouts(workspace)) == set(WORDS)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EROFS, Reason.NO_ACCESS),
        (errno.EDQUOT, Reason.DISK_FULL),
        (errno.EIO, Reason.DISK_ERROR),
        (errno.EXDEV, Reason.DISK_ERROR),
    ],
)
def test_a_result_that_cannot_be_moved_ends_the_run_and_says_why(
    workspace: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, code: int, reason: Reason
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code), str(source), None, str(target))

    with monkeypatch.context() as patched:
        patched.setattr("avis_data.pipelines.engine.runner.os.replace", refuse)
        report = run(workspace, ledger, WORDS, workers=1)
    told = "disk is full" if reason is Reason.DISK_FULL else os.strerror(code)
    assert report.stopped is not None and told in report.stopped
    assert set(report.failed) == {reason} and not shouts(workspace)
    again = run(workspace, ledger, WORDS, selection=Selection(retry_failed="retryable"))
    assert again.done == len(WORDS) and not again.failed


def broken_off(*_: object, **__: object) -> None:
    """What `shutil.rmtree` did when Ctrl-C came after it had closed a folder, and before it had noted that."""
    try:
        raise KeyboardInterrupt
    finally:
        os.close(os.dup2(0, 200))
        os.close(200)


@pytest.mark.parametrize("where", ["runner", "worker"])
def test_an_interruption_that_broke_a_clean_up_is_no_fault_of_an_item(
    workspace: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "runner":
        monkeypatch.setattr("avis_data.pipelines.engine.runner._commit_success", broken_off)
    else:
        monkeypatch.setattr(ShoutStage, "run", broken_off)
    todo = plan(workspace, ledger, WORDS, ShoutStage(), Selection())
    with pytest.raises(KeyboardInterrupt):
        run_stage(workspace, ledger, ShoutStage(), todo, executors=HereExecutors(), policy=FAST)
    assert not ledger.entries("shout")
    monkeypatch.undo()
    assert run(workspace, ledger, WORDS).done == 3


def test_missing_and_changed_outputs_are_made_again(workspace: Workspace, ledger: Ledger) -> None:
    run(workspace, ledger, WORDS)
    (workspace.root / "shouts" / "alpha.txt").unlink()
    (workspace.root / "shouts" / "beta.txt").write_text("BET")
    report = run(workspace, ledger, WORDS)
    assert (report.done, report.already_done) == (2, 1)
    assert shouts(workspace) == {"alpha": "ALPHA!", "beta": "BETA!", "gamma": "GAMMA!"}


def test_verify_finds_a_torn_file_inside_a_folder(workspace: Workspace, ledger: Ledger) -> None:
    run(workspace, ledger, WORDS)
    (workspace.root / "shouts" / "gamma-letters" / "2").write_text("")
    found = plan(workspace, ledger, WORDS, ShoutStage(), Selection(verify=True))
    assert found.torn == ["gamma"] and found.num_done == 2
    run(workspace, ledger, WORDS, selection=Selection(verify=True))
    assert (workspace.root / "shouts" / "gamma-letters" / "2").read_text() == "M"


def test_a_file_touched_but_equal_counts_as_done(workspace: Workspace, ledger: Ledger) -> None:
    run(workspace, ledger, WORDS)
    (workspace.root / "shouts" / "alpha.txt").write_text("ALPHA!")
    assert run(workspace, ledger, WORDS).already_done == 3


def test_limit_and_force(workspace: Workspace, ledger: Ledger) -> None:
    assert run(workspace, ledger, WORDS, selection=Selection(limit=2)).done == 2
    assert run(workspace, ledger, WORDS).done == 1
    assert run(workspace, ledger, WORDS, selection=Selection(force=True)).done == 3


def test_a_kill_between_rename_and_ledger_leaves_an_item_to_do(workspace: Workspace, ledger: Ledger) -> None:
    run(workspace, ledger, WORDS)
    ledger.begin_replacing("shout", "alpha")  # what a commit does first
    (workspace.root / "shouts" / "alpha.txt").write_text("half")
    assert run(workspace, ledger, WORDS).done == 1
    assert shouts(workspace)["alpha"] == "ALPHA!"


def test_bytes_do_not_depend_on_the_number_of_workers(workspace: Workspace, ledger: Ledger, tmp_path: Path) -> None:
    words = {f"w{i}": Word(text=f"word {i}") for i in range(12)}
    run(workspace, ledger, words, workers=4)
    other = Workspace(tmp_path / "other")
    with Ledger(other.ledger) as other_ledger:
        run(other, other_ledger, words, workers=1)
        hashes = [sorted((o.path, o.sha256) for out in led.outputs("shout").values() for o in out)
                  for led in (ledger, other_ledger)]  # fmt: skip
    assert hashes[0] == hashes[1] and len(hashes[0]) == 24
