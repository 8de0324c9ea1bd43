"""One source video from the web with yt-dlp as a library: what is asked for, what is refused, what may go wrong."""

from __future__ import annotations

import functools
import io
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yt_dlp.globals
import yt_dlp.postprocessor.ffmpeg
from yt_dlp import YoutubeDL
from yt_dlp.downloader.external import FFmpegFD
from yt_dlp.extractor.openload import PhantomJSwrapper
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError, UnsupportedRequest
from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessor
from yt_dlp.utils import Popen, YoutubeDLError

from avis_data.errors import ItemError, Reason
from avis_data.extras import missing_modules
from avis_data.io import remove
from avis_data.log import hide_secrets
from avis_data.media.ffmpeg import find_ffmpeg, raise_passing_end
from avis_data.pipelines.download.addresses import request_handlers
from avis_data.pipelines.download.description import VideoDescription, described, downloaded_file
from avis_data.pipelines.download.errors import reason_of, retry_after_s
from avis_data.pipelines.download.limits import limit
from avis_data.pipelines.download.partial_files import RECORD_SUFFIX, PartialFiles
from avis_data.platforms import die_with_parent
from avis_data.recipe import FetchOptions

__all__ = ["Downloaded", "check_content", "download_video"]

logger = logging.getLogger(__name__)
_SCHEMES = ("http", "https", "data")
"""`data:` holds its content itself: some extractors hand a play list over that way."""
_FORMAT = "bv*{0}+ba{0}/b{0}/bv*{0}"
_WEB_PROTOCOLS = r"[protocol~='^(https?|m3u8(_native)?|http_dash_segments(_generator)?|ism|f4m)$']"
_PROXY_HEADER = "Ytdl-request-proxy"
_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the code of a site's extractor raises when the site has changed."""
_YOUTUBE = ("youtube.com", "music.youtube.com", "youtube-nocookie.com", "youtu.be")
_UNSOLVED = (Reason.UNSUPPORTED_URL, Reason.FORBIDDEN, Reason.EXTRACTOR_BROKEN, Reason.UNKNOWN_DOWNLOAD)
_ATTEMPTS = 2
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_TRANSFER_RETRIES = 3
_SOCKET_TIMEOUT_S = 20.0
_HEAD_BYTES = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Downloaded:
    """A file that arrived."""

    path: Path
    said: VideoDescription
    """What the site says of the video."""


def download_video(
    url: str,
    folder: Path,
    *,
    name: str,
    options: FetchOptions,
    cookies: str | None = None,
    extractors: Sequence[Any] = (),
    allow_private_hosts: bool = False,
) -> Downloaded:
    """Download one video, going on from what an earlier, broken try left in the folder.

    The best format with sound that is not taller than `options.max_height_px` is taken (if all are taller: the
    least tall), H.264 and MP4 where formats are equal. Failures of the network are tried once more after a moment;
    everything slower is the caller's.

    Args:
        url: http(s).
        folder: holds partial files between tries; nothing else may write there.
        name: the file's name without suffix; a safe id.
        options: height, size and speed limits.
        cookies: text of a Netscape cookies file.
        extractors: yt-dlp extractors that are asked before its own.
        allow_private_hosts: also go where a link leads to this machine or to a private network.

    Raises:
        ItemError: with a reason for everything that can go wrong with the video, the site or the network.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _attempt(url, folder, name, options, cookies, extractors, allow_private_hosts)
        except (YoutubeDLError, OSError, *_FAULTS) as error:
            reason, message = reason_of(error)
            pause_s = _pause_s(reason, retry_after_s(error))
            if attempt == _ATTEMPTS or pause_s is None:
                raise ItemError(hide_secrets(message, url) + _missing_solver(url, reason), reason=reason) from None
            logger.debug("video=%s reason=%s pause_s=%.1f", name, reason, pause_s)
        time.sleep(pause_s)
    raise AssertionError("unreachable")


def _missing_solver(url: str, reason: Reason) -> str:
    """What to install where YouTube's scripts cannot be run, which hides formats or gives links that are refused."""
    host = urlsplit(url).hostname or ""
    is_youtube = host.removeprefix("www.").removeprefix("m.") in _YOUTUBE
    if not is_youtube or reason not in _UNSOLVED or not missing_modules("youtube"):
        return ""
    return "; YouTube needs packages that are not installed: pip install 'avis-data[youtube]'"


