"""A file from an address: what is cut off goes on where it stopped, and nothing but that file is taken for it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import ValidationError

from avis_data.errors import AvisError, ConfigError, DataError, ToolError
from avis_data.io import remove, write_text
from avis_data.log import redact_url
from avis_data.records import Record

__all__ = ["RECORD_SUFFIX", "Progress", "download", "forget"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes of the whole, None where nobody says."""
RECORD_SUFFIX = ".served"
"""Beside a partial file lies the same name with this: of which file on which server it is a part."""
_TRIES = 5
_TIMEOUTS_S = (20, 60)
_BLOCK = 1 << 16
"""As much may be lost by a kill, and little enough comes soon over a slow line."""
_PAGES = ("text/html", "application/xhtml+xml")
_MIRROR = "--from URL names a mirror, --from FILE a copy that you have"


class _Served(Record):
    """What tells the file on a server from others."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None

    @property
    def validator(self) -> str | None:
        """What `If-Range` may be asked with; a weak tag tells no bytes apart."""
        strong = self.etag is not None and not self.etag.startswith("W/")
        return self.etag if strong else self.last_modified


class _CutOffError(Exception):
    """The connection failed; what came is kept."""


def download(
    url: str, part: Path, *, size_bytes: int | None = None, progress: Progress | None = None, wait_s: float = 1.0
) -> None:
    """Fetch a file to `part`, going on with what is there of the same file of the same server.

    Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).

    Args:
        url: http or https.
        part: where the bytes go; beside it lies a record of what they are a part of. Both stay if it fails.
        size_bytes: how long the file must be, where that is known.
        progress: told now and then.
        wait_s: before the second try; twice as long before each further one.

    Raises:
        ConfigError: if it is no address.
        DataError: if the server has a file of another length.
        ToolError: if the server cannot be reached or has no such file, or a page (of a sign-in) comes in its place.
        OSError: if the disk is full or cannot be written.
    """
    if _scheme(url) not in ("http", "https"):
        raise ConfigError(f"{redact_url(url)}: no address of http or https", hint=_MIRROR)
    left = _TRIES
    with requests.Session() as session:
        while True:
            before = _size(part)
            try:
                _once(session, url, part, size_bytes, progress)
                return
            except _CutOffError as cut:
                left = _TRIES if _size(part) > before else left - 1
                if left <= 0:
                    raise _gave_up(url, part, size_bytes, cut) from None
            time.sleep(wait_s * 2 ** (_TRIES - 1 - left) if left < _TRIES else 0)


def forget(part: Path) -> None:
    """Remove a partial file and what is known of it."""
    remove(part)
    remove(_record(part))


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _once(session: requests.Session, url: str, part: Path, size_bytes: int | None, progress: Progress | None) -> None:
    begun = _begun(part, url)
    start = _size(part) if begun is not None and begun.validator else 0
    headers = {"Accept-Encoding": "identity"}
    if begun is not None and begun.validator and start:
        headers |= {"Range": f"bytes={start}-", "If-Range": begun.validator}
    with _ask(session, url, headers) as answer:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if start == (size_bytes or _total(answer.headers)):
                return
            forget(part)
            raise _CutOffError("the file on the server is shorter than what was kept of it")
        _check_answer(url, answer)
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            if begun is None or not _goes_on(answer.headers, start, begun):
                forget(part)
                raise _CutOffError("the file on the server is not the one that was begun")
        else:
            start = 0
        whole = _whole(answer.headers, start)
        if size_bytes is not None and whole is not None and whole != size_bytes:
            raise DataError(
                f"{redact_url(url)}: serves a file of {whole:,} bytes, the published one has {size_bytes:,}",
                hint=_MIRROR,
            )
        _check_room(part, (whole or size_bytes or start) - start)
        if not start:
            forget(part)
            part.parent.mkdir(parents=True, exist_ok=True)
            write_text(_record(part), _served(url, answer.headers, whole).model_dump_json())
        _pour(answer, part, start, size_bytes or whole, progress)
    if whole is not None and _size(part) < whole:
        raise _CutOffError(f"the connection ended after {_size(part):,} of {whole:,} bytes")


def _ask(session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
    where = redact_url(url)
    try:
        return session.get(url, headers=headers, stream=True, timeout=_TIMEOUTS_S)
    except requests.exceptions.ProxyError as error:
        hint = "see HTTPS_PROXY, HTTP_PROXY and NO_PROXY; " + _MIRROR
        raise ToolError(f"{where}: the proxy does not let it through ({_reason(error)})", hint=hint) from None
    except requests.exceptions.SSLError as error:
        hint = "behind a proxy that opens https, REQUESTS_CA_BUNDLE names its certificate; " + _MIRROR
        raise ToolError(f"{where}: its certificate cannot be trusted ({_reason(error)})", hint=hint) from None
    except requests.exceptions.TooManyRedirects:
        raise ToolError(f"{where}: is sent on again and again", hint=_MIRROR) from None
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise _CutOffError(_reason(error)) from None
    except (requests.exceptions.RequestException, ValueError) as error:
        raise ConfigError(f"{where}: cannot be asked for ({_reason(error)})", hint=_MIRROR) from None


def _check_answer(url: str, answer: requests.Response) -> None:
    where, code = redact_url(url), answer.status_code
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        raise ToolError(f"{where}: the server or a proxy wants to know who asks (HTTP {code})", hint=_MIRROR)
    if code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise ToolError(f"{where}: there is no such file (HTTP {code})", hint=_MIRROR)
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _CutOffError(f"HTTP {code}")
    if code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise ToolError(f"{where}: answers HTTP {code}", hint=_MIRROR)
    if url.startswith("https:") and not answer.url.startswith("https:"):
        raise ToolError(f"{where}: leads to an address without https, {redact_url(answer.url)}", hint=_MIRROR)
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGES or answer.headers.get("Content-Encoding", "identity") != "identity":
        raise ToolError(
            f"{where}: a page or a packed answer came in place of the file ({kind or 'of no kind'})",
            hint=f"open the address in a browser: a proxy may want a sign-in; {_MIRROR}",
        )


def _pour(answer: requests.Response, part: Path, start: int, size_bytes: int | None, progress: Progress | None) -> None:
    got = start
    try:
        with part.open("ab" if start else "wb") as file:
            for block in answer.raw.stream(_BLOCK, decode_content=False):
                got += len(block)
                if size_bytes is not None and got > size_bytes:
                    raise DataError(f"{redact_url(answer.url)}: sends more than {size_bytes:,} bytes", hint=_MIRROR)
                file.write(block)
                if progress is not None:
                    progress(got, size_bytes)
    except urllib3.exceptions.HTTPError as error:
        raise _CutOffError(_reason(error)) from None
    except OSError as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise _CutOffError(_reason(error)) from None
        raise OSError(error.errno, os.strerror(error.errno or errno.EIO), str(part)) from error


def _check_room(part: Path, more_bytes: int) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(part.parent).free < more_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))


def _goes_on(headers: Mapping[str, str], start: int, begun: _Served) -> bool:
    """Whether an answer is the rest of the file that was begun; not all servers heed `If-Range`."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    same = begun.validator in (headers.get("ETag"), headers.get("Last-Modified"))
    return found is not None and int(found[1]) == start and same


