"""A set published without media is rebuilt from a real server: whole, with videos gone, with others behind links.

`AVIS_DATA_KILLS=20 pytest tests/pipelines/rebuild` kills it in so many workspaces, each twice; by itself it is a few.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.io import read_json, write_json
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.pipelines.rebuild.assemble import why_missing
from support.dying import changes_of, die_at
from support.fetched_world import fetched, served_world, well
from support.server import MediaServer
from support.shell import avis_data, tree_hashes


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of four videos that were fetched from a server, with both exports."""
    root = tmp_path_factory.mktemp("rebuild")
    with served_world(root) as base:
        workspace = fetched(root, "ws", base)
    well("-C", workspace, "import", "--format", "ytvis", root / "world" / "truth.json", cwd=root)
    common = ["--split", "2/1/1", "--without-features"]
    well("-C", workspace, "export", *common, cwd=root)
    well("-C", workspace, "export", *common, "--without-media", "--name", "published", cwd=root)
    return root


def published(made: Path, tmp_path: Path, base: str) -> Path:
    """The published set, whose links lead to a server of this test."""
    folder = tmp_path / "published"
    shutil.copytree(made / "ws" / "exports" / "published", folder)
    lines = (folder / "videos.csv").read_text().splitlines()
    lead = lines[1].split(",")[0].rsplit("/", 1)[0] + "/"
    (folder / "videos.csv").write_text("\n".join(lines).replace(lead, base) + "\n")
    return folder


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def rebuild(folder: Path, out: Path) -> int:
    return run("rebuild", folder, "--out", out, "--allow-private-hosts", "-j", 1, "--retries", 0)


