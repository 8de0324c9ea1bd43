"""The ffmpeg program: which one is used, and how it is run so that it always ends."""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from avis_data.errors import ItemError, Reason, ToolError
from avis_data.platforms import not_on_windows

__all__ = ["FFMPEG_VARIABLE", "Ffmpeg", "FfmpegLog", "find_ffmpeg", "local_file", "run_ffmpeg", "stream_ffmpeg"]

FFMPEG_VARIABLE = "AVIS_DATA_FFMPEG"
"""Environment variable that names the program to use."""

_TAIL_BYTES = 4096
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
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
        timeout_s: seconds of wall clock after which it is killed.
        source: name of the input, for messages.

    Raises:
        ItemError: `timeout`, `disk_full`, or `bad_media` with the last lines that ffmpeg wrote.
        ToolError: if the program cannot be started.
    """
    command = [arguments[0], *_GLOBAL, *arguments[1:]]
    with tempfile.TemporaryFile() as log:
        code = _run_to_end(command, cwd=cwd, timeout_s=timeout_s, log=log, source=source)
        found = _read_log(log)
    if "No space left on device" in found.tail:
        raise ItemError(f"{source}: the disk is full; free some space, then run again", reason=Reason.DISK_FULL)
    if code != 0:
        raise ItemError(f"{source}: ffmpeg ended with code {code}: {found.tail}", reason=Reason.BAD_MEDIA)
    return found


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
        ItemError: `timeout`, or `bad_media` with the last lines that ffmpeg wrote.
        ToolError: if the program cannot be started.
    """
    command = [arguments[0], *_GLOBAL, *arguments[1:]]
    with tempfile.TemporaryFile() as log:
        process = _started(command, cwd=cwd, stdout=subprocess.PIPE, log=log)
        assert process.stdout is not None
        try:
            while len(piece := _filled(process.stdout, piece_bytes, timeout_s, source)) == piece_bytes:
                yield piece
            code = process.wait(timeout_s)
        finally:
            _kill(process)
            process.stdout.close()
        if code != 0:
            raise ItemError(f"{source}: ffmpeg ended with code {code}: {_read_log(log).tail}", reason=Reason.BAD_MEDIA)


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


def _run_to_end(command: Sequence[str], *, cwd: Path, timeout_s: float, log: IO[bytes], source: str) -> int:
    process = _started(command, cwd=cwd, stdout=subprocess.DEVNULL, log=log)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise ItemError(f"{source}: ffmpeg was not done after {timeout_s:.0f} s", reason=Reason.TIMEOUT) from None
    finally:
        _kill(process)


def _started(command: Sequence[str], *, cwd: Path, stdout: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        raise not_on_windows("decoding video and sound")
    try:
        return subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be started: {error}", hint="avis-data doctor") from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform != "win32" and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes ffmpeg. The library is loaded here: after the fork it would not be safe."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return arrange


def _read_log(log: IO[bytes]) -> FfmpegLog:
    errors = corrupt = blocks = changes = 0
    tail = b""
    log.seek(0)
    for line in log:
        changes += b"hanging video frame properties on the fly" in line
        corrupt += b"corrupt decoded frame" in line
        if b"[error]" in line or b"[fatal]" in line:
            errors += 1
            blocks += b"error while decoding MB" in line or b"Error at MB" in line
            tail = (tail + line)[-_TAIL_BYTES:]
    text = tail.decode(errors="replace").strip()
    # With several decoding threads, ffmpeg 5.1 does not always learn that a picture is corrupt; the decoder says it.
    return FfmpegLog(
        num_errors=errors,
        num_concealed=max(corrupt, blocks),
        changes_form=changes > 0,
        tail="\n".join(text.splitlines()[-6:]),
    )
