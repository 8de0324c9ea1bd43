"""The errors that a person is meant to read, and the closed list of reasons for which an item may fail."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

__all__ = [
    "AvisError",
    "BusyError",
    "ConfigError",
    "DataError",
    "ExitCode",
    "ItemError",
    "Problem",
    "ProblemsError",
    "Reason",
    "ToolError",
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
