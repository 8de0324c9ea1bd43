"""Stills that come when they are read: the process dies at any moment, and nothing torn is ever read."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest

from avis_data.io import sha256_text
from avis_data.storage.fetched import fetched_export, later_stills
from support.bucket import BUCKET, BucketServer, bucket_server
from support.forked import forked

__all__ = ["bucket_server"]

DIED = 9
READS = """
import os, sys
from avis_data.storage.fetched import fetched_export, later_stills
url, phase, last, changes = sys.argv[1], sys.argv[2], int(sys.argv[3]), 0
def watch(event, given):
    global changes
    writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in {"os.rename", "os.remove", "os.mkdir"}:
        changes += 1
        if changes == last:
            os._exit(9)
if phase == "export":
    sys.addaudithook(watch)
folder = fetched_export(url, stills_later=True)
if phase == "stills":
    sys.addaudithook(watch)
later = later_stills(folder)
later.bring(folder / parent / name for parent, names in sorted(later.names().items()) for name in sorted(names))
"""


@pytest.mark.parametrize("phase", ["export", "stills"])
def test_a_kill_leaves_whole_stills_only(
    phase: str, bucket_server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the export is fetched but for its stills, or while these come."""
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server.url)
    whole = {f"0000{number}.jpg": f"still {number}" for number in range(3)}
    files = {"train.json": "{}"} | {f"train/JPEGImages/a/{name}": text for name, text in whole.items()}
    listed = "".join(f"{sha256_text(text)}  {name}\n" for name, text in files.items())
    for name, text in {**files, "certificate.json": "{}", "files.sha256": listed}.items():
        bucket_server.put(f"set/{name}", text.encode())
    url, kept = f"s3://{BUCKET}/set", [0]
    for number in count(1):
        ran = forked(READS, [url, phase, number], cwd=None, environment=os.environ)
        assert ran.returncode in (0, DIED), ran.stderr
        there = {path.name: path.read_text() for path in tmp_path.rglob("*.jpg")}
        assert there.items() <= whole.items(), "torn"
        if not ran.returncode:
            break
        kept.append(len(there))
        for path in tmp_path.rglob("*.jpg"):  # what came would leave little to die in
            path.unlink()
    assert number > 6 and (max(kept) > 0) == (phase == "stills"), "it never died while stills came"
    for left in tmp_path.rglob(".part-*"):
        os.utime(left, (0, 0))  # of long ago: a younger one may be of somebody who is at work
    folder = fetched_export(url, stills_later=True)
    later = later_stills(folder)
    assert later is not None and later.names() == {"train/JPEGImages/a": whole.keys()}
    assert {path.name: path.read_text() for path in folder.rglob("*.jpg")} == whole
    assert not list(tmp_path.rglob(".part-*")), "what a kill left behind"
