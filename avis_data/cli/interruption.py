"""Ctrl-C and a polite end by the system (SIGTERM), at any moment of a command: it ends clean, with exit code 130.

While a command starts there is nothing to clean up, and it ends at once. While it runs the signal becomes
`KeyboardInterrupt`, which `finally` blocks see; when it has ended, what was done is done.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["INTERRUPTED", "begin", "end", "heed_signals", "is_on_its_way", "taken"]

INTERRUPTED = "avis-data: interrupted; run the same command again to go on"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MOMENT_S = 0.05
_SWALLOWED_S = 1.0

_STARTS = {
    "start": ("multiprocessing/process.py", "/threading.py"),
    "submit": ("concurrent/futures/thread.py",),
    "_start_pool": ("pebble/pool/process.py",),
}
"""Functions of Python and pebble that start threads and processes, and the ends of their files."""

_running = False
_asked = False
_on_its_way = False


def heed_signals() -> None:
    """From now on the process ends in words. A signal that whoever started us has ignored (nohup) stays ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, _on_alarm)
    sys.unraisablehook = _tell_unraisable


def begin() -> None:
    """The command starts its work: from now on there may be something to clean up."""
    global _running
    _running = True


def is_on_its_way() -> bool:
    """True from a signal on until `taken`: what goes wrong then goes wrong because the signal ended it too."""
    return _on_its_way


def taken() -> None:
    """Say that the interruption has arrived, where it is caught and the command goes on to its end."""
    global _on_its_way
    _on_its_way = False
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, 0)


def end() -> None:
    """The command has ended: its exit code stands, whatever arrives now. No process that it started lives on."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    taken()
    if "multiprocessing" in sys.modules:
        from multiprocessing import active_children

        for child in active_children():
            child.kill()


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _asked, _on_its_way
    if not _running:
        os.write(2, f"{INTERRUPTED}\n".encode())
        os._exit(130)
    if not _asked:  # a second one changes nothing: the first is on its way
        _asked = _on_its_way = True
        _raise(frame)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    """The interruption waited for something to be whole, or somebody has swallowed it: then it comes again."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    if error is None:
        _raise(frame)
    elif sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, _SWALLOWED_S)


def _raise(frame: FrameType | None) -> None:
    """Raise, unless that would leave something half made; then look again in a moment."""
    if sys.platform != "win32":
        if _is_in_the_middle(frame):
            signal.setitimer(signal.ITIMER_REAL, _MOMENT_S)
            return
        signal.setitimer(signal.ITIMER_REAL, _SWALLOWED_S)
    raise KeyboardInterrupt


def _is_in_the_middle(frame: FrameType | None) -> bool:
    """Whether a module is being imported (what it does then may catch everything), or a thread or process started.

    A process that is half told what to do says so with a traceback, and for a thread of a pool that is half started
    nobody waits.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib"):
            return True
        if code.co_name in _STARTS and code.co_filename.endswith(_STARTS[code.co_name]):
            return True
        frame = frame.f_back
    return False


def _tell_unraisable(found: sys.UnraisableHookArgs) -> None:
    """Nothing once an interruption is on its way: one that met a destructor comes again.

    A reader of the ledger that was left in the middle, whose ledger is closed already, has nothing to tell.
    """
    if not _asked:
        sys.__unraisablehook__(found)
