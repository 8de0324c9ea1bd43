"""The errors that a person is meant to read, and the closed list of reasons for which an item may fail."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

__all__ = [
    "AvisError",
    "BusyError",
    "ConfigError",
    "DataError",
    "ExitCode",
    "Fault",
    "ItemError",
    "Problem",
    "ProblemsError",
    "Reason",
    "ToolError",
    "fault_of",
    "fault_of_code",
    "is_interruption",
    "raise_fault",
    "raise_interruption",
]


class ExitCode(IntEnum):
    """What the shell is told; documented in README and in `avis-data --help`."""

    OK = 0
    BUG = 1
    USAGE = 2
    BAD_INPUT = 3
    PARTIAL = 4
    MISSING_TOOL = 5
    INTERRUPTED = 130


class Reason(StrEnum):
    """Why an item failed. `permanent` says whether running again can help without a change from outside."""

    PRIVATE = "private"
    REMOVED = "removed"
    GEO_BLOCKED = "geo_blocked"
    AGE_RESTRICTED = "age_restricted"
    SIGN_IN_REQUIRED = "sign_in_required"
    BOT_CHECK = "bot_check"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    NETWORK = "network"
    NOT_LIVE_YET = "not_live_yet"
    DRM = "drm"
    UNSUPPORTED_URL = "unsupported_url"
    PRIVATE_HOST = "private_host"
    EXTRACTOR_BROKEN = "extractor_broken"
    TOO_LARGE = "too_large"
    UNKNOWN_DOWNLOAD = "unknown_download"
    EMPTY_FILE = "empty_file"
    NOT_MEDIA = "not_media"
    BAD_MEDIA = "bad_media"
    CORRUPT_MEDIA = "corrupt_media"
    DURATION_MISMATCH = "duration_mismatch"
    NO_VIDEO = "no_video"
    NO_TIME_STAMPS = "no_time_stamps"
    NO_AUDIO = "no_audio"
    AUDIO_SHORT = "audio_short"
    SPAN_OUTSIDE_VIDEO = "span_outside_video"
    SOURCE_MISSING = "source_missing"
    TORN_INPUT = "torn_input"
    DISK_FULL = "disk_full"
    DISK_ERROR = "disk_error"
    NO_ACCESS = "no_access"
    LIMIT_REACHED = "limit_reached"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    WORKER_DIED = "worker_died"
    MISSING_TOOL = "missing_tool"
    BUG = "bug"

    @property
    def retryable(self) -> bool:
        """True if the same item may succeed later with nothing changed by the user."""
        return self in _RETRYABLE


_RETRYABLE = {
    Reason.BOT_CHECK,
    Reason.RATE_LIMITED,
    Reason.SERVER_ERROR,
    Reason.NETWORK,
    Reason.NOT_LIVE_YET,
    Reason.SOURCE_MISSING,
    Reason.TORN_INPUT,
    Reason.DISK_FULL,
    Reason.DISK_ERROR,
    Reason.NO_ACCESS,
    Reason.LIMIT_REACHED,
    Reason.OUT_OF_MEMORY,
    Reason.TIMEOUT,
    Reason.WORKER_DIED,
    Reason.MISSING_TOOL,
}


class AvisError(Exception):
    """An expected error: says what is wrong and where; `hint` says what to do, as a command where there is one."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  hint: {self.hint}" if self.hint else message

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {"error": super().__str__(), "hint": self.hint, "exit_code": int(self.exit_code)}

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: what is wrong, and not where in our code it was found."""
        return f"{type(self).__name__}: {self}".splitlines()


class ConfigError(AvisError):
    """The command line, a recipe or a config does not say something that can be done."""

    exit_code = ExitCode.USAGE


class DataError(AvisError):
    """A file that was given does not hold what it should."""


class ToolError(AvisError):
    """A program, a package or a service that is needed is missing or does not answer."""

    exit_code = ExitCode.MISSING_TOOL


class BusyError(AvisError):
    """Another command is at work in the same workspace."""

    exit_code = ExitCode.MISSING_TOOL


class Problem:
    """One thing wrong in a file: where, which field, and what."""

    def __init__(self, where: str, field: str, message: str) -> None:
        self.where = where
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.field, self.message) if part)

    def as_dict(self) -> dict[str, str]:
        """The three parts, as `--json` prints them."""
        return {"where": self.where, "field": self.field, "message": self.message}


class ProblemsError(DataError):
    """Several things wrong in one file, reported together; the first `shown` of them are printed."""

    def __init__(self, message: str, problems: Sequence[Problem], *, hint: str | None = None, shown: int = 20) -> None:
        lines = [message, *(f"  {problem}" for problem in problems[:shown])]
        if len(problems) > shown:
            lines.append(f"  ... and {len(problems) - shown} more")
        super().__init__("\n".join(lines), hint=hint)
        self.problems = list(problems)


class ItemError(Exception):
    """One item cannot be done. Recorded in the ledger with its reason; the other items go on."""

    def __init__(self, message: str, *, reason: Reason) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:  # keyword-only arguments do not survive pickling by themselves
        return (_item_error, (self.message, self.reason))


def _item_error(message: str, reason: Reason) -> ItemError:
    return ItemError(message, reason=reason)


class Fault(NamedTuple):
    """A fault of the machine: it says nothing of the item or the file at hand, and passes when it is mended."""

    reason: Reason
    message: str
    """What the system says, where, and what to do."""
    code: int
    """The errno."""


_OF_CODE = {
    errno.ENOSPC: Reason.DISK_FULL,
    errno.EDQUOT: Reason.DISK_FULL,
    errno.EFBIG: Reason.DISK_FULL,  # a limit of size: of the file system, or `ulimit -f`
    errno.EIO: Reason.DISK_ERROR,
    errno.ENODEV: Reason.DISK_ERROR,
    errno.ENXIO: Reason.DISK_ERROR,
    errno.ESTALE: Reason.DISK_ERROR,
    errno.EROFS: Reason.NO_ACCESS,
    errno.EACCES: Reason.NO_ACCESS,
    errno.EPERM: Reason.NO_ACCESS,
    errno.EMFILE: Reason.LIMIT_REACHED,
    errno.ENFILE: Reason.LIMIT_REACHED,
    errno.ENOMEM: Reason.OUT_OF_MEMORY,
}
_ADVICE = {
    Reason.DISK_FULL: "make room on the disk, or raise the quota",
    Reason.DISK_ERROR: "see whether the disk is well and still mounted",
    Reason.NO_ACCESS: "give this account the right to it, or mount it for writing",
    Reason.LIMIT_REACHED: "raise the limit of open files (ulimit -n), or use fewer --workers",
    Reason.OUT_OF_MEMORY: "use fewer --workers, or a machine with more memory",
}
_NAMES_A_FILE = {errno.EACCES, errno.EPERM}
"""Without the name of a file they come from elsewhere: a firewall answers so."""
_NOT_OF_A_DECODER = {errno.EPERM, errno.EIO, errno.ENODEV, errno.ENXIO}
"""ffmpeg's libraries say these of damaged media too: only the system's own word counts."""
_CODE_IN_WORDS = re.compile(r"(?:os error|Error code) (\d+)")
_ONLY_WORDS = {"builtins", "safetensors_rust", "safetensors._safetensors_rust"}
"""Where safetensors' errors and PyTorch's RuntimeError come from: libraries that put the code into the text."""


def fault_of_code(code: int | None, where: str = "") -> Fault | None:
    """The fault that an errno stands for; None for one that may as well be the item's."""
    reason = _OF_CODE.get(code or 0)
    if code is None or reason is None:
        return None
    return Fault(reason, f"{where}{': ' if where else ''}{os.strerror(code)}; {_ADVICE[reason]}", code)


