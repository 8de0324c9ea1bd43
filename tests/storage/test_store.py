"""One bucket, as the product talks with it, against a real S3 server that breaks down."""

from __future__ import annotations

import os
import random
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from avis_data.errors import ItemError, Reason
from avis_data.io import sha256_tree
from avis_data.ledger import Output
from avis_data.storage.objects import as_object, local_copy
from avis_data.storage.settings import Storage, storage_of
from avis_data.storage.store import StorageError, Store
from support.bucket import BUCKET, BucketServer, bucket_server

__all__ = ["bucket_server"]

KEYS = ["a/0", "a/1", "a/2", "b"]


def opened(server: BucketServer, prefix: str = "deep/ds") -> Store:
    return Store(Storage(storage=f"s3://{BUCKET}/{prefix}", endpoint_url=server.url))


def test_nothing_is_lost_or_torn_where_a_third_of_the_requests_fail(
    bucket_server: BucketServer, tmp_path: Path
) -> None:
    chance, store = random.Random(3), opened(bucket_server)
    made = {key: chance.randbytes(200_000) for key in KEYS}
    bucket_server.fail(0.33)
    store.check()
    for key, data in made.items():
        (tmp_path / "file").write_bytes(data)
        store.put(tmp_path / "file", f"first/{key}")
        etag = store.copy(f"first/{key}", key, size_bytes=len(data))
        assert store.head(key).etag == etag
        store.get(key, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data
    store.delete(f"first/{key}" for key in KEYS)
    listed = [(found.key, found.size_bytes) for found in store.list()]
    bucket_server.fail(0)
    assert bucket_server.counts()["failed"] > 5, "the server was to fail"
    assert listed == [(key, 200_000) for key in KEYS]
    assert bucket_server.objects() == {f"deep/ds/{key}": data for key, data in made.items()}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDenied", "these credentials may not do that"),
        ("InvalidAccessKeyId", "does not take these credentials"),
        ("NoSuchBucket", "there is no bucket 'our-data'"),
    ],
)
def test_what_does_not_pass_is_told_at_once(bucket_server: BucketServer, code: str, said: str) -> None:
    bucket_server.fail(1, code=code)
    with pytest.raises(StorageError, match=said) as caught:
        opened(bucket_server).check()
    assert bucket_server.counts()["failed"] == 1, "it was asked again, to no end"
    assert caught.value.hint and os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)


def test_a_server_that_stays_busy_is_given_up(bucket_server: BucketServer) -> None:
    bucket_server.fail(1)
    with pytest.raises(StorageError, match="also at the last of several tries"):
        opened(bucket_server).check()
    assert 1 < bucket_server.counts()["failed"] < 10


def test_without_credentials_it_says_how_to_give_them(
    bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(StorageError, match="no credentials") as caught:
        opened(bucket_server).check()
    assert "AWS_PROFILE" in str(caught.value)


def test_a_folder_is_one_object_of_the_same_bytes_whenever_it_is_made(tmp_path: Path) -> None:
    packed = []
    for name, order in (("one", ["b/2", "a"]), ("two", ["a", "b/2"])):
        for file in order:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(f"text of {file}")
            os.utime(tmp_path / name / file, (len(packed), 7))
        with as_object(tmp_path / name) as file:
            packed.append(file.read_bytes())
    assert packed[0] == packed[1]
    with tarfile.open(fileobj=BytesIO(packed[0])) as tar:
        assert tar.getnames() == ["a", "b/2"]


def stored(store: Store, folder: Path) -> Output:
    """A folder of two files, stored and removed here."""
    folder.mkdir(parents=True)
    (folder / "x").write_text("1")
    (folder / "y").write_text("2")
    found = Output("clips/c/frames", sha256_tree(folder), 2, folder.stat().st_mtime_ns, "clips/c/frames.tar")
    with as_object(folder) as file:
        store.put(file, found.key)
    return found


def test_a_copy_is_fetched_once_and_is_as_good_as_the_original(bucket_server: BucketServer, tmp_path: Path) -> None:
    store = opened(bucket_server)
    kept = stored(store, tmp_path / "made")
    for _ in range(2):
        path = local_copy(store, tmp_path / "ws", kept, scratch=tmp_path)
    assert bucket_server.counts()["object GET"] == 1
    assert sorted(file.name for file in path.iterdir()) == ["x", "y"] and sha256_tree(path) == kept.sha256
    assert path.stat().st_mtime_ns == kept.mtime_ns
    (path / "x").write_text("edited")
    (path / "new").write_text("")
    assert sha256_tree(local_copy(store, tmp_path / "ws", kept, scratch=tmp_path)) == kept.sha256


def test_what_is_not_what_was_stored_never_takes_the_name(bucket_server: BucketServer, tmp_path: Path) -> None:
    store = opened(bucket_server)
    kept = stored(store, tmp_path / "made")
    evil = BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))
    for data, reason in ((b"no tar", Reason.TORN_INPUT), (evil.getvalue(), Reason.TORN_INPUT)):
        bucket_server.put(f"deep/ds/{kept.key}", data)
        with pytest.raises(ItemError, match=r"clips/c/frames\.tar") as caught:
            local_copy(store, tmp_path / "ws", kept, scratch=tmp_path)
        assert caught.value.reason is reason
    bucket_server.delete([f"deep/ds/{kept.key}"])
    with pytest.raises(ItemError, match="gone from the bucket") as caught:
        local_copy(store, tmp_path / "ws", kept, scratch=tmp_path)
    assert caught.value.reason is Reason.SOURCE_MISSING
    assert not (tmp_path / "ws" / "clips").exists() and not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "url", ["gs://b/p", "s3://B/p", "s3://key:secret@bucket/p", "bucket/p", "s3://bucket/../p", "s3://bucket/a b"]
)
def test_an_address_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    from avis_data.errors import ProblemsError
    from avis_data.paths import Workspace

    (tmp_path / "storage.yaml").write_text(f'storage: "{url}"\n')
    with pytest.raises(ProblemsError, match="must be s3://bucket/prefix"):
        storage_of(Workspace(tmp_path))
