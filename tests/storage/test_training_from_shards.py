"""Shards of `export --format webdataset`, in a folder or a bucket: trained from like the export of the same clips."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file

from avis_data.formats.ytvis import read_ytvis
from avis_data.pipelines.unpacked_shards import is_shards, unpacked_shards
from avis_data.storage.exports import publish_export
from avis_data.storage.settings import Storage
from avis_data.storage.store import Store
from avis_data.training.data.frame_times import frame_times
from support.bucket import BUCKET, BucketServer, bucket_server
from support.shell import Ran, avis_data
from support.stored_world import made_workspace, run, small_world

__all__ = ["bucket_server"]

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two exports of the same clips and splits: `ytvis` and `webdataset`."""
    root = tmp_path_factory.mktemp("shards")
    videos = small_world(root)
    workspace = made_workspace(root / "dataset", videos, None)
    assert run(workspace).code == 0
    assert avis_data("-C", workspace, "import", "--format", "ytvis", videos.parent / "truth.json").code == 0
    for name in ("ytvis", "webdataset"):
        assert avis_data("-C", workspace, "export", "--format", name, "--split", "1/1/1", "--seed", 1).code == 0
    yield workspace / "exports"


@pytest.fixture
def shards(exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those in a folder of their own, and nothing of them unpacked yet."""
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    copy = tmp_path / "webdataset"
    copy.mkdir()
    for path in (exports / "webdataset").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def train(data: str | Path, out: Path, config: str = "avism_tiny") -> Ran:
    """Two iterations of a tiny model."""
    short = ["loop.iterations=2", "data.batch=1", "data.workers=1", "validation.every=2", "validation.clips=1"]
    settings = [word for setting in short for word in ("--set", setting)]
    return avis_data(
        *("train-baseline", "--data", data, "--config", config, "--out", out, "--device", "cpu"), *settings
    )


def learnt(data: str | Path, out: Path, config: str) -> dict[str, torch.Tensor]:
    """What it has learnt then."""
    ran = train(data, out, config)
    assert ran.code == 0, ran.err
    weights: dict[str, torch.Tensor] = load_file(out / "checkpoints" / "0000002" / "model.safetensors")
    return weights


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_model_learns_from_shards_what_it_learns_from_files(
    place: str,
    exports: Path,
    shards: Path,
    bucket_server: BucketServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the bit; of a bucket also while a fifth of the requests fail."""
    data: str | Path = shards
    if place == "bucket":
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server.url)
        data = f"s3://{BUCKET}/{place}/exports/webdataset"
        publish_export(Store(Storage(storage=f"s3://{BUCKET}/{place}")), shards, "exports/webdataset/")
        bucket_server.fail(0.2)
    config = "avism_tiny" if place == "folder" else "heed_tiny"  # which hears from where
    found = learnt(data, tmp_path / "of-shards", config)
    said = train(data, tmp_path / "said").err
    bucket_server.fail(0)
    wanted = learnt(exports / "ytvis", tmp_path / "of-files", config)
    (place,) = (line.partition(" lies in ")[2] for line in said.splitlines() if line.startswith(f"data: {data} "))
    assert (Path(place) / "test.json").is_file(), "for evaluate --truth"
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_what_is_unpacked_is_the_export_of_the_same_clips(exports: Path, shards: Path) -> None:
    """Stills, sound and embeddings byte for byte, truth to the pixel, numbers of clips and categories."""
    assert is_shards(shards) and not is_shards(exports / "ytvis")
    found, sides = unpacked_shards(shards), []
    wanted = [path for path in (exports / "ytvis").rglob("*") if path.is_file() and path.parent != exports / "ytvis"]
    assert {path.suffix for path in wanted} == {".jpg", ".wav", ".npy"}
    for path in wanted:
        name = path.relative_to(exports / "ytvis")
        if path.suffix == ".wav":
            files = (found / name, path)
            ours_NC, theirs_NC = (soundfile.read(file, dtype="int16", always_2d=True)[0] for file in files)
            assert np.array_equal(np.broadcast_to(ours_NC, theirs_NC.shape), theirs_NC), name
            sides.append(not np.array_equal(ours_NC[:, 0], ours_NC[:, -1]))
        else:
            assert (found / name).read_bytes() == path.read_bytes(), name
    assert any(sides), "what comes from one side still does"
    said = [json.loads((root / "certificate.json").read_text())["embeddings"] for root in (found, exports / "ytvis")]
    assert said[0] == said[1], "with which weights they were made"
    for split in SPLITS:
        ours, theirs = (read_ytvis(root / f"{split}.json") for root in (found, exports / "ytvis"))
        assert [(video.video_id, video.name) for video in ours.videos] == [
            (video.video_id, video.name) for video in theirs.videos
        ]
        assert [frame_times(video) for video in ours.videos] == [frame_times(video) for video in theirs.videos]
        assert [(one.id, one.name) for one in ours.categories] == [(one.id, one.name) for one in theirs.categories]
        assert [(track.category_id, track.masks) for track in ours.tracks] == [
            (track.category_id, track.masks) for track in theirs.tracks
        ]


