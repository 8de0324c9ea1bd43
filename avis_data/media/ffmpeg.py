"""The ffmpeg program: which one is used, and how it is run so that it always ends."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import IO

from avis_data.errors import Fault, ItemError, Reason, ToolError, fault_of, fault_of_code, raise_fault
from avis_data.io import ask_folder, raise_unreadable
from avis_data.platforms import WorkClock, die_with_parent, not_on_windows

__all__ = [
    "FFMPEG_VARIABLE",
    "Ffmpeg",
    "FfmpegLog",
    "find_ffmpeg",
    "local_file",
    "raise_passing_end",
    "run_ffmpeg",
    "stream_ffmpeg",
]

FFMPEG_VARIABLE = "AVIS_DATA_FFMPEG"
"""Environment variable that names the program to use."""

_TAIL_BYTES = 4096
_LAST_WORDS_S = 10.0
_LOOK_EVERY_S = 0.5
_OF_INPUTS_TOO = {errno.EPERM, errno.EIO, errno.ENODEV, errno.ENXIO}
"""What ffmpeg says of damaged media as well; then the system is asked."""
_TOLD_IN_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE)
_TOLD = (*_TOLD_IN_PASSING, errno.ENFILE, errno.EACCES, errno.ENOMEM)
_GLOBAL = ("-nostdin", "-hide_banner", "-y", "-loglevel", "level+warning", "-filter_threads", "1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ffmpeg:
    """One ffmpeg program."""

    program: str
    """Absolute path."""
    version: str
    """What it calls its version: `5.1.9-0+deb12u1`, `n9.0.2`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FfmpegLog:
    """What a run that ended with exit code 0 had to say."""

    num_errors: int
    """Lines at level error: decoders go on after most of them."""
    num_concealed: int
    """Pictures that came out of the decoder with parts made up."""
    changes_form: bool
    """Whether the pictures change size or pixel format on the way."""
    tail: str
    """The last lines at level error."""


def find_ffmpeg() -> Ffmpeg:
    """The ffmpeg to use: the one that `AVIS_DATA_FFMPEG` names, else the system's, else the wheel's.

    Raises:
        ToolError: if there is none, or the one named does not run.
    """
    named = os.environ.get(FFMPEG_VARIABLE)
    program = shutil.which(named or "ffmpeg")
    if named and program is None:
        raise ToolError(f"{FFMPEG_VARIABLE}={named}: no such program", hint=f"unset {FFMPEG_VARIABLE}")
    return _identified(program or _wheel_program())


def run_ffmpeg(arguments: Sequence[str], *, cwd: Path, timeout_s: float, source: str) -> FfmpegLog:
    """Run one ffmpeg command to its end.

    It runs in a process group of its own; Ctrl-C, any other exception and the timeout kill the whole group, and on
    Linux the kernel kills it when the calling thread dies, however that happens.

    Args:
        arguments: the command as `ffmpeg-python` compiles it, the program first.
        cwd: folder that relative output names refer to.
        timeout_s: seconds of processor time, or of doing nothing, after which it is killed.
        source: name of the input, for messages.

    Raises:
        ItemError: `timeout`, `worker_died`, a fault of the machine (`disk_full`, `no_access` and others), or
            `bad_media` with the last lines that ffmpeg wrote.
        ToolError: if the program cannot be started.
    """
    with _running(arguments, cwd=cwd, stdout=subprocess.DEVNULL) as (process, log):
        clock = WorkClock(process.pid, timeout_s)
        while (code := _ended(process)) is None:
            if fault := clock.fault():
                raise ItemError(f"{source}: ffmpeg {fault}", reason=Reason.TIMEOUT)
    found = log.read()
    _check_end(code, found.tail, arguments, source=source, written=cwd)
    return found


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return None