def check_content(path: Path) -> None:
    """Look at the first bytes, before any program that follows play lists is let near the file.

    Raises:
        ItemError: `empty_file`, or `not_media` for text of any kind: a web page, a play list, a message.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise ItemError("the server sent an empty file", reason=Reason.EMPTY_FILE)
    if _is_text(head):
        what = "a web page" if b"<html" in head.lower() or b"<!doctype" in head.lower() else "text"
        raise ItemError(f"the server sent {what} where a video was expected", reason=Reason.NOT_MEDIA)


class _WebOnly(YoutubeDL):  # type: ignore[misc]  # yt-dlp is untyped
    """yt-dlp that refuses every scheme but http(s), also as the end of a redirect, and glues no two files together."""

    def __init__(self, parameters: dict[str, Any], options: FetchOptions, allow_private_hosts: bool) -> None:
        self._partial_files = PartialFiles()
        self._options, self._allow_private_hosts = options, allow_private_hosts
        super().__init__(parameters, auto_init=False)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        ours = request_handlers(allow_private_hosts=self._allow_private_hosts)
        return super().build_request_director(ours, preferences)

    def dl(self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False) -> Any:
        if info.get("url") and not (subtitle or test):
            self._partial_files.begin(Path(name), info)
        return super().dl(name, info, subtitle=subtitle, test=test)

    def urlopen(self, req: Any) -> Any:
        request = Request(req) if isinstance(req, str) else req
        _check_scheme(request.url)
        request.proxies = {}  # a page can name one; only the user's own is used
        request.headers.pop(_PROXY_HEADER, None)
        url, asked = request.url, request.headers.get("Range")
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            limit(error.response, self._options)
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._partial_files.check_refused(asked)
            raise
        _check_scheme(response.url)
        self._partial_files.check(url, asked, response)
        return limit(response, self._options)


class _Ffmpeg(Popen):  # type: ignore[misc]  # yt-dlp is untyped
    """ffmpeg as yt-dlp runs it to join streams: it ends with us, and a passing fault is told by its code, not lost."""

    def __init__(self, arguments: Sequence[str], *others: Any, **options: Any) -> None:
        super().__init__(arguments, *others, preexec_fn=die_with_parent(), **options)

    @classmethod
    def run(cls, arguments: Sequence[str], **options: Any) -> Any:
        said, words, code = super().run(arguments, **options)
        if code != 0:
            folder = Path(arguments[-1].removeprefix("file:")).parent
            written = folder if folder.is_absolute() and folder.is_dir() else None
            raise_passing_end(code, words or "", arguments, source="joining the streams", written=written)
        return said, words, code


yt_dlp.postprocessor.ffmpeg.Popen = _Ffmpeg


def _kept_from_programs(way: Any) -> Any:
    """A method of yt-dlp's that has another program open the network; ours never do, as it goes where it likes."""

    @functools.wraps(way)
    def refused(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(getattr(self, "ydl", None) or self.extractor._downloader, _WebOnly):
            raise UnsupportedRequest("this stream needs another program to open the network, which is not done")
        return way(self, *args, **kwargs)

    return refused


FFmpegFD.real_download = _kept_from_programs(FFmpegFD.real_download)
PhantomJSwrapper.get = _kept_from_programs(PhantomJSwrapper.get)


class _Log:
    """yt-dlp's talk, as our debug log; its errors arrive as exceptions."""

    def __init__(self, url: str) -> None:
        self._url = url

    def debug(self, message: str) -> None:
        logger.debug("%s", hide_secrets(message, self._url))

    warning = error = debug


def _attempt(
    url: str,
    folder: Path,
    name: str,
    options: FetchOptions,
    cookies: str | None,
    extractors: Sequence[Any],
    allow_private_hosts: bool,
) -> Downloaded:
    _drop_doubtful(folder)
    yt_dlp.globals.plugin_dirs.value = []  # only the code of the installed release runs
    parameters = _parameters(url, folder, name, options, cookies)
    # Where yt-dlp asks whether it may leave a transfer to ffmpeg it looks here; for the rest, at its own parameter.
    before = FFmpegPostProcessor._ffmpeg_location.set(os.path.join(os.devnull, "none"))
    try:
        with _WebOnly(parameters, options, allow_private_hosts) as ydl:
            for extractor in extractors:
                ydl.add_info_extractor(extractor())
            ydl.add_default_info_extractors()
            info = ydl.extract_info(url, download=True)
    finally:
        FFmpegPostProcessor._ffmpeg_location.reset(before)
    said = described(info, url)
    return Downloaded(path=downloaded_file(info), said=said)


def _parameters(url: str, folder: Path, name: str, options: FetchOptions, cookies: str | None) -> dict[str, Any]:
    backoff = {kind: _backoff_s for kind in ("http", "fragment", "extractor")}
    parameters: dict[str, Any] = {
        "format": _FORMAT.format(_WEB_PROTOCOLS),
        "format_sort": [f"height:{options.max_height_px}", "vcodec:h264", "acodec:aac", "ext:mp4:m4a"],
        "merge_output_format": "mp4/webm/mkv",
        "paths": {"home": str(folder.absolute())},
        # The format is part of the name: a partial file of one format is never continued with another.
        "outtmpl": {"default": f"{name}.%(format_id)s.%(ext)s"},
        "restrictfilenames": True,
        "continuedl": True,
        "keep_fragments": True,
        "skip_unavailable_fragments": False,
        "updatetime": False,
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": "1:2",
        "enable_file_urls": False,
        "cachedir": False,
        "external_downloader": {"default": "native"},
        "postprocessor_args": {"ffmpeg_i": ["-protocol_whitelist", "file"]},
        "ffmpeg_location": find_ffmpeg().program,
        "match_filter": _refuse_unfit,
        "progress_hooks": [_Watch(options.max_size_mb)],
        "ratelimit": options.rate_limit_kb_s and options.rate_limit_kb_s * 1000,
        "sleep_interval": options.sleep_s or None,
        "socket_timeout": _SOCKET_TIMEOUT_S,
        "retries": _TRANSFER_RETRIES,
        "fragment_retries": _TRANSFER_RETRIES,
        "extractor_retries": 1,
        "retry_sleep_functions": backoff,
        "logger": _Log(url),
        "quiet": True,
        "noprogress": True,
        "color": "never",
    }
    if cookies is not None:
        parameters["cookiefile"] = io.StringIO(cookies)  # a stream: yt-dlp writes its cookies back where it read them
    return parameters


class _Watch:
    """Progress hook: ends what grows too large, and looks at each file before ffmpeg gets it."""

    def __init__(self, max_size_mb: int | None) -> None:
        self._max_bytes = None if max_size_mb is None else max_size_mb * 1_000_000

    def __call__(self, progress: dict[str, Any]) -> None:
        size = max(progress.get("total_bytes") or 0, progress.get("downloaded_bytes") or 0)
        if self._max_bytes is not None and size > self._max_bytes:
            message = f"larger than fetch.max_size_mb ({size / 1e6:.1f} MB, {self._max_bytes / 1e6:.0f} allowed)"
            raise ItemError(message, reason=Reason.TOO_LARGE)
        if progress.get("status") == "finished" and Path(progress["filename"]).is_file():
            check_content(Path(progress["filename"]))


def _refuse_unfit(info: dict[str, Any], *, incomplete: bool) -> None:
    """yt-dlp's match filter; by raising it gives a reason, which a returned text does not."""
    if info.get("playlist_index") is not None:
        raise ItemError("a list of videos; give the link of one", reason=Reason.UNSUPPORTED_URL)
    if info.get("live_status") in ("is_live", "is_upcoming"):
        raise ItemError("on air, or not yet; fetch it when it has ended", reason=Reason.NOT_LIVE_YET)


def _drop_doubtful(folder: Path) -> None:
    """Remove what a kill may have left half done; partial files of the transfer itself stay.

    yt-dlp appends a fragment and notes that it did so in two steps, and does not repair a file twice: after a kill
    between them it would go on with a fragment doubled or a file unrepaired. Whole fragments are kept one by one,
    so the joined file is made again from them at no cost. Of a fragment that came in part it is not known of which
    file it is.
    """
    joined = any(folder.glob("*-Frag*"))
    for path in folder.iterdir():
        if "-Frag" in path.name:
            doubtful = path.suffix == ".part"
        else:
            doubtful = ".temp." in path.name or (joined and path.suffix != RECORD_SUFFIX)
        if doubtful:
            remove(path)


def _check_scheme(url: str) -> None:
    scheme = urlsplit(url).scheme.lower()
    if scheme not in _SCHEMES:
        raise UnsupportedRequest(f"unsupported url scheme: {scheme!r} (only http and https are followed)")


def _pause_s(reason: Reason, retry_after: float | None) -> float | None:
    """How long to wait before a second try at once, or None for no second try."""
    if reason not in (Reason.SERVER_ERROR, Reason.NETWORK, Reason.RATE_LIMITED):
        return None
    if retry_after is not None:
        return retry_after if retry_after <= _LONGEST_PAUSE_S else None
    return None if reason is Reason.RATE_LIMITED else _PAUSE_S


def _backoff_s(n: int) -> float:
    return float(min(0.25 * 2**n, _LONGEST_PAUSE_S))


def _is_text(head: bytes) -> bool:
    """True if these could be the first bytes of a text file: no media container begins without control bytes."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head)
