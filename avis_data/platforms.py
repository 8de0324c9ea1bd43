"""Where Linux, macOS and Windows differ: what a process has used, and what cannot be done on Windows at all."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from avis_data.errors import ToolError

__all__ = [
    "WINDOWS_ADVICE",
    "WorkClock",
    "become_worker",
    "die_with_parent",
    "map_in_workers",
    "no_interrupt",
    "not_on_windows",
    "peak_memory_mb",
    "used_cpu_s",
]

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
WINDOWS_ADVICE = "use the Windows Subsystem for Linux: wsl --install, then install avis-data in it"


def not_on_windows(what: str, *, hint: str = WINDOWS_ADVICE) -> ToolError:
    """The error of what needs signals, sessions or pipes as Linux and macOS have them.

    Args:
        what: what was asked for, as the beginning of a sentence: `running stages`.
        hint: what to do instead.
    """
    return ToolError(f"{what} needs Linux or macOS, this is Windows", hint=hint)


def die_with_parent() -> Callable[[], None] | None:
    """What a child does between fork and exec (`preexec_fn`), so that Linux kills it when the thread that forks ends.

    The library is loaded here: after the fork it would not be safe. None where the system cannot.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return arrange


def become_worker(parent: int) -> None:
    """What a worker process does first: it leaves Ctrl-C to process `parent`, which started it, and ends with it.

    Also where that is ended by kill -9: Linux then kills the worker; elsewhere a thread of it waits at the pipe whose
    other end only the parent holds.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_exit_after_parent, daemon=True, name="end with the parent").start()
    if sys.platform != "win32" and os.getppid() != parent:  # it was gone before
        os._exit(1)


def _exit_after_parent() -> None:
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Threads and processes started in here never see Ctrl-C, which reaches the whole group: we end the workers."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def map_in_workers(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, at_once: int = 1
) -> Iterator[Result]:
    """The results of work on items, in their order, from so many processes, which end with this iterator.

    Spawned, not forked: a forked process would inherit the threads of other libraries, and their locks.

    Args:
        work: a function that can be pickled.
        items: what it is called with.
        workers: the number of processes.
        at_once: items that a process is given together.

    Raises:
        ToolError: if a process dies.
        Exception: what the work raises.
    """
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import active_children, get_context

    from pebble import ProcessExpired, ProcessPool

    others = set(active_children())
    spawn: Any = get_context("spawn")  # the types of Windows' pipes and pebble's idea of them do not meet
    pool = ProcessPool(workers, initializer=become_worker, initargs=(os.getpid(),), context=spawn)
    try:
        with no_interrupt():
            results: Iterator[Result] = pool.map(work, items, chunksize=at_once).result()
        yield from results
    except (ProcessExpired, BrokenProcessPool) as error:  # in its work, or before it had any
        code = f" (exit code {error.exitcode})" if isinstance(error, ProcessExpired) else ""
        message = f"a worker process died{code}: no memory, or a crash in a library"
        raise ToolError(message, hint="run it again with --workers 1") from None
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble declares types for the rest only
        for worker in set(active_children()) - others:  # one that is starting would tell a polite end by a traceback
            worker.kill()
        pool.join()


def used_cpu_s() -> float:
    """Processor time in seconds that this process and its ended children have used; on Windows without the children."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


class WorkClock:
    """Tells work that does not end from a machine that is busy: it runs on what a process does, not on the time of day.

    Where the system does not say what another process has used (not Linux), it is the time of day after all.
    """

    def __init__(self, pid: int, limit_s: float, *, written: Callable[[], int] = lambda: 0) -> None:
        """Start it.

        Args:
            pid: the process, which counts with all that it has started.
            limit_s: of processor time; and for how long it may do nothing at all.
            written: how much it has written so far, in bytes; what grows is at work, also without the processor.
        """
        self._pid, self._limit_s, self._written = pid, limit_s, written
        self._first_s = self._last_s = _used_by(pid) or 0.0
        self._size = written()
        self._look_at = time.monotonic() + limit_s

    def fault(self) -> str | None:
        """Why the work should be ended, in words; None where it goes on."""
        now = time.monotonic()
        if now < self._look_at:
            return None
        used_s, size = _used_by(self._pid), self._written()
        if used_s is None:
            return f"was not done after {self._limit_s:.0f} s"
        if used_s - self._first_s >= self._limit_s:
            return f"took {used_s - self._first_s:.0f} s of processor time, more than the {self._limit_s:.0f} s it may"
        if used_s - self._last_s < _IDLE_SHARE * self._limit_s and size <= self._size:
            return f"did nothing for {self._limit_s:.0f} s"
        self._last_s, self._size, self._look_at = used_s, size, now + self._limit_s
        return None


_IDLE_SHARE = 0.005
"""Of one core; a process that gets less on a busy machine cannot be told from one that waits for ever."""


def _used_by(pid: int) -> float | None:
    """Processor time in seconds of a process and all below it; None where the system does not tell, or it has ended."""
    if sys.platform != "linux":
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        below = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    except OSError:
        return None
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # user, system, and both of ended children
    return own + sum(_used_by(int(child)) or 0.0 for child in below)


def peak_memory_mb() -> float:
    """The most memory that this process ever had in use, in 10^6 bytes; 0 on Windows, where nobody is asked."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes in what ru_maxrss counts
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
