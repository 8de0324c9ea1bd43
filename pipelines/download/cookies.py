"""A Netscape cookies file, as browsers' extensions write it, in the form that yt-dlp takes."""

from __future__ import annotations

import re
from pathlib import Path

from avis_data.errors import ConfigError

__all__ = ["read_cookies"]

_MAGIC = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY = "#HttpOnly_"
_FIELDS = 7
_EXPIRY = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?)?", re.ASCII)


def read_cookies(path: Path) -> str:
    """The text of a cookies file, with the first line by which yt-dlp knows one; files without it are as good.

    Every line is checked here: yt-dlp would fail at each video, or print the line it does not take.

    Raises:
        ConfigError: if the file cannot be read or is of another form; names the line and shows no cookie.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cookies cannot be read ({type(error).__name__})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        fault = _fault(line)
        if fault:
            raise ConfigError(
                f"{path}: line {number}: not a Netscape cookies file ({fault})",
                hint="export the cookies with a browser extension in the format cookies.txt",
            )
    return _MAGIC + text


def _fault(line: str) -> str | None:
    if not line.strip() or (line.startswith("#") and not line.startswith(_HTTP_ONLY)):
        return None
    fields = line.removeprefix(_HTTP_ONLY).split("\t")
    if len(fields) != _FIELDS:
        return "seven fields, parted by tabs"
    if not _EXPIRY.fullmatch(fields[4]):
        return "the fifth field, the expiry, must be seconds, 0 or empty"
    if (fields[1] == "TRUE") != fields[0].startswith("."):
        return "the second field must be TRUE where the first begins with a dot, else FALSE"
    return None