def stream_ffmpeg(
    arguments: Sequence[str], *, piece_bytes: int, cwd: Path, timeout_s: float, source: str
) -> Generator[bytearray]:
    """Run one ffmpeg command that writes to its standard output, and give that in pieces of equal size.

    It runs as in `run_ffmpeg`, no faster than the pieces are taken, and is killed when the iterator is closed.

    Args:
        arguments: the command as `ffmpeg-python` compiles it, the program first, `pipe:1` as its output.
        piece_bytes: size of a piece; what is left at the end and fills none is dropped.
        cwd: folder that relative names refer to.
        timeout_s: the longest wait for the next bytes, after which it is killed.
        source: name of the input, for messages.

    Raises:
        ItemError: as `run_ffmpeg`.
        ToolError: if the program cannot be started.
    """
    with _running(arguments, cwd=cwd, stdout=subprocess.PIPE) as (process, log):
        pipe = process.stdout
        assert pipe is not None
        with pipe:
            while len(piece := _filled(pipe, piece_bytes, timeout_s, source)) == piece_bytes:
                yield piece
            code = process.wait(timeout_s)
    if code != 0:
        _check_end(code, log.read().tail, arguments, source=source, written=None)


def raise_passing_end(
    code: int, words: str, arguments: Sequence[str], *, source: str, written: Path | None = None
) -> None:
    """Raise why an ffmpeg command ended badly if that passes: codes first, then what the system says, then its words.

    A code is the signal that ended it, or, of newer versions, 256 less an errno (228: no space); older ones know 1.

    Args:
        code: the return code.
        words: what it said at level error, if anything.
        arguments: the command.
        source: name of the input, for messages.
        written: the folder that was written into.

    Raises:
        ItemError: `worker_died`, or a fault of the machine.
    """
    died = _signal_of(code, words)
    if died is not None and died.name == "SIGXFSZ":
        raise ItemError(f"{source}: the result grew beyond ulimit -f", reason=Reason.DISK_FULL)
    if died is not None:
        message = f"{source}: ffmpeg was ended by {died.name}: no memory, a crash, or somebody ended it"
        raise ItemError(message, reason=Reason.WORKER_DIED)
    fault = fault_of_code(256 - code) if 256 - code not in _OF_INPUTS_TOO else None
    fault = fault or _system_answer(code, words, arguments, written) or _told(code, words)
    if fault is not None:
        raise ItemError(f"{source}: {fault.message}, then run again", reason=fault.reason)


def local_file(path: Path) -> str:
    """The path as an ffmpeg input that is a file whatever its name looks like (`-x.mp4`, `a:b.mp4`)."""
    return f"file:{path.absolute()}"


def _wheel_program() -> str:
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ToolError(f"no ffmpeg: {error}", hint="pip install imageio-ffmpeg, or apt-get install ffmpeg") from None


@cache
def _identified(program: str) -> Ffmpeg:
    try:
        first = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"{program} does not run: {error}", hint=f"name another one with {FFMPEG_VARIABLE}") from None
    words = first.split()
    if words[:2] != ["ffmpeg", "version"]:
        raise ToolError(f"{program} is no ffmpeg (it says {first[:60]!r})", hint=f"correct {FFMPEG_VARIABLE}")
    return Ffmpeg(program=program, version=words[2])


@contextmanager
def _running(
    arguments: Sequence[str], *, cwd: Path, stdout: int
) -> Iterator[tuple[subprocess.Popen[bytes], _LogReader]]:
    """A process and what it says; it is dead afterwards, with all that it started."""
    process = _started([arguments[0], *_GLOBAL, *arguments[1:]], cwd=cwd, stdout=stdout)
    try:
        yield process, _LogReader(process)
    finally:
        if sys.platform != "win32" and process.poll() is None:  # Windows never comes here: nothing was started
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _started(command: Sequence[str], *, cwd: Path, stdout: int) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        raise not_on_windows("decoding video and sound")
    try:
        return subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
    except BlockingIOError as error:  # of fork: no process more for this account
        message = f"{command[0]} cannot be started: {error.strerror}; use fewer --workers, or raise ulimit -u"
        raise ItemError(message, reason=Reason.LIMIT_REACHED) from None
    except OSError as error:
        raise_fault(error)
        raise ToolError(f"{command[0]} cannot be started: {error}", hint="avis-data doctor") from None


