"""The ledger file itself: what survives, what is refused, what is never written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from avis_data.errors import DataError, Reason
from avis_data.ledger import Done, Failed, Ledger, Output


def done(item_id: str, *, key: str = "k", paths: tuple[str, ...] = ("a",)) -> Done:
    outputs = [Output(path=path, sha256="0" * 64, size_bytes=1, mtime_ns=2) for path in paths]
    return Done(item_id=item_id, key=key, facts={"n": 1}, inputs={}, outputs=outputs, wall_s=2.0, cpu_s=1.0)


def test_what_is_committed_is_there_after_reopening(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.commit_done("extract", done("x", paths=("frames", "audio.wav")))
        ledger.commit_failed("extract", Failed(item_id="y", key="k", reason=Reason.NO_AUDIO, message="no sound"))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert [output.path for output in ledger.outputs("extract")["x"]] == ["frames", "audio.wav"]
        failed = ledger.entries("extract")["y"]
        assert (failed.state, failed.reason, failed.message, failed.attempts) == ("failed", "no_audio", "no sound", 1)
        assert list(ledger.facts("extract")) == [("x", '{"n": 1}')]


def test_attempts_count_per_key_and_outputs_follow_the_last_success(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        failed = Failed(item_id="x", key="k", reason=Reason.NETWORK, message="")
        for _ in range(3):
            ledger.commit_failed("fetch", failed)
        assert ledger.entries("fetch")["x"].attempts == 3
        ledger.commit_done("fetch", done("x", key="other", paths=("new",)))
        assert ledger.entries("fetch")["x"].attempts == 1
        assert [output.path for output in ledger.outputs("fetch")["x"]] == ["new"]
        ledger.commit_failed("fetch", failed)
        assert ledger.outputs("fetch") == {}  # a failed item offers nothing to the stages after it


def test_an_item_being_replaced_does_not_look_done(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.commit_done("extract", done("x"))
        ledger.begin_replacing("extract", "x")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.entries("extract")["x"].state == "replacing"
        assert ledger.outputs("extract") == {} and list(ledger.facts("extract")) == []


def test_counts_leave_out_what_the_list_no_longer_asks_for(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for name in ("a", "b", "c"):
            ledger.commit_done("extract", done(name))
        ledger.replace_wanted(["v"], [("a", "{}"), ("b", "{}")])
        unlisted = list(ledger.tallies.unlisted())
        assert [(item.stage, item.item_id) for item in unlisted] == [("extract", "c")]
        (count,) = ledger.tallies.counts(unlisted)
        assert (count.state, count.count, count.mean_wall_s) == ("done", 2, 2.0)
        ledger.replace_wanted(["v"], [("a", "{}")])
        assert [item for item, _ in ledger.wanted("clip")] == ["a"]


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 50, b"SQLite format 3\0" * 99]
)
def test_a_damaged_ledger_is_refused_with_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(content)
    with pytest.raises(DataError, match="not a readable ledger") as caught:
        Ledger(tmp_path / "ledger.sqlite")
    assert "doctor --workspace --repair" in str(caught.value)


def test_a_ledger_of_another_format_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.sqlite").close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="format 99"):
        Ledger(tmp_path / "ledger.sqlite")
