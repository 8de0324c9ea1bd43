"""Faults of the machine as a test can have them: limits of size and of open files, a full or read-only disk, a kill.

Each is a context manager in which the fault holds for this process and what it starts; `pytest.skip` says why where
this account cannot have it.
"""

from __future__ import annotations

import errno
import os
import resource
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from avis_data.media.ffmpeg import FFMPEG_VARIABLE

__all__ = ["CODES", "SIGNALS", "FakeFfmpeg", "full_disk", "no_more_files", "quota", "read_only", "small_disk"]


@contextmanager
def quota(largest_bytes: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as under a quota or `ulimit -f`; ffmpeg and native libraries included."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_more_files(more: int) -> Iterator[None]:
    """At most so many files may be opened besides those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        while len(held) < more:
            held.append(os.open(os.devnull, os.O_RDONLY))
        free = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free: the limit is one of numbers
        os.close(free)
        for handle in held:
            os.close(handle)
        held.clear()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for handle in held:
            os.close(handle)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in the folder may be changed: by its mode, or for root, whom no mode stops, by a mount of its own."""
    if os.geteuid() != 0:
        before = folder.stat().st_mode
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            yield
        finally:
            folder.chmod(before)
        return
    with _mounted(["--bind", str(folder)], folder):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """A disk of so many kilobytes at the folder."""
    folder.mkdir(exist_ok=True)
    with _mounted(["-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs"], folder):
        yield folder


@contextmanager
def full_disk(folder: Path, *, left_kb: int, temporary: bool) -> Iterator[None]:
    """The disk of the folder holds so many kilobytes more; the folder for temporary files lies on it, or not."""
    filler, before = folder / "filler", tempfile.tempdir
    free = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - left_kb * 1024))
    if temporary:
        tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        filler.unlink()


@contextmanager
def _mounted(arguments: list[str], folder: Path) -> Iterator[None]:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting a disk of its own needs root on Linux")
    if subprocess.run(["mount", *arguments, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk of its own needs a right that this container does not have")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class FakeFfmpeg:
    """A program in the place of ffmpeg that ends as it is told to, after a word or in silence."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch, self._count = folder, monkeypatch, 0

    def __call__(self, end: str) -> AbstractContextManager[None]:
        """`end` is a line of shell: `exit 228`, `kill -9 $$`."""
        self._count += 1
        program = self._folder / f"ffmpeg-{self._count}"  # another name each time: versions are asked for once
        version = '[ "$1" = -version ] && echo "ffmpeg version 0 stand-in" && exit 0'
        program.write_text(f"#!/bin/sh\n{version}\n: > {shlex.quote(str(self._run))}\n{end}\n")
        program.chmod(0o755)
        return self._instead(program)

    @property
    def was_run(self) -> bool:
        """Whether anybody ran it for more than its version."""
        return self._run.exists()

    @property
    def _run(self) -> Path:
        return self._folder / "ffmpeg-was-run"

    @contextmanager
    def _instead(self, program: Path) -> Iterator[None]:
        with self._monkeypatch.context() as patched:
            patched.setenv(FFMPEG_VARIABLE, str(program))
            yield


CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What newer versions of ffmpeg end with: 256 less one of these."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGXFSZ, signal.SIGSEGV, signal.SIGABRT)
