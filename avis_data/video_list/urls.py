"""What one cell of the `url` column points to, found out without the network: a web video, a YouTube id or a file."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from avis_data.log import redact_url

__all__ = ["Source", "local_path", "one_spelling", "source_from_text", "youtube_id"]

_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_YOUTUBE_HOSTS = {"youtube.com", "youtube-nocookie.com", "youtu.be"}
_YOUTUBE_FOLDERS = {"shorts", "embed", "live", "v", "e"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")
_SMUGGLED = "#__youtubedl_smuggle"
"""yt-dlp passes settings to itself in such a fragment; a list must not."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source video as a list names it."""

    url: str
    """http(s) or `file://`; one spelling for every way to write a YouTube link."""
    video_id: str
    """The id that it gets unless the list gives one: equal for equal `url`s."""


def source_from_text(text: str, *, folder: str | None) -> Source:
    """The source video that a `url` cell points to.

    Files are not looked at: one that is gone concerns its own item alone, and none that was fetched already.

    Args:
        text: an http(s) URL, a bare YouTube id or a file (path or `file://` URL).
        folder: what relative files are relative to; None where files are not allowed.

    Raises:
        ValueError: with what is wrong, in words for the person who wrote the list.
    """
    if _YOUTUBE_ID.fullmatch(text):
        return _youtube_source(text)
    if text[:5].lower() == "file:":
        return _local_source(_path_of_file_url(text), folder)
    if not _SCHEME.match(text):
        return _local_source(text, folder)
    parts = urlsplit(text)
    host = parts.hostname
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{parts.scheme}: is not allowed, only http and https (found {_shown(text)})")
    if not host or parts.port == 0 or _UNSAFE.search(text) or _SMUGGLED in text:  # reading the port checks it
        raise ValueError(f"not a complete URL (found {_shown(text)})")
    if _is_youtube(host):
        found = youtube_id(text)
        if found is None:
            raise ValueError(f"a YouTube link to no single video (found {_shown(text)})")
        return _youtube_source(found)
    url = one_spelling(text)
    return Source(url, _readable_id(unquote(parts.path), url))


def youtube_id(url: str) -> str | None:
    """The 11 characters of a YouTube link (watch?v=, youtu.be, shorts, embed, live), or None."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not _is_youtube(host):
        return None
    steps = [step for step in parts.path.split("/") if step]
    if host.endswith("youtu.be"):
        found = steps[0] if steps else ""
    elif len(steps) >= 2 and steps[0] in _YOUTUBE_FOLDERS:
        found = steps[1]
    else:
        found = parse_qs(parts.query).get("v", [""])[0]
    return found if _YOUTUBE_ID.fullmatch(found) else None


def local_path(url: str) -> Path | None:
    """The file that a `Source.url` names, or None for a web video; it need not be there."""
    return Path(_path_of_file_url(url)) if url.startswith("file:") else None


def one_spelling(url: str) -> str:
    """The URL with scheme and host in small letters, in which case they are the same; all else is kept as it is."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    return f"{scheme.lower()}://{user}{at}{host.lower()}{rest[len(authority) :]}"


def _is_youtube(host: str) -> bool:
    return ".".join(host.rsplit(".", 2)[-2:]) in _YOUTUBE_HOSTS


def _youtube_source(found: str) -> Source:
    return Source(f"https://www.youtube.com/watch?v={found}", found)


def _local_source(path: str, folder: str | None) -> Source:
    if folder is None:
        raise ValueError(f"neither an http(s) URL nor a YouTube id; files need --allow-local (found {_shown(path)})")
    if "\0" in path:
        raise ValueError("a file name cannot hold a NUL character")
    full = os.path.normpath(os.path.join(folder, path))
    # Named after the text in the list, so that the id is the same wherever list and media are moved together.
    video_id = _readable_id(path, os.path.normpath(path).replace(os.sep, "/"))
    return Source("file://" + quote(full), video_id)


def _path_of_file_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ValueError(f"a file on another machine (found {url!r:.80})")
    return unquote(parts.path)


def _readable_id(path: str, identity: str) -> str:
    stem = os.path.splitext(path.rstrip("/").rpartition("/")[2])[0]
    slug = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")[:40].strip("_") or "video"
    return f"{slug}_{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def _shown(url: str) -> str:
    return f"{redact_url(url)!r:.80}"
