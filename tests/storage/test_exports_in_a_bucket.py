"""Exports of a workspace whose files live in a bucket, what reads them from there, and what is taken away again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from avis_data.errors import DataError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.storage.exports import fetched_export, publish_export
from avis_data.storage.settings import Storage
from avis_data.storage.store import StorageError, Store
from support.bucket import BUCKET, BucketServer, bucket_server, served_bucket
from support.shell import avis_data
from support.stored_world import made_workspace, run, small_world, without_media

__all__ = ["bucket_server"]

EXPORT = ("export", "--split", "1/1/1", "--seed", 1)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, BucketServer]]:
    """A workspace in a folder and one with a bucket, each with its export; the second was made on a fresh machine."""
    root = tmp_path_factory.mktemp("exports")
    videos = small_world(root)
    with served_bucket() as server:
        local, stored = made_workspace(root / "local", videos, None), made_workspace(root / "stored", videos, server)
        for workspace in (local, stored):
            assert run(workspace).code == 0
            assert avis_data("-C", workspace, "import", "--format", "ytvis", videos.parent / "truth.json").code == 0
        fresh = without_media(stored, root / "fresh")
        assert avis_data("-C", local, *EXPORT).code == 0
        server.fail(0.2)
        ran = avis_data("-C", fresh, *EXPORT)
        server.fail(0)
        assert ran.code == 0, ran.err
        yield local, fresh, server


def test_the_export_in_the_bucket_is_that_of_a_folder(exported: tuple[Path, Path, BucketServer]) -> None:
    local, fresh, server = exported
    found = server.objects("stored/exports/ytvis/")
    assert {key.removeprefix("stored/exports/ytvis/"): data for key, data in found.items()} == tree(
        local / "exports" / "ytvis"
    )
    server.counts()
    assert avis_data("-C", fresh, *EXPORT).code == 0
    assert server.counts()["PUT"] == 0, "what is there is not uploaded again"


def test_an_export_in_a_bucket_is_fetched_once(
    exported: tuple[Path, Path, BucketServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, _, server = exported
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    url = f"s3://{BUCKET}/stored/exports/ytvis"
    fetched_export(url)
    server.counts()
    copy = fetched_export(url)
    assert server.counts()["object GET"] == 2, "the certificate and the list say that nothing changed"
    wanted = tree(local / "exports" / "ytvis")
    assert {name: data for name, data in tree(copy).items() if name in wanted} == wanted


def test_a_model_is_trained_from_a_bucket(
    exported: tuple[Path, Path, BucketServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns to the bit what it learns from the export in the folder."""
    local, _, server = exported
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    short = ["loop.iterations=2", "data.batch=1", "data.workers=0", "validation.every=2", "validation.clips=1"]
    learnt = []
    for name, data in (("bucket", f"s3://{BUCKET}/stored/exports/ytvis"), ("folder", local / "exports" / "ytvis")):
        settings = [word for setting in short for word in ("--set", setting)]
        out = tmp_path / name
        ran = avis_data(
            "train-baseline", "--data", data, "--config", "avism_tiny", "--out", out, "--device", "cpu", *settings
        )
        assert ran.code == 0, ran.err
        learnt.append(load_file(out / "checkpoints" / "0000002" / "model.safetensors"))
    bucket, folder = learnt
    assert bucket.keys() == folder.keys() and all(torch.equal(bucket[name], folder[name]) for name in folder)


def test_an_export_is_there_whole_or_not_at_all(bucket_server: BucketServer, tmp_path: Path) -> None:
    store = Store(Storage(storage=f"s3://{BUCKET}/ds", endpoint_url=bucket_server.url))
    folder = tmp_path / "ytvis"
    folder.mkdir()
    (folder / "certificate.json").write_text("{}")
    (folder / "files.sha256").write_text("")
    (folder / "a.json").write_text("first")
    (folder / "old.json").write_text("")
    publish_export(store, folder, "exports/ytvis/")
    (folder / "a.json").write_text("second")
    (folder / "old.json").unlink()
    bucket_server.fail(1, code="AccessDenied", only="a.json")
    with pytest.raises(StorageError, match="may not do that"):
        publish_export(store, folder, "exports/ytvis/")
    bucket_server.fail(0)
    assert "ds/exports/ytvis/certificate.json" not in bucket_server.objects(), "a mixture is no export"
    publish_export(store, folder, "exports/ytvis/")
    assert bucket_server.objects() == {f"ds/exports/ytvis/{name}": data for name, data in tree(folder).items()}


def test_what_is_not_what_its_list_says_is_not_read(
    bucket_server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server.url)
    with pytest.raises(DataError, match="no finished export"):
        fetched_export(f"s3://{BUCKET}/none")
    bucket_server.put("set/certificate.json", b"{}")
    bucket_server.put("set/a", b"changed")
    for listed, said in (("0" * 64 + "  a\n", "is not what"), ("0" * 64 + "  ../a\n", "leads out")):
        bucket_server.put("set/files.sha256", listed.encode())
        with pytest.raises(DataError, match=said):
            fetched_export(f"s3://{BUCKET}/set")
    assert not (tmp_path / "a").exists()


def test_prune_du_and_remove_know_the_bucket(exported: tuple[Path, Path, BucketServer], tmp_path: Path) -> None:
    _, fresh, server = exported
    other = tmp_path / "other"
    shutil.copytree(fresh, other, ignore=shutil.ignore_patterns("exports", ".tmp", ".lock"))
    server.put("stored/sources/synth3-0000.mkv", b"an older source")
    server.put("stored/.tmp/x/out-1/audio.wav", b"half done")
    server.counts()
    said = avis_data("-C", other, "prune", "--json").json["files"]
    assert said["in the bucket: of an older recipe or source"]["files"] == 1
    assert said["in the bucket: left half done"] == {"files": 1, "bytes": 9}
    groups = {group["group"]: group["files"] for group in avis_data("-C", other, "du", "--json").json["bucket"]}
    assert server.counts()["object GET"] == 0
    assert groups["sources"] == 4 and groups["stills"] == 6 and groups["sound"] == 6
    assert avis_data("-C", other, "prune", "--yes").code == 0
    assert avis_data("-C", other, "remove", "synth3-0001", "--reason", "takedown").code == 0
    keys = [key for key in server.objects("stored/") if not key.startswith("stored/exports/")]
    assert len(keys) == 12 and not any("synth3-0001" in key or ".tmp" in key or ".mkv" in key for key in keys)
    with Ledger(other / "ledger.sqlite", read_only=True) as ledger:
        bucket = bucket_of(Workspace(other))
        assert bucket is not None
        assert {f"stored/{output.key}" for output in ledger.left.all() if bucket.has(output)} == set(keys)
