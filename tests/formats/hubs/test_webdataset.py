"""Shards for webdataset: its reader gives one sample a clip, everything comes back, equal clips give equal bytes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

from avis_data.errors import ConfigError, DataError
from avis_data.formats.hubs.webdataset import WEBDATASET, ShardWriter
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import with_options
from support.format_readers import same_pixels
from support.labelled_sets import (
    check_all_comes_back,
    check_expected,
    odd_clips,
    read_set,
    unread,
    with_embeddings,
    write_set,
)
from support.places import NEEDS_SHARED, SHARED

_FIXTURE = SHARED / "format_fixtures" / "webdataset"


def samples(*shards: Path) -> dict[str, dict[str, Any]]:
    """What webdataset itself finds, decoded as its users have it."""
    read = webdataset.WebDataset([str(path) for path in shards], shardshuffle=False).decode("pil")
    found = [sample for sample in read]
    assert len({sample["__key__"] for sample in found}) == len(found), "keys are unique over all shards"
    return {sample["__key__"]: sample for sample in found}


@pytest.mark.cell("webdataset", "trip", "out")
@pytest.mark.parametrize("seed", range(8))
def test_everything_comes_back(seed: int, tmp_path: Path) -> None:
    clips = with_embeddings(odd_clips(seed, 5))
    check_all_comes_back(WEBDATASET, tmp_path / "set", clips)


@pytest.mark.cell("webdataset", "reader")
def test_webdataset_gives_one_sample_for_each_clip(tmp_path: Path) -> None:
    clips = with_embeddings([clip for seed in range(3) for clip in odd_clips(seed)])
    clips[0] = replace(clips[0], name="v1.2 left")
    clips.sort(key=lambda clip: clip.name)
    write_set(WEBDATASET, tmp_path, clips)
    for split in ("train", "val", "test"):
        of_split = [clip for clip in clips if clip.split == split]
        found = samples(*sorted(tmp_path.glob(f"{split}-*.tar")))
        assert list(found) == [clip.name.replace(".", "%2E") for clip in of_split]
        for clip, sample in zip(of_split, found.values(), strict=True):
            said = sample["json"]
            assert (said["clip_id"], said["fps"], said["license"]) == (clip.name, clip.fps, clip.license)
            assert clip.sound is not None and sample["wav"] == clip.sound.read()
            assert clip.embeddings_TD is not None and np.array_equal(sample["embeddings.npy"], clip.embeddings_TD())
            pictures = sorted(name for name in sample if name.endswith(".jpg"))
            assert pictures == [f"{place:05d}.jpg" for place in range(len(clip.stills))]
            for name, still in zip(pictures, clip.stills, strict=True):
                assert still.picture is not None
                with Image.open(io.BytesIO(still.picture.read())) as picture:
                    assert sample[name].tobytes() == picture.convert("RGB").tobytes()
            for track, wanted in zip(sample["tracks.json"], clip.tracks, strict=True):
                assert (track["track_id"], track["category"]) == (wanted.track_id, wanted.category)
                assert track["sounding"] == list(wanted.sounding)
                assert all(map(same_pixels, track["segmentations"], wanted.masks))
    assert [clip.name for clip in read_set(WEBDATASET, tmp_path)] == [clip.name for clip in clips]


def test_equal_clips_give_equal_bytes_and_no_clip_is_in_two_shards(tmp_path: Path) -> None:
    few = [clip for seed in range(3) for clip in odd_clips(seed)]
    clips = [replace(clip, name=f"{clip.name}_{copy}", split="train") for copy in range(8) for clip in few]
    clips.sort(key=lambda clip: clip.name)
    assert isinstance(WEBDATASET.writer, ShardWriter)
    small = replace(WEBDATASET, writer=with_options(WEBDATASET.writer, {"shard_mb": 1}, owner="webdataset"))
    names = write_set(small, tmp_path / "one", clips)
    assert write_set(small, tmp_path / "two", clips) == names
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    shards = [name for name in names if name.endswith(".tar")]
    assert shards == [f"train-{number:06d}.tar" for number in range(len(shards))] and len(shards) > 2
    assert all((tmp_path / "one" / name).stat().st_size < 2_000_000 for name in shards)
    assert list(samples(*(tmp_path / "one" / name for name in shards))) == [clip.name for clip in clips]
    with pytest.raises(ConfigError, match="--shard-mb 0"):
        write_set(replace(WEBDATASET, writer=ShardWriter(shard_mb=0)), tmp_path / "none", clips)


@NEEDS_SHARED
@pytest.mark.cell("webdataset", "in")
def test_the_fixture_of_webdataset_is_read_to_the_pixel() -> None:
    expected = json.loads((_FIXTURE / "expected.json").read_text())
    for path in (_FIXTURE, _FIXTURE / "train-000000.tar"):
        assert WEBDATASET.reader is not None and WEBDATASET.reader.looks_right(path)
        clips = read_set(WEBDATASET, path)
        assert [clip.name for clip in clips] == expected["keys"]
        for clip in clips:
            check_expected(clip, expected)
            assert clip.split == "train" and clip.sound is not None and clip.sound.read()[:4] == b"RIFF"
            assert [still.name for still in clip.stills] == ["00000", "00001", "00002"]


def put(path: Path, *members: tuple[str, bytes]) -> None:
    """A tar file by hand."""
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def members_of(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]  # all are files


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    clips = [replace(clip, name=name, split="val") for clip, name in zip(odd_clips(2, 3), "abc", strict=True)]
    write_set(WEBDATASET, tmp_path, clips)
    return tmp_path / "val-000000.tar"


def test_all_that_is_wrong_in_a_sample_is_told_and_other_samples_are_read(shard: Path) -> None:
    bad = [{"track_id": "", "category": None, "segmentations": [], "sounding": []}] * 2
    changed = {"b.tracks.json": json.dumps(bad).encode(), "b.wav": b""}
    members = [(name, changed.get(name, data)) for name, data in members_of(shard)]
    members = [(name, data.replace(b'"width": ', b'"width": 1')) for name, data in members]
    again = [("a" + name[1:], data) for name, data in members if name.startswith("c.")]
    put(shard, *[member for member in members if not member[0].startswith("c.")], *again)
    problems = unread(WEBDATASET, shard)
    assert set(problems) == {"a", "b"} and all("2 places" in line for line in problems["a"])
    assert sum("track_id" in line for line in problems["b"]) == 2 and any("pixels" in line for line in problems["b"])


CASES: dict[str, tuple[Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]], str]] = {
    "no tracks": (lambda members: [m for m in members if m[0] != "b.tracks.json"], "tracks.json: the sample has no"),
    "no JSON": (lambda members: [(n, b"{" if n == "b.json" else d) for n, d in members], "json: not JSON"),
    "a list": (lambda members: [(n, b"[]" if n == "b.json" else d) for n, d in members], "json: must be an object"),
    "no list": (lambda members: [(n, b"null" if n == "b.tracks.json" else d) for n, d in members], "must be a list"),
    "half a character": (
        lambda members: [(n, rb'["\ud800"]' if n == "b.tracks.json" else d) for n, d in members],
        "tracks.json: not JSON",
    ),
    "members apart": (lambda members: [*members, ("b.cls", b"1")], "2 places of the set"),
    "a field in two cases": (
        lambda members: [m for n, d in members for m in ([(n, d), ("b.Json", d)] if n == "b.json" else [(n, d)])],
        "is there twice",
    ),
    "no picture": (
        lambda members: [(n, b"GIF" if n == "b.00000.jpg" else d) for n, d in members],
        "still 0",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_sample_is_named_with_the_member(name: str, shard: Path) -> None:
    change, message = CASES[name]
    put(shard, *change(members_of(shard)))
    problems = unread(WEBDATASET, shard)
    assert list(problems) == ["b"] and any(message in line for line in problems["b"]), problems


@pytest.mark.parametrize("way", ["cut", "noise in a header"])
def test_of_a_torn_file_what_is_whole_is_read_and_the_rest_is_told(way: str, shard: Path) -> None:
    data = bytearray(shard.read_bytes())
    with tarfile.open(shard) as archive:
        place = archive.getmember("c.json").offset
    if way == "cut":
        del data[place + 600 :]
    else:
        data[place : place + 512] = b"?" * 512
    shard.write_bytes(data)
    assert WEBDATASET.reader is not None
    found = list(WEBDATASET.reader.read(shard))
    torn = [clip for clip in found if isinstance(clip, UnreadClip)]
    assert [clip.name for clip in torn] == [shard.name] and "clips from there on are missing" in str(
        torn[0].problems[0]
    )
    assert "a" in [clip.name for clip in found if isinstance(clip, LabelledClip)]


def test_shards_of_others_are_read(shard: Path, tmp_path: Path) -> None:
    """Keys with folders, members that are no samples, links, stills numbered from 1, no word on the clip."""
    members = [(f"some/{name}", data) for name, data in members_of(shard) if not name.endswith(".json")]
    tracks = [(f"some/{name}", data) for name, data in members_of(shard) if name.endswith(".tracks.json")]
    members = sorted([*members, *tracks])
    numbered = [
        (name.replace("00000.jpg", "img1.JPG").replace("00001.jpg", "img2.JPG").replace("00002.jpg", "img10.JPG"), data)
        for name, data in members
    ]
    put(tmp_path / "x.tar", ("README", b"hello"), ("__meta__/a.json", b"{}"), *numbered)
    with tarfile.open(tmp_path / "x.tar", "a") as archive:
        link = tarfile.TarInfo("evil.tracks.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    ours = {clip.name: clip for clip in read_set(WEBDATASET, shard)}
    for clip in read_set(WEBDATASET, tmp_path / "x.tar"):
        assert clip.tracks == ours[clip.name].tracks and clip.split is None
        assert [still.name for still in clip.stills] == ["img1", "img2", "img10", "00003", "00004"][: len(clip.stills)]


def test_what_is_no_such_set_is_refused(tmp_path: Path) -> None:
    assert WEBDATASET.reader is not None
    with pytest.raises(DataError, match="holds no tar file"):
        list(WEBDATASET.reader.read(tmp_path))
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b packed")
    with pytest.raises(DataError, match=r"no sample .* no tar file"):
        list(WEBDATASET.reader.read(tmp_path))
    put(tmp_path / "a.tar", ("README", b"hello"))
    with pytest.raises(DataError, match="no sample"):
        list(WEBDATASET.reader.read(tmp_path))
    assert not WEBDATASET.reader.looks_right(tmp_path) and not WEBDATASET.reader.looks_right(tmp_path / "gone")
