"""One bucket: put, get, copy, list and delete, and the one place that knows which faults pass by themselves."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from avis_data.errors import ToolError, fault_of, raise_interruption
from avis_data.extras import need_extra
from avis_data.storage.settings import UNFINISHED, Storage

__all__ = ["StorageError", "Store", "StoredObject"]

logger = logging.getLogger(__name__)

_TRIES = 12
"""Of each request. The pauses between them grow from 0.1 s to 15 s, so a fault may last for a minute."""
_FIRST_TRIES = 4
"""Of the first requests of a command: a wrong address is told within seconds."""
_AT_ONCE = 1000
"""So many keys one request lists or deletes, as S3 has it."""
_COPIED_AT_ONCE = 5 << 30
"""A larger object is copied in parts."""
_PASSES = {429, 500, 502, 503, 504}
_PASSING_CODES = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequestsException"}
_OF_THE_LINE = ("aiohttp.", "botocore.httpsession", "urllib3.")
_UNKNOWN_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_CREDENTIALS = "export AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; docs/buckets.md"


class StorageError(ToolError):
    """The bucket cannot be used now: no item is to blame, so the command ends."""


class StoredObject(NamedTuple):
    """What a list says of an object."""

    key: str
    """Below the prefix of the workspace."""
    etag: str
    """Changes whenever the bytes do."""
    size_bytes: int


class Store:
    """An open bucket. Keys are those below the prefix of the workspace. Nothing is asked before it is used.

    Every method raises StorageError where the bucket cannot be used, after the tries that a passing fault is worth.
    """

    def __init__(self, settings: Storage) -> None:
        """Raises ToolError if the packages of the extra are missing."""
        need_extra("buckets", what=f"storage: {settings.storage}")
        self.settings = settings
        self._fs: Any = None
        self._process = os.getpid()

    def check(self) -> None:
        """Find out whether it may be listed, written and deleted from, before any work is begun.

        Raises:
            StorageError: if not, with what to do.
        """
        fs = self._opened()
        fs.retries = _FIRST_TRIES
        key = f"{UNFINISHED}may-write-{uuid4().hex}"
        with self._told("be listed"):
            fs.call_s3("list_objects_v2", Bucket=self.settings.bucket, Prefix=self._key(key), MaxKeys=1)
        with self._told("be written to"):
            fs.call_s3("put_object", Bucket=self.settings.bucket, Key=self._key(key), Body=b"")
        self.delete([key])
        fs.retries = _TRIES

    def put(self, path: Path, key: str) -> None:
        """Upload a file; the object is there whole or not at all."""
        with self._told("be written to"):
            self._opened().put_file(str(path), self._address(key))

    def get(self, key: str, path: Path) -> None:
        """Download an object. Raises FileNotFoundError where there is none; the file is left torn on any error."""
        with self._told("be read"):
            self._opened().get_file(self._address(key), str(path))

    def head(self, key: str) -> StoredObject:
        """What the bucket says of an object, without its bytes. Raises FileNotFoundError where there is none."""
        with self._told("be read"):
            found = self._opened().call_s3("head_object", Bucket=self.settings.bucket, Key=self._key(key))
        return StoredObject(key, _etag(found), int(found["ContentLength"]))

    def copy(self, key: str, to: str, *, size_bytes: int) -> str:
        """Copy an object within the bucket, without its bytes coming here; gives the ETag of the copy.

        Raises:
            FileNotFoundError: if there is none.
        """
        if size_bytes >= _COPIED_AT_ONCE:
            with self._told("be written to"):
                self._opened().cp_file(self._address(key), self._address(to))
            return self.head(to).etag
        source = {"Bucket": self.settings.bucket, "Key": self._key(key)}
        with self._told("be written to"):
            made = self._opened().call_s3(
                "copy_object", Bucket=self.settings.bucket, Key=self._key(to), CopySource=source
            )
        return _etag(made["CopyObjectResult"])

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key begins like this, by key: a request for each thousand."""
        start = self._key(prefix)
        more: dict[str, str] = {}
        while True:
            with self._told("be listed"):
                page = self._opened().call_s3("list_objects_v2", Bucket=self.settings.bucket, Prefix=start, **more)
            for found in page.get("Contents", ()):
                yield StoredObject(found["Key"].removeprefix(self.settings.prefix), _etag(found), int(found["Size"]))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there are no error."""
        names = [{"Key": self._key(key)} for key in keys]
        for first in range(0, len(names), _AT_ONCE):
            wanted = {"Objects": names[first : first + _AT_ONCE], "Quiet": True}
            with self._told("be deleted from"):
                said = self._opened().call_s3("delete_objects", Bucket=self.settings.bucket, Delete=wanted)
            if refused := said.get("Errors"):
                raise self._error("be deleted from", f"{refused[0].get('Code')}: {refused[0].get('Message')}")

    def __getstate__(self) -> dict[str, Storage]:
        return {"settings": self.settings}  # a worker opens its own

    def __setstate__(self, state: dict[str, Storage]) -> None:
        self.settings, self._fs, self._process = state["settings"], None, os.getpid()

    def _key(self, key: str) -> str:
        return f"{self.settings.prefix}{key}"

    def _address(self, key: str) -> str:
        return f"{self.settings.bucket}/{self._key(key)}"

    def _opened(self) -> Any:
        if self._fs is None or self._process != os.getpid():  # a process that was forked cannot use its parent's
            import s3fs.core

            self._process = os.getpid()

            s3fs.core.set_custom_error_handler(_passes)
            self._fs = s3fs.S3FileSystem(
                anon=False,
                endpoint_url=self.settings.endpoint_url,
                use_listings_cache=False,
                skip_instance_cache=True,
                config_kwargs={"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60},
            )
            self._fs.retries = _TRIES
        return self._fs

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Whatever the packages say of the bucket, in our words; a missing object and the machine's faults pass on."""
        try:
            yield
        except Exception as error:  # of many kinds: of the connection, of S3, of the system
            raise_interruption(error)
            code = _code(error)
            if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
                raise
            if code is None and isinstance(error, OSError) and error.filename and fault_of(error) is not None:
                raise  # of the file on this side
            raise self._explained(what, error, code) from error

    def _explained(self, what: str, error: Exception, code: str | None) -> StorageError:
        where = self.settings.endpoint_url or "its server"
        if code == "NoSuchBucket":
            hint = f"make it, or name another one in storage.yaml ({where} was asked)"
            return StorageError(f"there is no bucket {self.settings.bucket!r}", hint=hint)
        kind = type(error).__name__
        if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
            return StorageError(f"{self.settings.storage}: no credentials for it were found", hint=_CREDENTIALS)
        if code in _UNKNOWN_KEYS:
            return self._error(what, f"its server does not take these credentials ({code})", hint=_CREDENTIALS)
        if isinstance(error, PermissionError):
            hint = "ask its owner for the rights to list, read, write and delete below this prefix"
            return self._error(what, f"these credentials may not do that ({code or error})", hint=hint)
        if _passes(error) or isinstance(error, TimeoutError):
            said = f"{code or kind}, also at the last of several tries"
            return self._error(what, said, hint="what was done is kept; run the same command again later")
        return self._error(what, f"{code or kind}: {error}")

    def _error(self, what: str, why: str, *, hint: str | None = None) -> StorageError:
        return StorageError(f"{self.settings.storage} cannot {what}: {why}", hint=hint)


