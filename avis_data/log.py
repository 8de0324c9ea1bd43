"""Log set-up, and the removal of secrets from what is logged or recorded."""

from __future__ import annotations

import logging
import re
import sys
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

__all__ = ["REDACTED", "cut_url", "hide_secrets", "is_secret_parameter", "redact", "redact_url", "set_up_logging"]

REDACTED = "REDACTED"
"""What stands in the place of a secret."""

_SECRET_NAME = re.compile(
    # In any name; then whole names, or their parts between `-`, `_` and `.`, that are too short for that.
    r"token|(?<!de)(?<!as)(?<!in)sig(?!nal)|(?<!mon)(?<!hoc)(?<!tur)key(?!word|frame|board)|secret|passw|passphrase"
    r"|auth(?!or(?!i))|sess|cookie|expire|policy|credential|bearer|saml|hdne|hdnt|__gda|^x-(amz|goog)-"
    r"|(^|[-_.])(acl|csrf|exp|hash|hmac|jwt|md5|nonce|otp|pass|pw|pwd|sas|sha1|sha256|sid|st|ticket|tk|tok|verify|xsrf)"
    r"([-_.]|$)",
    re.IGNORECASE,
)
_NAMES_OF_VIDEOS = frozenset("v id vid video video_id list playlist file filename url u q".split())
_SECRET_VALUE = re.compile(r"eyJ[\w-]{8,}\.[\w-]{4,}(\.[\w-]*)?|(?=.*[0-9])(?=.*[A-Za-z])[\w+/=%.~-]{40,}", re.ASCII)
"""A JSON web token; or what is too long, and too mixed, to be anything that a person chose."""
_QUERY = re.compile(r"(?<=[?&#])([^=&#?\s'\"<>\\]{1,64})=([^&#\s'\"<>\\]+)")
"""A name with its value, of a query or a fragment, in a URL or in any text."""
_PATH = re.compile(r"(?<=[/;~,&])([\w.-]{1,64})=([^/;~,&?#]+)", re.ASCII)
"""The same of a path, as content networks have it."""
_INNER = re.compile(r"(?<=[?&;/#~,])([\w.-]{1,64})=([^&;/#~,]+)", re.ASCII)
_WEB_TOKEN = re.compile(r"(?<=/)eyJ[\w-]{8,}\.[\w-]{4,}(\.[\w-]*)?", re.ASCII)
_USER = re.compile(r"(?<=://)[^/?#\s@'\"<>]+(?=@)")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>\\]+", re.IGNORECASE)
_SHORTEST_SECRET = 4
"""Shorter values, as `st=1`, are found in any text."""


def is_secret_parameter(name: str, value: str = "") -> bool:
    """True if a parameter of this name, or with this value, may be what lets its reader in.

    `v`, `id`, `list`, `t` and the like are not: they name the video. A value may hold an address with its own secrets.
    """
    inner = unquote(unquote(value))
    return (
        _SECRET_NAME.search(unquote(name)) is not None
        or (name.lower() not in _NAMES_OF_VIDEOS and _SECRET_VALUE.fullmatch(value) is not None)
        or any(_SECRET_NAME.search(match[1]) for match in _INNER.finditer(inner))
        or _USER.search(inner) is not None
        or _WEB_TOKEN.search(inner) is not None
    )


def redact_url(url: str) -> str:
    """The URL without user name, password and fragment, and with `REDACTED` for values of secret-looking parameters.

    Sites hand tokens over in fragments (`#access_token=...`), which never name the file. What is no URL has no parts
    that could be told from secrets: of that, nothing but the scheme is left.
    """
    try:
        parts = urlsplit(cut_url(url))
    except ValueError:
        return f"{url.partition(':')[0]}://{REDACTED}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def cut_url(url: str) -> str:
    """The URL with `REDACTED` where a secret was: equal to the URL if, and only if, it holds none.

    Example:
        >>> cut_url("https://me:pw@x.org/a.mp4?v=1&sig=f00")
        'https://REDACTED@x.org/a.mp4?v=1&sig=REDACTED'
    """
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    kept = _WEB_TOKEN.sub(REDACTED, _USER.sub(_cut_user, path))
    return _PATH.sub(_cut, kept) + _QUERY.sub(_cut, url[len(path) :])


def redact(text: str) -> str:
    """The text with every URL in it redacted, and with no value of a secret-looking parameter outside of one."""
    return _QUERY.sub(_cut, _URL.sub(lambda match: redact_url(match.group()), text))


def hide_secrets(text: str, url: str) -> str:
    """The text, redacted, without the secrets of `url` also where they stand alone (yt-dlp makes ids of queries)."""
    text = redact(text)
    user = _USER.search(url)
    found = {
        match[2]
        for pattern in (_PATH, _QUERY)
        for match in pattern.finditer(url)
        if is_secret_parameter(*match.groups())
    }
    found |= {match.group() for match in _WEB_TOKEN.finditer(url)}
    found |= {user.group(), user.group().partition(":")[2]} if user else set()
    spellings = {spelled for value in found for spelled in (value, unquote(value), unquote_plus(value), quote(value))}
    for secret in sorted(spellings, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET and not secret.startswith(REDACTED):
            text = text.replace(secret, REDACTED)
    return text


def _cut(match: re.Match[str]) -> str:
    name, value = match.groups()
    secret = not value.startswith(REDACTED) and is_secret_parameter(name, value)
    return f"{name}={REDACTED}" if secret else match.group()


def _cut_user(match: re.Match[str]) -> str:
    return match.group() if match.group().startswith(REDACTED) else REDACTED


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
