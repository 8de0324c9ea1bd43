"""What a person sees while a stage runs: a bar on a terminal, else a line every 30 seconds."""

from __future__ import annotations

import sys
import time
from typing import Self

from tqdm import tqdm

from avis_data.errors import Reason

__all__ = ["Progress", "say"]

_LINE_EVERY_S = 30.0
_SHOWN_FAILURES = 20


def say(stage: str, text: str) -> None:
    """A line on stderr, above the bar where there is one."""
    tqdm.write(f"{stage}: {text}", file=sys.stderr)


class Progress:
    """Counts items on stderr and shows the first failures as they happen."""

    def __init__(self, stage: str, *, total: int | None) -> None:
        self._stage, self._total = stage, total
        self._done = self._failed = 0
        self._said_at = time.monotonic()
        self._bar = tqdm(total=total, desc=stage, unit="item", disable=not sys.stderr.isatty(), dynamic_ncols=True)

    def step(self) -> None:
        """One item ended well."""
        self._done += 1
        self._advance()

    def fail(self, item_id: str, reason: Reason, message: str) -> None:
        """One item ended badly: its line is shown, unless there were many already (the ledger has them all)."""
        self._failed += 1
        if self._failed <= _SHOWN_FAILURES:
            self.say(f"{item_id}: {reason}: {message.splitlines()[-1] if message else ''}")
        elif self._failed == _SHOWN_FAILURES + 1:
            self.say("further failures are not shown; avis-data status --failed lists all")
        self._advance()

    def say(self, text: str) -> None:
        """A line above the bar."""
        say(self._stage, text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _advance(self) -> None:
        self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._said_at >= _LINE_EVERY_S:
            self._said_at = now
            of = "" if self._total is None else f" of {self._total}"
            self.say(f"{self._done + self._failed}{of}, {self._failed} failed")
