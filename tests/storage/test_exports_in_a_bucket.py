"""Exports of a workspace whose files live in a bucket, what reads them from there, and what is taken away again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avis_data.errors import DataError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.storage.exports import publish_export
from avis_data.storage.fetched import fetched_export, later_stills
from avis_data.storage.settings import Storage
from avis_data.storage.store import StorageError, Store
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.split import open_split
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


def trained(data: str | Path, out: Path, *more: str) -> dict[str, torch.Tensor]:
    """What a tiny model has learnt after two iterations."""
    short = ["loop.iterations=2", "data.batch=1", "data.workers=1", "validation.every=2", "validation.clips=1"]
    settings = [word for setting in short for word in ("--set", setting)]
    base = ("train-baseline", "--data", data, "--config", "avism_tiny", "--out", out, "--device", "cpu")
    ran = avis_data(*base, *settings, *more)
    assert ran.code == 0, ran.err
    weights: dict[str, torch.Tensor] = load_file(out / "checkpoints" / "0000002" / "model.safetensors")
    return weights


@pytest.fixture
def in_bucket(exported: tuple[Path, Path, BucketServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the export; nothing of it is on this machine."""
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", exported[2].url)
    return f"s3://{BUCKET}/stored/exports/ytvis"


@pytest.mark.parametrize("more", [(), ("--stream-data",)], ids=["fetched first", "as a stream"])
def test_a_model_is_trained_from_a_bucket(
    exported: tuple[Path, Path, BucketServer], in_bucket: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    """It learns to the bit what it learns from the export in the folder, also while requests fail."""
    local, _, server = exported
    server.fail(0.2 if more else 0)
    bucket = trained(in_bucket, tmp_path / "bucket", *more)
    server.fail(0)
    folder = trained(local / "exports" / "ytvis", tmp_path / "folder")
    assert bucket.keys() == folder.keys() and all(torch.equal(bucket[name], folder[name]) for name in folder)
    stills = {path.parts[-4] for path in (tmp_path / "home").rglob("*.jpg")}
    assert stills == ({"train", "val"} if more else {"train", "val", "test"}), "no still of a split that nobody read"


@pytest.mark.parametrize("command", ["train-baseline", "predict"])
def test_only_an_export_in_a_bucket_is_streamed(command: str, tmp_path: Path) -> None:
    ran = avis_data(command, "--stream-data", "--data", tmp_path)
    assert ran.code == 2
    assert f"--stream-data is for an export in a bucket, s3://… (found {tmp_path})" in ran.err


def test_stills_that_come_later_are_compared_and_kept(
    exported: tuple[Path, Path, BucketServer], in_bucket: str, tmp_path: Path
) -> None:
    local, _, server = exported
    folder = fetched_export(in_bucket, stills_later=True)
    assert not list(folder.rglob("*.jpg")) and (folder / "train.json").is_file()
    split = open_split(folder, "train", num_classes=26, audio=AudioFeatures("logmel"))
    (clip,) = split.clips
    server.counts()
    pictures = [np.asarray(clip.picture(frame)) for frame in (0, 1, 0)]
    assert server.counts()["object GET"] == 2, "what came stays"
    there = open_split(local / "exports" / "ytvis", "train", num_classes=26, audio=None).clips[0]
    np.testing.assert_array_equal(pictures[1], np.asarray(there.picture(1)))
    assert fetched_export(in_bucket, stills_later=True) == folder
    assert server.counts()["object GET"] == 2, "the certificate and the list"
    assert len(list(folder.rglob("*.jpg"))) == 2
    key = f"stored/exports/ytvis/train/JPEGImages/{clip.file_names[2]}"
    kept = server.objects(key)[key]
    server.put(key, b"something else")
    with pytest.raises(DataError, match=r"is not what files\.sha256 says"):
        clip.picture(2)
    server.delete([key])
    with pytest.raises(DataError, match=r"is gone, though files\.sha256 names it"):
        clip.picture(2)
    server.put(key, kept)
    whole = fetched_export(in_bucket)
    assert whole == folder and later_stills(folder) is None, "all the rest was fetched"
    assert len(list(folder.rglob("*.jpg"))) == 9
    assert list(Path(tmp_path / "home").rglob(".part-*")) == []


def test_a_folder_from_elsewhere_does_not_say_whom_we_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / ".later").write_text(f"s3://{BUCKET}/of-a-stranger")
    (tmp_path / "set" / "files.sha256").write_text("")
    assert later_stills(tmp_path / "set") is None


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
    precious = tmp_path / "precious.jpg"
    precious.write_text("of the user")
    for name in ("train/JPEGImages/../../../../../precious.jpg", str(precious)):
        bucket_server.put("set/files.sha256", f"{'0' * 64}  {name}\n".encode())
        with pytest.raises(DataError, match="leads out"):
            fetched_export(f"s3://{BUCKET}/set", stills_later=True)
    assert precious.read_text() == "of the user"


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
