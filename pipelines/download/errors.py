"""Why a download failed: yt-dlp's exceptions and messages as one of our reasons."""

from __future__ import annotations

import re

from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessorError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)

from avis_data.errors import Reason, fault_of
from avis_data.log import redact
from avis_data.pipelines.download.addresses import PrivateHostError
from avis_data.pipelines.download.partial_files import OtherFileError

__all__ = ["message_of", "reason_of", "retry_after_s"]

_HTTP_STATUS = {
    401: Reason.SIGN_IN_REQUIRED,
    403: Reason.FORBIDDEN,
    404: Reason.REMOVED,
    408: Reason.NETWORK,
    410: Reason.REMOVED,
    429: Reason.RATE_LIMITED,
    451: Reason.GEO_BLOCKED,
}

_PATTERNS: tuple[tuple[Reason, str], ...] = (
    # The order matters: "Sign in to confirm you're not a bot" is no plain sign-in, and a video of a closed
    # account is removed although its message begins with "Video unavailable".
    (Reason.BOT_CHECK, r"not a bot|captcha|unusual traffic|anti-bot challenge|cloudflare"),
    (Reason.RATE_LIMITED, r"rate.?limited|too many requests|try again later"),
    (Reason.AGE_RESTRICTED, r"confirm your age|age.?restricted|age.?verif|inappropriate for some users|age limit"),
    (Reason.PRIVATE, r"\bprivate\b|owner has not granted|not been made public"),
    (
        Reason.SIGN_IN_REQUIRED,
        r"members.?only|join this channel|sign in|log ?in|logged.in|registered users|subscribers?\b|requires? payment"
        r"|premium|purchase|rent(ed|al)\b|account credentials|authentication",
    ),
    (
        Reason.GEO_BLOCKED,
        r"in your (country|location|region)|from your location|geo.?restrict|not available in .{0,40}(country|region)",
    ),
    (Reason.DRM, r"\bDRM\b"),
    (
        Reason.NOT_LIVE_YET,
        r"premieres? (in|will begin)|live event will begin|not currently live|is offline|has not started|starts? in \d"
        r"|is live\b|recording is not available",
    ),
    (
        Reason.UNSUPPORTED_URL,
        r"unsupported url|not a valid url|no suitable extractor|no video formats|requested format is not available"
        r"|no video could be found|unusual and will be skipped|unsupported (url )?scheme|file:// urls are disabled",
    ),
    (
        Reason.REMOVED,
        r"video unavailable|removed|deleted|terminated|no longer (available|exists?)|does(n't| not) exist|not found"
        r"|copyright|has been blocked|violat|account .{0,40}(closed|suspended)|isn't available|is unavailable"
        r"|is not available|has expired",
    ),
    (Reason.DISK_FULL, r"no space left on device|disk quota exceeded"),
    (Reason.RATE_LIMITED, r"http error 429"),
    (Reason.FORBIDDEN, r"http error 403"),
    (Reason.REMOVED, r"http error (404|410)"),
    (Reason.SERVER_ERROR, r"http error 5\d\d"),
    (Reason.EMPTY_FILE, r"file is empty|did not get any data blocks"),
    (
        Reason.NETWORK,
        r"timed? ?out|connection (reset|refused|aborted)|remote end closed|bytes read|incompleteread|content too short"
        r"|ffmpeg exited with code|name resolution|name or service|unreachable|more expected|fragment \d+ not found",
    ),
    (Reason.SERVER_ERROR, r"giving up after"),
)
_COMPILED = tuple((reason, re.compile(pattern, re.IGNORECASE)) for reason, pattern in _PATTERNS)
_CLUTTER = re.compile(
    r"\x1b\[[0-9;]*m|^ERROR:\s*(\[[^\]]*\]\s+(\S+:\s+)?)?|; please report this issue on .*|\s*\(caused by .*\)$",
    re.DOTALL,
)
_MAX_MESSAGE = 400


def reason_of(error: BaseException) -> tuple[Reason, str]:
    """Why a download failed, and one line about it without secrets.

    Args:
        error: what yt-dlp raised; of a `DownloadError` the exception inside it counts.

    Returns:
        The reason and the message. What is not known is `unknown_download`; an exception that is no declared
        failure of yt-dlp's is a fault of the site's extractor.

    Source: specs/environment.md, section 8 (the table of inner exceptions).
    """
    inner = _inner(error)
    message = message_of(error)
    of_machine = fault_of(error)
    if of_machine is not None:
        return of_machine.reason, message
    by_type = _reason_by_type(inner)
    if by_type is not None:
        return by_type, message
    for reason, pattern in _COMPILED:
        if pattern.search(message):
            return reason, message
    if isinstance(inner, OSError):
        return Reason.NETWORK, message
    if inner is None or isinstance(inner, DownloadError | ExtractorError):
        fault = isinstance(inner, ExtractorError) and not inner.expected
        return (Reason.EXTRACTOR_BROKEN if fault else Reason.UNKNOWN_DOWNLOAD), message
    return Reason.EXTRACTOR_BROKEN, message


def message_of(error: BaseException) -> str:
    """yt-dlp's words in one line, without colours, its appeal to report bugs, and secrets in URLs."""
    text = " ".join(_CLUTTER.sub("", str(error)).split()) or type(error).__name__
    if not isinstance(error, DownloadError | ExtractorError | OtherFileError | PrivateHostError):
        text = f"{type(error).__name__}: {text}"
    return redact(text)[:_MAX_MESSAGE]


def retry_after_s(error: BaseException) -> float | None:
    """How long the server asks to wait (`Retry-After` in seconds), or None where it does not say."""
    inner = _inner(error)
    if not isinstance(inner, HTTPError):
        return None
    value = inner.response.get_header("Retry-After") or ""
    return float(value) if value.isdecimal() else None


def _inner(error: BaseException) -> BaseException | None:
    """The exception that a DownloadError was made of; an ExtractorError's own cause where that says more."""
    found: BaseException | None = error
    if isinstance(error, DownloadError):
        found = error.exc_info[1] if error.exc_info else None
    if isinstance(found, ExtractorError) and isinstance(found.cause, RequestError):
        cause: BaseException = found.cause
        return cause
    return found


def _reason_by_type(inner: BaseException | None) -> Reason | None:
    if isinstance(inner, HTTPError):
        if inner.status >= 500:
            return Reason.SERVER_ERROR
        if 300 <= inner.status < 400:  # a redirect that is not followed: in circles, or to another scheme
            return Reason.UNSUPPORTED_URL
        return _HTTP_STATUS.get(inner.status, Reason.UNKNOWN_DOWNLOAD)
    if isinstance(inner, PrivateHostError):
        return Reason.PRIVATE_HOST
    if isinstance(inner, GeoRestrictedError):
        return Reason.GEO_BLOCKED
    if isinstance(inner, UserNotLive):
        return Reason.NOT_LIVE_YET
    if isinstance(inner, FFmpegPostProcessorError):
        return Reason.BAD_MEDIA
    if isinstance(inner, TransportError | ContentTooShortError | TimeoutError | ConnectionError | OtherFileError):
        return Reason.NETWORK
    if isinstance(inner, UnsupportedError | RequestError):  # a request that was not even made: its URL is no good
        return Reason.UNSUPPORTED_URL
    return None
