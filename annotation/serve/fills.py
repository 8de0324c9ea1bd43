"""The other stills of a box: worked out after its own was answered, and given to the page when it asks again.

A page asks again by itself on a server that we installed, else with its next click. What is left is kept in the
workspace (`labels/made_masks.py`, `Filling`), so that a service that was killed goes on where it is started again. What
a hand set on the page in the meantime stays.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from avis_data.annotation.labels.made_masks import Filling, filling_path, fillings, mask_sha256, read_made
from avis_data.annotation.labelstudio.regions import Region
from avis_data.annotation.segmenters.segmenter import Found
from avis_data.annotation.serve.click_answer import Answer, Answerer, StillMask, is_by_hand
from avis_data.annotation.serve.click_request import Click, FillingAsked, OnPage, Task
from avis_data.annotation.serve.page_state import PageRegions
from avis_data.errors import AvisError
from avis_data.io import write_json
from avis_data.masks.rle import Rle, decode, encode

__all__ = ["Fills", "Taken"]

logger = logging.getLogger(__name__)

_AT_ONCE = 2
"""Boxes that are worked at in turn; one of a long clip lets the next one wait no longer than its steps take."""
_MOST_IN_AN_ANSWER = 30
"""Masks that a page takes at a time."""
_KEPT = timedelta(days=1)
"""A box that began longer ago is given up."""
_TOLD_S = 1.0
"""How often it is written down how far a box is."""


@dataclass
class _Job:
    """A box, and how far it is. Changed under the lock only."""

    filling: Filling
    ready: dict[int, StillMask] = field(default_factory=dict)
    """Masks that the page was not given."""
    given: dict[int, StillMask] = field(default_factory=dict)
    """Those of the last answer, until the page says that it has them: an answer can be lost on its way."""
    part: int = 0
    """Number of that answer."""
    is_done: bool = False
    theirs: set[int] = field(default_factory=set)
    """Stills that the person clicked on since: perhaps so lately that the page has not saved it."""
    was_seen: bool = False
    """Whether the page was known to hold the object on the still of the box."""
    steps: Iterator[tuple[int, StillMask | None]] | None = None
    told_at: float = 0.0
    was_written: bool = False

    @property
    def left(self) -> int:
        """Stills that the page was not given: to be looked at, or ready."""
        return len(self.ready) + (0 if self.is_done else max(1, len(self.filling.wanted) - self.filling.looked_at))


@dataclass(frozen=True)
class Taken:
    """What a page gets of boxes now."""

    regions: list[Region]
    progress: dict[str, object] | None
    """Of the box that the page should ask for again, and given back when it does: its `key`, which `part` this is, how
    many stills are `left`, and words."""


class Fills:
    """The boxes of all pages, and one thread that works at them while nobody waits for a click."""

    def __init__(self, answerer: Answerer, *, is_there: Callable[[int], bool]) -> None:
        """Go on with what an earlier run left.

        Args:
            answerer: finds the masks.
            is_there: whether the server has a task (still).
        """
        self._answerer, self._workspace, self._is_there = answerer, answerer.workspace, is_there
        self._jobs: dict[str, _Job] = {}
        for left in fillings(self._workspace):
            self._jobs[left.key] = _Job(left.model_copy(update={"looked_at": 0}), was_written=True)
        self._changed = threading.Condition()
        self._people, self._ends = 0, False
        self.num_failed = 0
        """Boxes that could not be filled to their end."""
        self._thread: threading.Thread | None = None
        with self._changed:
            self._give_up_old()
            self._wake()

    def begin(self, click: Click, answer: Answer) -> None:
        """Fill the other stills of a box; an earlier box of the same object on this page is over. Without other stills
        it was a still that somebody mended, which no box fills any more."""
        mine = (click.task.id, click.owner, click.identity)
        with self._changed:
            for job in list(self._jobs.values()):
                if (job.filling.task_id, job.filling.owner, job.filling.identity) == mine:
                    if answer.others:
                        self._forget(job)
                    else:
                        job.theirs.add(click.frame)
            self._give_up_old()
            if answer.others:
                job = _Job(_filling_of(click, answer))
                self._jobs[job.filling.key] = job
                self._write(job)
                self._wake()

    def of_click(self, click: Click) -> Taken:
        """What is ready of the object that somebody clicked, for their page. Of no other: a page gives every mask of an
        answer the label that is chosen there."""
        mine = (click.task.id, click.owner, click.identity)
        with self._changed:
            for job in list(self._jobs.values()):
                if (job.filling.task_id, job.filling.owner, job.filling.identity) == mine:
                    regions = self._take(job, click.task, click.on, says_what_it_got=False)
                    return Taken(regions, _progress(job) if job.filling.key in self._jobs else None)
            return Taken([], None)

    def of_box(self, task: Task, asked: FillingAsked) -> Taken:
        """What is ready of one box, and again what the page did not get. Nothing where it is not known (any more)."""
        with self._changed:
            job = self._jobs.get(asked.key)
            if job is None or job.filling.task_id != task.id:
                return Taken([], None)
            if asked.part == job.part:
                job.given.clear()
            regions = self._take(job, task, task.page_of(job.filling.owner), says_what_it_got=True)
            return Taken(regions, _progress(job) if asked.key in self._jobs else None)

    @contextmanager
    def people_first(self) -> Iterator[None]:
        """While somebody waits for a click no further still is begun."""
        with self._changed:
            self._people += 1
        try:
            yield
        finally:
            with self._changed:
                self._people -= 1
                self._changed.notify_all()

    def count(self) -> tuple[int, int]:
        """Boxes that are worked at in turn, and boxes that wait for them."""
        with self._changed:
            left = sum(not job.is_done for job in self._jobs.values())
        return min(left, _AT_ONCE), max(0, left - _AT_ONCE)

    def wait(self, timeout_s: float) -> bool:
        """Until all stills were looked at; False if they were not in that time."""
        with self._changed:
            return self._changed.wait_for(lambda: all(job.is_done for job in self._jobs.values()), timeout_s)

    def close(self) -> None:
        """End the thread after the still that it is at. What is left is kept for the next start."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _wake(self) -> None:
        if self._thread is None and self._jobs and not self._ends:
            self._thread = threading.Thread(target=self._work, daemon=True, name="fills")
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        turn = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ends or (not self._people and self._open()))
                if self._ends:
                    return
                turn += 1
                job = self._open()[turn % len(self._open())]
            self._step(job)

    def _open(self) -> list[_Job]:
        return [job for job in self._jobs.values() if not job.is_done][:_AT_ONCE]

    def _step(self, job: _Job) -> None:
        """One more still of a box."""
        filling, step, ended = job.filling, None, True
        try:
            if job.steps is None:
                if not self._is_there(filling.task_id):
                    with self._changed:
                        self._forget(job)
                    return
                job.steps = self._answerer.others(
                    filling.clip_id, filling.identity, filling.frame, _first(filling), filling.wanted
                )
            step = next(job.steps, None)
            ended = step is None
        except AvisError as error:  # `annotate status` tells it
            self.num_failed += 1
            what = f"the other stills of {filling.identity} cannot be filled"
            logger.warning("clip=%s: %s: %s", filling.clip_id, what, error)
        except Exception:  # of an engine: it costs this box, never all later ones
            self.num_failed += 1
            logger.exception("clip=%s: the other stills of %s cannot be filled", filling.clip_id, filling.identity)
        with self._changed:
            if self._jobs.get(filling.key) is not job:  # given up meanwhile
                return
            if step is not None and step[0] in filling.wanted:
                looked_at = job.filling.looked_at + 1
                job.filling = job.filling.model_copy(update={"looked_at": min(looked_at, len(filling.wanted))})
                if step[1] is not None:
                    job.ready[step[0]] = step[1]
            if ended:
                job.is_done, job.steps = True, None
                job.filling = job.filling.model_copy(update={"looked_at": len(filling.wanted)})
            self._tell(job)
            self._changed.notify_all()

    def _take(self, job: _Job, task: Task, page: PageRegions, *, says_what_it_got: bool) -> list[Region]:
        """What of a box is ready, or was given and not got, but where a hand was on the page."""
        on_page = OnPage(job.filling.identity, page, task.data)
        is_there = on_page.mask(job.filling.frame) is not None
        if job.was_seen and not is_there:  # somebody took the object away: the rest is not wanted
            self._forget(job)
            return []
        job.was_seen = job.was_seen or is_there
        job.ready.update(job.given)
        masks = [job.ready.pop(frame) for frame in sorted(job.ready)[:_MOST_IN_AN_ANSWER]]
        made = read_made(self._workspace, job.filling.clip_id) if masks else []
        wanted = []
        for mask in masks:
            there = on_page.mask(mask.frame)
            is_theirs = mask.frame in job.theirs or is_by_hand(there, mask.frame, made)
            if not is_theirs and not _is_same(there, mask.rle):
                wanted.append(mask)
        job.given = {mask.frame: mask for mask in wanted} if says_what_it_got else {}
        job.part += bool(wanted)
        if job.is_done and not job.ready and not job.given:
            self._forget(job)
        return self._answerer.prediction(on_page, job.filling.identity, wanted).result

    def _give_up_old(self) -> None:
        oldest = (datetime.now(UTC) - _KEPT).isoformat(timespec="seconds")
        for job in [job for job in self._jobs.values() if job.filling.began_at < oldest]:
            self._forget(job)

    def _forget(self, job: _Job) -> None:
        self._jobs.pop(job.filling.key, None)
        filling_path(self._workspace, job.filling.clip_id, job.filling.key).unlink(missing_ok=True)
        self._changed.notify_all()

    def _tell(self, job: _Job) -> None:
        """Write down how far a box is. Whose file is gone was removed with its clip."""
        path = filling_path(self._workspace, job.filling.clip_id, job.filling.key)
        if job.was_written and not path.exists():
            self._forget(job)
        elif job.is_done or time.monotonic() - job.told_at >= _TOLD_S:
            self._write(job)

    def _write(self, job: _Job) -> None:
        job.told_at = time.monotonic()
        path = filling_path(self._workspace, job.filling.clip_id, job.filling.key)
        try:
            write_json(path, job.filling.model_dump(mode="json"))
            job.was_written = True
        except OSError as error:  # a full disk: the box is filled all the same, unless we are killed
            logger.warning("%s cannot be written (%s)", path.name, error)


def _filling_of(click: Click, answer: Answer) -> Filling:
    rle = encode(answer.first.mask_HW)
    return Filling(
        key=uuid.uuid4().hex,
        task_id=click.task.id,
        clip_id=click.clip_id,
        owner=click.owner,
        identity=click.identity,
        frame=click.frame,
        height=rle.height,
        width=rle.width,
        counts=rle.counts,
        confidence=answer.first.confidence,
        wanted=answer.others,
        began_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _first(filling: Filling) -> Found:
    """The mask on the still of a box. Raises DataError where its file was damaged."""
    mask_HW = np.asarray(decode(Rle(filling.height, filling.width, filling.counts))).astype(np.bool_)
    return Found(mask_HW=mask_HW, confidence=filling.confidence)


def _progress(job: _Job) -> dict[str, object]:
    return {"key": job.filling.key, "part": job.part, "left": job.left, "says": job.filling.words()}


def _is_same(current: Rle | None, mask: Rle) -> bool:
    return current is not None and mask_sha256(current) == mask_sha256(mask)
