"""Log set-up, and the removal of secrets from what is logged or recorded."""

from __future__ import annotations

import logging
import re
import sys
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["is_secret_parameter", "redact", "redact_url", "set_up_logging"]

_SECRET_PARAMETER = re.compile(
    # In any name; then whole names, or their parts between `-`, `_` and `.`, that are too short for that.
    r"token|sig|key|secret|passw|passphrase|auth|session|cookie|expire|policy|credential|hdne|hdnt|^x-(amz|goog)-"
    r"|(^|[-_.])(acl|csrf|exp|hash|hmac|jwt|md5|nonce|otp|pass|pwd|sas|sha1|sha256|sid|st|ticket|tk|tok|verify|xsrf)"
    r"([-_.]|$)",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s'\"<>\\]+", re.IGNORECASE)


def is_secret_parameter(name: str) -> bool:
    """True if a parameter of this name in a URL may hold what lets its reader in; `v`, `id`, `list`, `t` do not."""
    return _SECRET_PARAMETER.search(name) is not None


def redact_url(url: str) -> str:
    """The URL without user name, password and fragment, and with `REDACTED` for values of secret-looking parameters.

    Sites hand tokens over in fragments (`#access_token=...`), which never name the file. What is no URL has no parts
    that could be told from secrets: of that, nothing but the scheme is left.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition(':')[0]}://REDACTED"
    host = parts.netloc.rpartition("@")[2]
    query = [
        (name, "REDACTED" if is_secret_parameter(name) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    changed = any(value == "REDACTED" for _, value in query)
    return urlunsplit(parts._replace(netloc=host, query=urlencode(query) if changed else parts.query, fragment=""))


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