def test_what_is_published_has_no_media_and_is_valid(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made / "ws" / "exports" / "published"
    files = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert files == {".json", ".csv", ".sha256"}
    assert run("validate", folder) == 0
    capsys.readouterr()
    assert run("validate", folder, "--certificate") == 0
    told = capsys.readouterr().out
    assert told.count("[not-proved]") == 1 and "stills and sound were left out" in told and "Errno" not in told
    assert read_json(folder / "certificate.json")["media"] == "left out"
    assert len((folder / "videos.csv").read_text().splitlines()) == 5


def test_everything_is_still_there(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with MediaServer(made / "world" / "media") as server:
        folder = published(made, tmp_path, server.url(""))
        assert rebuild(folder, tmp_path / "again") == 0
        said = capsys.readouterr().out
        assert "test: all 1 test videos" in said and "4 clips are the same to the bit" in said
        assert rebuild(folder, tmp_path / "again") == 0, "nothing is left to do"
    mine, theirs = tmp_path / "again" / "exports" / "rebuilt", made / "ws" / "exports" / "ytvis"
    media = [path for path in sorted(theirs.rglob("*")) if path.suffix in (".jpg", ".wav")]
    assert len(media) == 4 * (3 + 1)
    assert all((mine / path.relative_to(theirs)).read_bytes() == path.read_bytes() for path in media)
    for name in ("train.json", "val.json", "test.json"):
        assert read_json(mine / name) == read_json(theirs / name)
    assert run("validate", mine) == 0
    capsys.readouterr()
    assert run("validate", mine, "--certificate") == 0
    told = capsys.readouterr().out
    assert "note: subset.json: the set was made by avis-data rebuild" in told and "proof: 4 clip(s) compared" in told
    found = read_json(mine / "subset.json")
    write_json(mine / "subset.json", found | {"splits": found["splits"] | {"test": {"videos": ["other"], "of": 1}}})
    assert run("validate", mine, "--certificate") == 3
    told = capsys.readouterr().out
    assert told.count("[subset-differs]") == 2 and "'other' is only in subset.json" in told
    write_json(mine / "subset.json", [])
    assert run("validate", mine, "--certificate") == 3
    assert "[subset-unreadable]" in capsys.readouterr().out


def test_what_is_gone_or_another_is_named_and_left_out(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media = tmp_path / "media"
    shutil.copytree(made / "world" / "media", media)
    truth = read_json(made / "ws" / "exports" / "published" / "train.json")
    gone, coded = sorted(video["file_names"][0].split("/")[0] for video in truth["videos"])
    other = read_json(made / "ws" / "exports" / "published" / "val.json")["videos"][0]["file_names"][0].split("/")[0]
    (media / f"{gone}.mp4").unlink()
    again = ["-y", "-loglevel", "error", "-i", media / f"{coded}.mp4", "-crf", "30", "-c:a", "copy", tmp_path / "c.mp4"]
    subprocess.run([find_ffmpeg().program, *map(str, again)], check=True)
    shutil.move(tmp_path / "c.mp4", media / f"{coded}.mp4")
    source = made / "world" / "media" / f"{gone}.mp4"
    shutil.copy(source, media / f"{other}.mp4")  # a link that leads to another video now
    with MediaServer(media) as server:
        assert rebuild(published(made, tmp_path, server.url("")), tmp_path / "again") == 4
    said = capsys.readouterr().out
    assert f"missing: {gone} (train): removed: " in said
    assert f"missing: {other} (val): other_content: stills " in said
    assert f"not the same file any more: {coded}: stills " in said
    assert "train: 1 of 2 train videos, subset " in said and "val: 0 of 1 val videos" in said
    folder = tmp_path / "again" / "exports" / "rebuilt"
    left = read_json(folder / "train.json")
    assert [video["file_names"][0].split("/")[0] for video in left["videos"]] == [coded]
    kept = [entry for entry in truth["annotations"] if entry["video_id"] == left["videos"][0]["id"]]
    assert left["annotations"] == kept, "ids are those of the published set"
    (tmp_path / "none.json").write_text("[]")
    figures = ["--pred", tmp_path / "none.json", "--mode", "strict"]
    assert run("evaluate", "--truth", folder / "train.json", *figures) == 0
    assert "1 of 2 train videos, subset " in capsys.readouterr().out
    full = ["--truth", made / "ws" / "exports" / "ytvis" / "train.json", *figures]
    assert run("evaluate", *full, "--subset", folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["meta"]["subset"].startswith("1 of 2 train videos, subset ")


def test_links_of_ones_own_take_the_place_of_those_that_moved_or_need_a_token(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with MediaServer(made / "world" / "media") as server:
        folder = published(made, tmp_path, server.url("token/"))
        assert rebuild(folder, tmp_path / "again") == 3, "nothing can be had without a token"
        assert "nothing of it could be had again" in capsys.readouterr().err
        names = sorted(path.stem for path in (made / "world" / "media").glob("*.mp4"))
        tokens = [f"{server.url(f'token/{name}.mp4')}?token=open-sesame,{name}" for name in names[:-1]]
        own = tmp_path / "own.csv"
        own.write_text("\n".join(["url,video_id", *tokens, f"{server.url(f'{names[-1]}.mp4')},{names[-1]}"]) + "\n")
        more = ("--list", own, "--out", tmp_path / "again", "--allow-private-hosts", "-j", 1, "--retries", 0)
        assert run("rebuild", folder, *more) == 0
        assert "4 clips are the same to the bit" in capsys.readouterr().out
        asked = len(server.requests)
        assert rebuild(folder, tmp_path / "again") == 0, "it goes on with the links that it has"
        assert len(server.requests) == asked
        public = [
            path for path in (tmp_path / "again").rglob("*") if path.is_file() and path.name != "signed_urls.json"
        ]
        assert len(public) > 20 and not [path for path in public if b"open-sesame" in path.read_bytes()]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("https://example.org/a.mp4,nobody", "line 2: video_id: 'nobody' is no video of the published list"),
        ("https://example.org/a.mp4,", "says not of which video"),
        ("https://example.org/a.mp4,{id}\nhttps://example.org/b.mp4,{id}", "line 3"),
        ("no link at all,{id}", "line 2"),
    ],
)
def test_a_list_of_ones_own_that_does_not_fit_is_told_by_line(
    made: Path, tmp_path: Path, rows: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made / "ws" / "exports" / "published"
    video_id = (folder / "videos.csv").read_text().splitlines()[1].split(",")[1]
    (tmp_path / "own.csv").write_text("url,video_id\n" + rows.format(id=video_id) + "\n")
    assert run("rebuild", folder, "--list", tmp_path / "own.csv", "--out", tmp_path / "again") == 3
    said = capsys.readouterr().err
    assert told in said and "own.csv" in said and "Traceback" not in said
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_if_nobody_had_disturbed_it(made: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    with MediaServer(made / "world" / "media") as server:
        folder = published(made, tmp_path, server.url(""))
        options = ["--allow-private-hosts", "-j", 1, "--retries", 0]
        number = changes_of("rebuild", folder, "--out", tmp_path / "undisturbed", *options)
        expected = tree_hashes(tmp_path / "undisturbed" / "exports")
        assert number > 100 and len(expected) > 16
        died = 0
        for kill in range(int(os.environ.get("AVIS_DATA_KILLS", "3"))):
            command = ("rebuild", folder, "--out", tmp_path / f"killed-{kill}", *options)
            for moment in sorted(rng.sample(range(1, number), 2), reverse=True):
                died += die_at(moment, *command)
            assert avis_data(*command).code == 0
            assert tree_hashes(tmp_path / f"killed-{kill}" / "exports") == expected
        assert died > kill, "more than half of the calls were met"


def test_the_reason_is_that_of_the_own_video() -> None:
    """Ids that begin alike are no kin: dog_1 is a video of its own, no span of dog."""
    reasons = {"video dog": ("removed", "404"), "cat_000000_001000": ("span_outside_video", "too short")}
    assert why_missing("dog_1", "dog_1", reasons)[0] == "no_link"
    assert why_missing("dog_000000_001000", "dog", reasons) == ("removed", "404")
    assert why_missing("cat_000000_001000", "cat", reasons)[0] == "span_outside_video"
    assert why_missing("adopted", None, reasons)[0] == "no_link"


@pytest.mark.parametrize("damage", ["certificate", "print", "other print", "list", "truth", "with media"])
def test_a_damaged_or_other_set_is_refused(
    made: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with MediaServer(made / "world" / "media") as server:
        folder = published(made, tmp_path, server.url(""))
        name, another = sorted(path.stem for path in (folder / "media").iterdir())[:2]
        if damage == "certificate":
            (folder / "certificate.json").write_text("{")
        elif damage == "print":
            found = read_json(folder / "media" / f"{name}.json")
            write_json(folder / "media" / f"{name}.json", found | {"loudness": 3, "stills": []})
        elif damage == "other print":
            shutil.copy(folder / "media" / f"{another}.json", folder / "media" / f"{name}.json")
        elif damage == "list":
            (folder / "videos.csv").unlink()
        elif damage == "truth":
            truth = read_json(folder / "test.json")
            truth["videos"][0]["file_names"] = ["../x/0.jpg", "../x/1.jpg", "../x/2.jpg"]
            write_json(folder / "test.json", truth)
        else:
            folder = made / "ws" / "exports" / "ytvis"
        assert rebuild(folder, tmp_path / "again") == 3
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "again" / "exports" / "rebuilt").exists()
