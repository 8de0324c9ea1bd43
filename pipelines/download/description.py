"""What yt-dlp says of a video: any dictionary, which each site's extractor fills as it likes; here it gets a form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from avis_data.errors import ItemError, Reason
from avis_data.log import hide_secrets

__all__ = ["VideoDescription", "described", "downloaded_file"]

_LONGEST_TEXT = 500


@dataclass(frozen=True, kw_only=True)
class VideoDescription:
    """What is kept of it; None where the site says nothing, or nothing of that form."""

    title: str | None = None
    uploader: str | None = None
    channel: str | None = None
    license: str | None = None
    upload_date: str | None = None
    """YYYY-MM-DD."""
    extractor: str = "unknown"


def described(info: object, url: str) -> VideoDescription:
    """The description in an info dictionary, without the secrets of `url`: pages are made of queries.

    Raises:
        ItemError: `unsupported_url` if it is none of one video.
    """
    if not isinstance(info, dict) or info.get("_type", "video") != "video":
        raise ItemError("a list of videos; give the link of one", reason=Reason.UNSUPPORTED_URL)
    return VideoDescription(
        title=_text(info.get("title"), url),
        uploader=_text(info.get("uploader"), url),
        channel=_text(info.get("channel"), url),
        license=_text(info.get("license"), url),
        upload_date=_date(info.get("upload_date")),
        extractor=_text(info.get("extractor"), url) or "unknown",
    )


def downloaded_file(info: object) -> Path:
    """The file that a download left, by its info dictionary.

    A return value is no proof: filters and limits end in "ok" and no file (specs/environment.md, section 8).

    Raises:
        ItemError: `unknown_download` if it names none that is there.
    """
    done = info.get("requested_downloads") if isinstance(info, dict) else None
    first = done[0] if isinstance(done, list) and done else None
    name = first.get("filepath") if isinstance(first, dict) else None
    if not isinstance(name, str) or "\0" in name or not Path(name).is_file():
        raise ItemError("yt-dlp reports success and left no file", reason=Reason.UNKNOWN_DOWNLOAD)
    return Path(name)


def _text(value: object, url: str) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return None
    return hide_secrets(value.encode("utf-8", "replace").decode(), url).strip()[:_LONGEST_TEXT]


def _date(value: object) -> str | None:
    """yt-dlp's YYYYMMDD as YYYY-MM-DD."""
    try:
        return datetime.strptime(str(value), "%Y%m%d").date().isoformat()
    except ValueError:
        return None
