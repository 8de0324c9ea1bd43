"""A run whose large files live in a bucket: the same bytes as in a folder, whatever the server and the machine do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.bucket import BucketServer, served_bucket
from support.shell import avis_data
from support.stored_world import (
    bytes_in_bucket,
    failures,
    fetched,
    made_workspace,
    media_bytes,
    other_bytes,
    run,
    small_world,
    without_media,
)


@dataclass(frozen=True)
class World:
    videos: Path
    local: Path
    """A workspace without a bucket, all done."""
    stored: Path
    """The same with one, done while a third of the requests failed."""
    server: BucketServer
    num_failed: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("stored")
    videos = small_world(root)
    local = made_workspace(root / "local", videos, None)
    assert run(local).code == 0
    with served_bucket() as server:
        stored = made_workspace(root / "stored", videos, server)
        server.fail(0.3)
        ran = run(stored)
        server.fail(0)
        assert ran.code == 0, ran.err
        yield World(videos, local, stored, server, server.counts()["failed"])


def test_the_bytes_are_those_of_the_run_in_a_folder(world: World) -> None:
    expected = media_bytes(world.local)
    assert len(expected) == 24 and world.num_failed > 5
    assert bytes_in_bucket(world.server, world.stored) == expected
    assert media_bytes(world.stored) == expected, "the local copies"
    assert other_bytes(world.stored) == other_bytes(world.local)


def test_a_fresh_machine_plans_without_a_download(world: World, tmp_path: Path) -> None:
    fresh = without_media(world.stored, tmp_path / "fresh")
    world.server.counts()
    plans = avis_data("-C", fresh, "run", "--untrained", "--dry-run", "--json").json
    assert [(plan["to_do"], plan["done"]) for plan in plans["stages"]] == [(0, 3)] * 4
    assert avis_data("-C", fresh, "status", "--json").code == 0
    assert avis_data("-C", fresh, "doctor", "--workspace").code == 0
    assert avis_data("-C", fresh, "run", "--untrained").code == 0
    asked = world.server.counts()
    assert asked["object GET"] == 0 and asked["GET"] < 10, asked
    assert media_bytes(fresh) == {}


def test_a_worker_fetches_what_it_needs_and_no_more(world: World, tmp_path: Path) -> None:
    fresh = without_media(world.stored, tmp_path / "fresh")
    world.server.counts()
    ran = avis_data("-C", fresh, "preview", "-j", 2, "--limit", 1)
    assert ran.code == 0, ran.err
    assert world.server.counts()["object GET"] == 1, "one source"
    assert sorted(name.rpartition("/")[2] for name in media_bytes(fresh)) == ["preview.mp4", "synth3-0000.mp4"]
    world.server.delete([key for key in world.server.objects("stored/clips/") if key.endswith("preview.mp4")])


def test_a_worker_that_does_not_see_the_workspace_gives_the_same_bytes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVIS_DATA_SCRATCH", str(tmp_path / "node"))
    away = made_workspace(tmp_path / "away", world.videos, world.server, more="cache_gb: 1\n")
    ran = run(away)
    assert ran.code == 0, ran.err
    assert bytes_in_bucket(world.server, away) == media_bytes(world.local)
    assert media_bytes(away) == {}, "it was written into"
    assert other_bytes(away) == other_bytes(world.local), "the tables came back"
    left = [path for path in (tmp_path / "node").rglob("*") if path.is_file()]
    assert left and all(path.parent.name in ("sources", "clips") or path.name == "audio.wav" for path in left), left


def test_a_workspace_that_had_no_bucket_is_brought_into_one(world: World, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(world.local, moved, copy_function=shutil.copy2)
    text = (world.stored / "storage.yaml").read_text()
    (moved / "storage.yaml").write_text(text.replace("/stored", "/moved"))
    done = avis_data("-C", moved, "embed", "--untrained", "--json").json
    assert [stage["done"] for stage in done["stages"]] == [0, 0], "nothing is done again"
    assert bytes_in_bucket(world.server, moved) == media_bytes(world.local)


def without_arrays(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in media_bytes(root).items() if not name.startswith("features/")}


def taken(root: Path) -> None:
    """All but the embeddings, which take a while."""
    assert fetched(root).code == 0
    assert avis_data("-C", root, "extract", "-j", 2).code == 0


def test_what_is_lost_or_changed_in_the_bucket_is_seen_and_mended(world: World, tmp_path: Path) -> None:
    hurt = made_workspace(tmp_path / "hurt", world.videos, world.server)
    taken(hurt)
    world.server.delete(["hurt/sources/synth3-0000.mp4"])
    world.server.put("hurt/clips/synth3-0001/frames.tar", b"something else")
    shutil.rmtree(hurt / "clips" / "synth3-0001")
    told = avis_data("-C", hurt, "doctor", "--workspace", "--json").json
    assert [file["path"] for file in told["files"] if file["health"] == "missing"] == ["clips/synth3-0001/frames"]
    stages = avis_data("-C", hurt, "extract", "--json").json["stages"]
    assert {stage["stage"]: stage["done"] for stage in stages} == {"extract": 1}
    assert bytes_in_bucket(world.server, hurt) == without_arrays(world.local)


def test_copies_stay_within_their_bounds(world: World, tmp_path: Path) -> None:
    small = made_workspace(tmp_path / "small", world.videos, world.server, more="cache_gb: 0.0001\n")
    taken(small)
    assert sum(len(data) for data in media_bytes(small).values()) <= 100_000
    assert bytes_in_bucket(world.server, small) == without_arrays(world.local)


@pytest.mark.parametrize(("code", "said"), [("AccessDenied", "may not do that"), ("NoSuchBucket", "no bucket")])
def test_a_bucket_that_refuses_ends_the_run_and_fails_no_item(
    world: World, tmp_path: Path, code: str, said: str
) -> None:
    refused = made_workspace(tmp_path / "refused", world.videos, world.server)
    world.server.fail(1, code=code, only="sources" if code == "AccessDenied" else "")
    ran = fetched(refused)
    world.server.fail(0)
    assert ran.code == 5 and said in ran.err and "hint:" in ran.err, ran.err
    assert failures(refused) == 0
    taken(refused)
    assert bytes_in_bucket(world.server, refused) == without_arrays(world.local), "nothing temporary stays"


def test_no_secret_is_written_down(world: World) -> None:
    files = {path: path.read_bytes() for path in world.stored.rglob("*") if path.is_file()}
    assert len(files) > 20 and not [path for path, data in files.items() if b"testing-too" in data]
