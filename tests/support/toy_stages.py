"""A stage that does next to nothing, and can be told to misbehave; for tests of the runner and the executors."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

from avis_data.errors import ItemError, Reason
from avis_data.io import sha256_text
from avis_data.pipelines.engine.stage import Input, Item, Workbench
from avis_data.records import Record


class Word(Record):
    """What to write, and how to misbehave: `ok`, `bug`, `die`, `hang`, `disk_full`, or a reason to fail with.

    `needs_disk` behaves, but writes a megabyte among the temporary files of its machine.
    """

    text: str
    behave: str = "ok"
    ok_after: int = 0
    """Misbehave only in so many tries."""


class ShoutParams(Record):
    """Changing it re-keys everything."""

    mark: str = "!"


class ShoutFacts(Record):
    """What was found out about a word."""

    length: int
    tries: int


class ShoutStage:
    """Writes the word in capitals into a file, and into each of the files of a folder."""

    name = "shout"
    version = 1

    def __init__(self, mark: str = "!", *, timeout_s: float = 30.0, pause_s: float = 0.0) -> None:
        self.params = ShoutParams(mark=mark)
        self._timeout_s = timeout_s
        self._pause_s = pause_s

    def timeout_s(self, record: Record) -> float:
        return self._timeout_s

    def run(self, bench: Workbench) -> ShoutFacts:
        assert isinstance(bench.record, Word)
        tries = self._count_try(bench.scratch)
        if bench.record.behave == "needs_disk":
            with tempfile.TemporaryFile() as file:
                file.write(bytes(1_000_000))
        elif bench.record.behave != "ok" and (not bench.record.ok_after or tries <= bench.record.ok_after):
            _misbehave(bench)
        text = bench.record.text.upper() + self.params.mark
        (bench.out / f"{bench.item_id}.txt").write_text(text)
        (bench.out / f"{bench.item_id}-letters").mkdir()
        for index, letter in enumerate(text):
            time.sleep(self._pause_s)
            (bench.out / f"{bench.item_id}-letters" / str(index)).write_text(letter)
        return ShoutFacts(length=len(text), tries=tries)

    def _count_try(self, scratch: Path) -> int:
        counter = scratch / "tries"
        tries = len(counter.read_text()) + 1 if counter.exists() else 1
        counter.write_text("x" * tries)
        return tries


class LoadingStage(ShoutStage):
    """Has something to load. Each worker that begins to leaves a file in `begun`, and loads while `hold` is there."""

    def __init__(self, begun: Path, hold: Path, *, dies: bool = False) -> None:
        super().__init__()
        self._begun, self._hold = begun, hold
        self._dies = dies

    def prepare(self) -> None:
        """Load, or die of it."""
        (self._begun / str(os.getpid())).touch()
        while self._hold.exists():
            time.sleep(0.05)
        if self._dies:
            os.kill(os.getpid(), signal.SIGKILL)


def _misbehave(bench: Workbench) -> None:
    assert isinstance(bench.record, Word)
    (bench.out / "half").write_text("never seen")
    match bench.record.behave:
        case "bug":
            raise ZeroDivisionError("a bug in the stage; see https://user:secret@host/?token=secret")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(600)
        case "disk_full":
            raise OSError(28, "No space left on device")
        case reason:
            raise ItemError(f"asked to fail with {reason}", reason=Reason(reason))


def word_items(words: dict[str, Word]) -> list[Item]:
    """An item per word; its one input is the word's own file in the workspace, if there is one."""
    return [Item(item_id=item_id, record=word, home="shouts") for item_id, word in words.items()]


def input_of(path: Path, root: Path) -> Input:
    """An input whose hash is that of its text."""
    return Input(path=path.relative_to(root).as_posix(), sha256=sha256_text(path.read_text()))