def _etag(said: Any) -> str:
    return str(said["ETag"]).strip('"')


def _code(error: BaseException | None) -> str | None:
    """What the server called the fault, from the answer behind an exception."""
    while error is not None:
        said = getattr(error, "response", None)
        if isinstance(said, dict):
            return str(said.get("Error", {}).get("Code") or "") or None
        error = error.__cause__
    return None


def _passes(error: BaseException) -> bool:
    """Whether the same request may go well some seconds later: a busy server, a broken line."""
    found: BaseException | None = error
    while found is not None:
        said = getattr(found, "response", None)
        if isinstance(said, dict):
            status = said.get("ResponseMetadata", {}).get("HTTPStatusCode")
            passes = status in _PASSES or said.get("Error", {}).get("Code") in _PASSING_CODES
            if passes:
                logger.info("the bucket answers %s (%s)", status, said.get("Error", {}).get("Code"))
            return passes
        if _is_of_the_line(found):
            logger.info("the line to the bucket broke: %s", type(found).__name__)
            return True
        found = found.__cause__
    return False


def _is_of_the_line(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__]
    return any(kind.startswith(_OF_THE_LINE) for kind in kinds) or any(
        kind in ("botocore.exceptions.ConnectionError", "botocore.exceptions.HTTPClientError") for kind in kinds
    )
