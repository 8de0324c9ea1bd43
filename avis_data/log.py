"""Log set-up, and the removal of secrets from what is logged or recorded."""

from __future__ import annotations

import logging
import re
import sys
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["redact", "redact_url", "set_up_logging"]

_SECRET_PARAMETER = re.compile(
    r"token|sig|signature|key|secret|password|passwd|auth|session|cookie|expires?|policy|credential|^x-(amz|goog)-|^lsig$",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s'\"<>\\]+", re.IGNORECASE)


def redact_url(url: str) -> str:
    """The URL without user name and password, and with `REDACTED` for the values of secret-looking parameters."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = [
        (name, "REDACTED" if _SECRET_PARAMETER.search(name) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    changed = any(value == "REDACTED" for _, value in query)
    return urlunsplit(parts._replace(netloc=host, query=urlencode(query) if changed else parts.query))


def redact(text: str) -> str:
    """The text with every URL in it redacted."""
    return _URL.sub(lambda match: redact_url(match.group()), text)


class _RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up_logging(verbosity: int) -> None:
    """Send the project's log to stderr: 0 warnings, 1 one line a stage (INFO), 2 one line an item (DEBUG)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("avis_data")
    logger.handlers = [handler]
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbosity, 2)])
    logger.propagate = False