def fault_of(error: BaseException) -> Fault | None:
    """The fault of the machine that is behind an exception, from codes and types; no other text is looked at.

    The exceptions that it was made of, or that were at hand when it was raised, are asked too.
    """
    for found in _behind(error):
        if isinstance(found, OSError):
            fault = _fault_of_system(found)
        elif isinstance(found, MemoryError) or type(found).__name__ == "OutOfMemoryError":  # PyTorch's
            fault = fault_of_code(errno.ENOMEM)
        elif number := _CODE_IN_WORDS.search(str(found)) if type(found).__module__ in _ONLY_WORDS else None:
            fault = fault_of_code(int(number[1]))
        else:
            fault = None
        if fault is not None:
            return fault
    return None


def is_interruption(error: BaseException) -> bool:
    """Whether an error came up while an interruption was cleaning up: then the interruption is what is to be told.

    It may come between the lines of any library's cleaning, as between closing a file and noting that it is closed.
    """
    return any(isinstance(found, KeyboardInterrupt) for found in _behind(error))


def raise_interruption(error: BaseException) -> None:
    """Go on with an interruption that is behind `error`, which is nobody's fault then."""
    if is_interruption(error):
        raise KeyboardInterrupt from None


def raise_fault(error: BaseException) -> None:
    """Raise the machine's own error where it is behind `error`: then the file at hand is not to blame."""
    for found in _behind(error):
        if isinstance(found, MemoryError) or (isinstance(found, OSError) and _fault_of_system(found)):
            raise found


def _fault_of_system(error: OSError) -> Fault | None:
    if error.errno in _NAMES_A_FILE and error.filename is None:
        return None
    if error.errno in _NOT_OF_A_DECODER and type(error).__module__.startswith("av."):
        return None
    return fault_of_code(error.errno, str(error.filename or ""))


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that led to it, the nearest first; yt-dlp and urllib keep theirs elsewhere."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        kept = getattr(found, "exc_info", None) or ()
        others = (*kept, *(getattr(found, name, None) for name in ("cause", "reason", "__cause__", "__context__")))
        waiting += [other for other in others if isinstance(other, BaseException)]
