"""A real S3 server, moto's, in a process of its own, that breaks down as often as it is told to."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

__all__ = ["BUCKET", "BucketServer", "bucket_server", "served_bucket"]

BUCKET = "our-data"
_CONTROL = "/-control"
_KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-too", "AWS_DEFAULT_REGION": "us-east-1"}
_START_S = 60.0


class BucketServer:
    """The server as a test sees it; it looks at objects without going through the product."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fail(self, share: float = 0.0, *, code: str | None = None, only: str = "") -> None:
        """Fail such a share of the requests from now on.

        Args:
            share: of all requests whose path holds `only`.
            code: an S3 error code to answer with; None: 503, 500, hanging up before and within the answer by turns.
            only: see `share`.
        """
        said = {"share": share, "code": code, "only": only}
        requests.post(self.url + _CONTROL, json=said, timeout=30).raise_for_status()

    def counts(self) -> Counter[str]:
        """How many requests there were since the last call, by method.

        `failed` are those that were made to fail, `object GET` those that ask for the bytes of one object.
        """
        return Counter(requests.get(self.url + _CONTROL, timeout=30).json())

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Every object by key."""
        s3 = self._client()
        found: dict[str, bytes] = {}
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for one in page.get("Contents", ()):
                found[one["Key"]] = s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        return found

    def put(self, key: str, data: bytes) -> None:
        """Write an object behind the product's back."""
        self._client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects behind the product's back."""
        for key in keys:
            self._client().delete_object(Bucket=BUCKET, Key=key)

    def make(self) -> None:
        """Make the bucket."""
        self._client().create_bucket(Bucket=BUCKET)

    def _client(self) -> Any:
        import boto3

        return boto3.client("s3", endpoint_url=self.url)


@contextmanager
def served_bucket() -> Iterator[BucketServer]:
    """A server with the empty bucket `BUCKET`, and credentials for it in the environment, while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = {name: os.environ.get(name) for name in (*_KEYS, "AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE")}
    os.environ |= {**_KEYS, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    process = subprocess.Popen([sys.executable, __file__, str(port)], stderr=subprocess.DEVNULL)
    try:
        server = BucketServer(f"http://127.0.0.1:{port}")
        _await(server, process)
        server.make()
        server.counts()
        yield server
    finally:
        process.kill()
        process.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture
def bucket_server() -> Iterator[BucketServer]:
    """As `served_bucket`, for a test."""
    with served_bucket() as server:
        yield server


def _await(server: BucketServer, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            server.counts()
            return
        except requests.ConnectionError:
            assert process.poll() is None, "moto's server ended before it began"
            time.sleep(0.1)
    raise AssertionError("moto's server does not answer")


class _Faulty:
    """Passes requests on to moto, but for the share that fails."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._share, self._code, self._only = 0.0, None, ""
        self._counts: Counter[str] = Counter()
        self._random, self._lock = random.Random(17), threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == _CONTROL:
            return self._control(environ, start_response)
        with self._lock:
            self._counts[method] += 1
            if path.count("/") > 1 and "list-type" not in environ["QUERY_STRING"]:
                self._counts[f"object {method}"] += 1
            fails = self._only in path and self._random.random() < self._share
            way = self._random.randrange(4)
            self._counts["failed"] += fails
        if not fails:
            return self._application(environ, start_response)
        if way != 2 or self._code is not None:
            _read_body(environ)
        if self._code is not None:
            return _error(start_response, "403 Forbidden", self._code)
        if way == 0:
            return _error(start_response, "503 Slow Down", "SlowDown")
        if way == 1:
            return _error(start_response, "500 Internal Server Error", "InternalError")
        if way == 2:  # the work is done, and the answer is lost
            answer = b"".join(self._application(environ, start_response))
            return _half(answer, environ["werkzeug.socket"])
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return []

    def _control(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            said = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self._share, self._code, self._only = said["share"], said["code"], said["only"]
            answer = b"{}"
        else:
            answer = json.dumps(self._counts).encode()
            self._counts.clear()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]


def _read_body(environ: dict[str, Any]) -> None:
    """What is left in the line would be taken for the next request."""
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        environ["wsgi.input"].read()
    else:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _half(answer: bytes, line: socket.socket) -> Iterator[bytes]:
    if len(answer) > 1:
        yield answer[: len(answer) // 2]
    line.shutdown(socket.SHUT_RDWR)


def _error(start_response: Callable[..., Any], status: str, code: str) -> Iterable[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made to fail</Message></Error>".encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, _Faulty(DomainDispatcherApplication(create_backend_app)), threaded=True)


if __name__ == "__main__":
    here = str(Path(__file__).parent)
    sys.path = [path for path in sys.path if path != here]  # its modules have names that packages have too
    _serve(int(sys.argv[1]))
