"""Partial downloads: of which file on the server they are a part, so that no other file is ever glued to them."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from yt_dlp.networking import Request
from yt_dlp.utils import YoutubeDLError, int_or_none, parse_http_range

from avis_data.io import remove, write_text
from avis_data.records import Record

__all__ = ["RECORD_SUFFIX", "OtherFileError", "PartialFiles", "ServedFile"]

RECORD_SUFFIX = ".served"
"""Beside `NAME.part` lies `NAME.served`: which file of the server that is a part of."""
_PARTIAL = 206


class OtherFileError(YoutubeDLError):  # type: ignore[misc]  # yt-dlp is untyped
    """What the server gives now is not, or may not be, the file of which there is a part already."""


class ServedFile(Record):
    """What a server says by which its files can be told apart."""

    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None

    @classmethod
    def of(cls, response: Any) -> ServedFile:
        """The file that a response of yt-dlp's network layer is, or is a part of."""
        headers = response.headers
        if response.status == _PARTIAL:
            size_bytes = parse_http_range(headers.get("Content-Range"))[2]
        else:
            size_bytes = int_or_none(headers.get("Content-Length"))
        changed = headers.get("Last-Modified")
        return cls(
            etag=(headers.get("ETag") or "").removeprefix("W/") or None,
            last_modified=None if changed == headers.get("Date") else changed,  # "just now" is said of every answer
            size_bytes=size_bytes,
        )

    def is_same(self, other: ServedFile) -> bool:
        """True if both say the same, and not just nothing. Of a part, servers may leave out the size of the whole."""
        if (self.etag, self.last_modified) != (other.etag, other.last_modified):
            return False
        if self.size_bytes is None or other.size_bytes is None:
            return self.etag is not None or self.last_modified is not None
        return self.size_bytes == other.size_bytes


class PartialFiles:
    """Watches the transfers of one try: what goes on must be the file that was begun, in this try or an earlier one.

    yt-dlp goes on with whatever lies at the same address by then, and takes a refused range for the end of the file.
    """

    def __init__(self) -> None:
        self._seen: dict[str, ServedFile] = {}
        """The file that was last served at each address in this try."""
        self._url: str | None = None
        self._path = Path()
        self._begun: ServedFile | None = None
        """What the partial files of the current transfer are a part of."""

    def begin(self, path: Path, info: dict[str, Any]) -> None:
        """A transfer into `path` begins or goes on; partial files of which nothing is known are removed.

        Args:
            path: the whole file, not there yet.
            info: yt-dlp's description of the format. Its `url` is the file or the play list. Where the pieces are
                listed already (DASH), the manifest was read by the extractor, and it is what is compared.
        """
        self._path, self._url = path, _address(info["url"])
        self._begun = _read(self._record)
        in_pieces = bool(info.get("fragments"))
        manifest = self._seen.get(_address(info.get("manifest_url") or info["url"])) if in_pieces else None
        if manifest is not None:
            self._note(manifest)
        elif in_pieces or self._begun is None:
            self._forget()

    def check(self, url: str, asked: str | None, response: Any) -> None:
        """Compare an answer with what is there already; keep in mind what it is a part of.

        Args:
            url: the address that was asked, before redirects.
            asked: the `Range` header of the request.
            response: the answer.

        Raises:
            OtherFileError: if the answer would be glued to a part of another file; that part is gone then.
        """
        served, is_main = ServedFile.of(response), url == self._url
        before = self._begun if is_main else self._seen.get(url)
        self._seen[url] = served
        if self._url is None:
            return
        start, end, _ = parse_http_range(asked)
        if start and before is not None:
            if response.status == _PARTIAL and before.is_same(served):
                return
            # A whole file in answer to an open range makes yt-dlp start anew; in answer to a closed one it does not.
            if response.status == _PARTIAL or end is not None:
                response.close()
                self._start_anew()
        if is_main:
            self._note(served)

    def check_refused(self, asked: str | None) -> None:
        """Look at a request whose range the server does not have (status 416).

        Raises:
            OtherFileError: if the request was to go on with a partial file; that is gone then.
        """
        if self._url is not None and parse_http_range(asked)[0]:
            self._start_anew()

    def _start_anew(self) -> NoReturn:
        self._forget()
        raise OtherFileError("the file on the server is not the one that was begun; it is fetched from its start")

    @property
    def _record(self) -> Path:
        return self._path.with_name(self._path.name + RECORD_SUFFIX)

    def _note(self, served: ServedFile) -> None:
        if self._begun is None or not self._begun.is_same(served):
            self._forget()  # first: a kill in between must not leave parts with the wrong record
            write_text(self._record, served.model_dump_json())
            self._begun = served

    def _forget(self) -> None:
        remove(self._record)
        name = glob.escape(self._path.name)
        for found in [*self._path.parent.glob(f"{name}.part*"), *self._path.parent.glob(f"{name}.ytdl")]:
            remove(found)
        self._begun = None


def _address(url: str) -> str:
    """The URL as yt-dlp's requests spell it."""
    try:
        return str(Request(url).url)
    except ValueError:
        return url


def _read(record: Path) -> ServedFile | None:
    try:
        return ServedFile.model_validate_json(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError, UnicodeDecodeError):
        return None