def test_an_archive_beside_another_dataset_is_none_of_them(shards: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "videos.tar", "w") as archive:
        archive.add(shards / "README.md", "README.md")
    assert is_shards(shards) and not is_shards(tmp_path)


def test_a_folder_of_several_sets_is_none_of_them(exports: Path, shards: Path, tmp_path: Path) -> None:
    """Shards may lie in folders of splits; of several sets none is chosen for who names the folder of all."""
    assert not is_shards(exports)
    for split in SPLITS:
        (tmp_path / "set" / split).mkdir(parents=True)
        (shards / f"{split}-000000.tar").rename(tmp_path / "set" / split / "000000.tar")
    assert is_shards(tmp_path / "set")


def test_shards_are_unpacked_once_and_anew_when_they_change(shards: Path) -> None:
    """What they held before stays for a week: a training may be reading it."""
    first = unpacked_shards(shards)
    before = (first / "train.json").stat().st_mtime_ns
    assert unpacked_shards(shards) == first and (first / "train.json").stat().st_mtime_ns == before
    (shards / "val-000000.tar").unlink()
    second = unpacked_shards(shards)
    assert second != first and not (second / "val.json").exists() and (first / "val.json").exists()
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(first.parent / ".whole", (long_ago, long_ago))
    assert unpacked_shards(shards) == second and not first.exists()


def test_what_a_kill_left_is_cleared_away(shards: Path) -> None:
    place = unpacked_shards(shards).parent
    (place / ".part-killed").mkdir()
    (place / ".whole").unlink()
    again = unpacked_shards(shards)
    assert (again / "train.json").is_file() and not list(place.glob(".part-*"))


def test_nobody_trains_on_less_than_they_think(shards: Path, tmp_path: Path) -> None:
    """A damaged shard is named, with what to do, and nothing is unpacked."""
    torn = shards / "test-000000.tar"
    os.truncate(torn, torn.stat().st_size // 2)
    ran = train(shards, tmp_path / "run")
    assert ran.code == 3 and "test-000000.tar" in ran.err and "avis-data convert" in ran.err, ran.err
    assert not (tmp_path / "run").exists() and not list((tmp_path / "home").rglob("*.jpg"))


def test_splits_of_other_names_are_refused(shards: Path, tmp_path: Path) -> None:
    (shards / "val-000000.tar").rename(shards / "dev-000000.tar")
    ran = train(shards, tmp_path / "run")
    assert ran.code != 0 and "--to ytvis" in ran.err, ran.err


def test_shards_from_elsewhere_have_the_numbers_of_the_set_that_has_their_names(shards: Path) -> None:
    """Without a certificate nothing says which set it was; of names that are in none the alphabet decides."""
    (shards / "certificate.json").unlink()
    names = {category.id: category.name for category in read_ytvis(unpacked_shards(shards) / "train.json").categories}
    assert len(names) > 3
    (shards / "train-000001.tar").write_bytes(shard("odd", category="theremin"))
    found = read_ytvis(unpacked_shards(shards) / "train.json").categories
    shown = [category.name for category in found]
    assert (
        shown == sorted(shown)
        and "theremin" in shown
        and [category.id for category in found] == list(range(1, len(found) + 1))
    )


def shard(key: str, *, category: str) -> bytes:
    """A tar file of one clip of one still, all of which is an object of this category."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 4)).save(picture, "JPEG")
    track = {
        "track_id": 1,
        "category": category,
        "segmentations": [{"size": [4, 8], "counts": [0, 32]}],
        "sounding": [True],
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for ending, data in (("tracks.json", json.dumps([track]).encode()), ("00000.jpg", picture.getvalue())):
            member = tarfile.TarInfo(f"{key}.{ending}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()