def _check_end(code: int, words: str, arguments: Sequence[str], *, source: str, written: Path | None) -> None:
    raise_passing_end(code, words, arguments, source=source, written=written)
    if code != 0:
        raise ItemError(f"{source}: ffmpeg ended with code {code}: {words}", reason=Reason.BAD_MEDIA)


def _signal_of(code: int, words: str) -> signal.Signals | None:
    """The signal that ended the program, or its own child where it is a script."""
    if code == 255 and (not words or "received signal" in words):  # ffmpeg's own answer to a polite end
        return signal.SIGTERM
    number = -code if code < 0 else code - 128
    if sys.platform == "win32":
        return None
    if code < 0 or number in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGXFSZ):
        return signal.Signals(number)
    return None


def _system_answer(code: int, words: str, arguments: Sequence[str], written: Path | None) -> Fault | None:
    """What the system says of the folder and, where something went wrong, of the files that were read.

    ffmpeg itself does not tell all: it ends well where the list of pictures that a filter notes found no room.
    """
    went_wrong = code != 0 or words != ""
    try:
        if written is not None:
            ask_folder(written, flush=went_wrong)
        for mark, name in pairwise(arguments) if went_wrong else ():
            path = Path(name.removeprefix("file:"))
            if mark == "-i" and path.is_file():
                raise_unreadable(None, path)
    except OSError as error:
        return fault_of(error)
    return None


def _told(code: int, words: str) -> Fault | None:
    for line in reversed(words.splitlines()):
        for number in _TOLD if code else _TOLD_IN_PASSING:
            if line.endswith(os.strerror(number)):
                return fault_of_code(number)
    return None


def _filled(pipe: IO[bytes], size: int, timeout_s: float, source: str) -> bytearray:
    """The next `size` bytes; fewer at the end."""
    if sys.platform == "win32":
        raise not_on_windows("decoding video and sound")
    piece = bytearray(size)
    view, number = memoryview(piece), 0
    while number < size:
        if not select.select([pipe], [], [], timeout_s)[0]:
            raise ItemError(f"{source}: ffmpeg gave nothing for {timeout_s:.0f} s", reason=Reason.TIMEOUT)
        read = os.readv(pipe.fileno(), [view[number:]])
        if not read:
            view.release()
            return piece[:number]
        number += read
    view.release()
    return piece


class _LogReader:
    """Takes what ffmpeg says as it says it. A file could not: the disk that is full for the result is full for it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self._pipe = process.stderr
        self._errors = self._corrupt = self._blocks = self._changes = 0
        self._tail = b""
        self._thread = threading.Thread(target=self._take, daemon=True, name="what ffmpeg says")
        self._thread.start()

    def read(self) -> FfmpegLog:
        """All that was said; the process has ended."""
        self._thread.join(_LAST_WORDS_S)
        text = self._tail.decode(errors="replace").strip()
        # With several decoding threads, ffmpeg 5.1 does not always learn that a picture is corrupt; the decoder does.
        return FfmpegLog(
            num_errors=self._errors,
            num_concealed=max(self._corrupt, self._blocks),
            changes_form=self._changes > 0,
            tail="\n".join(text.splitlines()[-6:]),
        )

    def _take(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._changes += b"hanging video frame properties on the fly" in line
                self._corrupt += b"corrupt decoded frame" in line
                if b"[error]" in line or b"[fatal]" in line:
                    self._errors += 1
                    self._blocks += b"error while decoding MB" in line or b"Error at MB" in line
                    self._tail = (self._tail + line)[-_TAIL_BYTES:]