def _total(headers: Mapping[str, str]) -> int | None:
    found = re.fullmatch(r"bytes [^/]*/(\d+)", headers.get("Content-Range", ""))
    return None if found is None else int(found[1])


def _whole(headers: Mapping[str, str], start: int) -> int | None:
    length = headers.get("Content-Length", "")
    return (_total(headers) if start else None) or (start + int(length) if length.isdecimal() else None)


def _served(url: str, headers: Mapping[str, str], whole: int | None) -> _Served:
    changed = headers.get("Last-Modified")
    just_now = changed == headers.get("Date")  # said of every answer by servers that do not know
    return _Served(
        url=redact_url(url), etag=headers.get("ETag"), last_modified=None if just_now else changed, size_bytes=whole
    )


def _begun(part: Path, url: str) -> _Served | None:
    try:
        served = _Served.model_validate_json(_record(part).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return served if served.url == redact_url(url) else None


def _record(part: Path) -> Path:
    return part.with_name(part.name + RECORD_SUFFIX)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _gave_up(url: str, part: Path, size_bytes: int | None, cut: _CutOffError) -> AvisError:
    kept = f"; {_size(part):,} bytes{f' of {size_bytes:,}' if size_bytes else ''} are kept" if _size(part) else ""
    return ToolError(f"{redact_url(url)}: {cut}{kept}", hint=f"run it again: it goes on where it broke off; {_MIRROR}")


def _reason(error: BaseException) -> str:
    """The innermost words, without the objects in which the libraries wrap them."""
    inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    words = re.sub(r"<[^>]*object at 0x[^>]*>[:,]?\s*|\w+\(host=[^)]*\):\s*", "", str(error)) or type(error).__name__
    return redact_url(words) if "://" in words else f"{words:.200}"
