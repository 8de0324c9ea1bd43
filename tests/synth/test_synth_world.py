"""A world on disk: list, media, truth; the same every time, and resumed."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from filelock import FileLock

from avis_data.cli.main import main
from avis_data.errors import ConfigError
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import decode
from avis_data.synth.labels import SceneLabels, read_scenes
from avis_data.synth.picture import Painter
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import WorldOptions, still_index
from avis_data.synth.world import make_world
from avis_data.video_list import read_video_list

OPTIONS = WorldOptions(seed=4, num_seconds=3, width=160, height=90)
CLIPS = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    make_world(OPTIONS, out, num_clips=CLIPS)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_the_list_is_one_that_fetch_reads(world: Path) -> None:
    found = read_video_list(world / "videos.csv", allow_local=True)
    assert found.problems == ()
    labels = read_scenes(world / "scenes.json")
    assert [clip.span.clip_id for clip in found.clips] == [scene.clip_id for scene in labels]
    assert [clip.span.start_s for clip in found.clips] == [scene.start_s for scene in labels]
    assert labels[3].start_s > 0, "one clip in four lies inside a longer file"
    for clip, scene in zip(found.clips, labels, strict=True):
        assert set(clip.categories) == {track.category for track in scene.tracks}
        assert clip.license


def test_media_files_are_h264_and_aac_and_as_long_as_planned(world: Path) -> None:
    for index in range(CLIPS):
        scene = plan_scene(OPTIONS, index)
        with av.open(world / "media" / f"{scene.video_id}.mp4") as media:
            video, audio = media.streams.video[0], media.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height, video.average_rate) == (160, 90, 25)
            assert audio.channels == 2
            assert video.frames == scene.num_pictures
            assert float(audio.duration * audio.time_base) == pytest.approx(scene.num_pictures / 25, abs=0.05)


def decoded(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(path) as media:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in media.decode(video=0)]


@pytest.mark.parametrize("index", [0, 3])
def test_the_still_of_a_second_in_the_file_is_the_picture_that_the_masks_belong_to(world: Path, index: int) -> None:
    scene = plan_scene(OPTIONS, index)
    labels = read_scenes(world / "scenes.json")[index]
    frames = decoded(world / "media" / f"{scene.video_id}.mp4")
    painter = Painter(scene)
    for second in range(OPTIONS.num_seconds):
        before = [picture for time_s, picture in frames if time_s < labels.start_s + second + 0.5 - 1e-6]
        raw = painter.picture(still_index(scene, second)).astype(int)
        error = np.abs(before[-1] - raw).mean()
        assert error < 8
        away = np.abs(frames[min(len(before) + 5, len(frames) - 1)][1] - raw).mean()
        assert error < away, "five pictures later it looks different"


def test_the_sound_in_the_file_is_loud_exactly_when_something_is_heard(world: Path) -> None:
    silences = 0
    for index in range(CLIPS):
        scene = plan_scene(OPTIONS, index)
        labels = read_scenes(world / "scenes.json")[index]
        with av.open(world / "media" / f"{scene.video_id}.mp4") as media:
            rate = media.streams.audio[0].rate
            sound = np.concatenate([frame.to_ndarray() for frame in media.decode(audio=0)], axis=1).mean(0)
        for second in range(OPTIONS.num_seconds):
            # Onsets and ends lie within 0.2 s of the second's edges.
            middle = round((labels.start_s + second + 0.2) * rate)
            level = np.sqrt(np.mean(sound[middle : middle + round(0.6 * rate)] ** 2))
            heard = any(track.heard[second] for track in labels.tracks)
            silences += not heard
            assert (level > 0.02) if heard else (level < 0.005), (index, second, level)
    assert silences >= 1


def test_truth_has_the_masks_of_the_sounding_seconds_only(world: Path) -> None:
    truth = read_ytvis(world / "truth.json")
    labels = {scene.clip_id: scene for scene in read_scenes(world / "scenes.json")}
    assert [video.name for video in truth.videos] == list(labels)
    names = {category.id: category.name for category in truth.categories}
    clips = {video.video_id: labels[video.name] for video in truth.videos}
    expected = [
        (scene.clip_id, track.category, [scene.mask(track, t) if track.heard[t] else None for t in range(3)])
        for scene in labels.values()
        for track in scene.tracks
    ]
    expected = [row for row in expected if any(row[2])]
    assert len(truth.tracks) == len(expected) > 0
    for track, (clip_id, category, masks) in zip(truth.tracks, expected, strict=True):
        assert (clips[track.video_id].clip_id, names[track.category_id]) == (clip_id, category)
        for found, mask in zip(track.masks, masks, strict=True):
            assert (found is None) == (mask is None)
            if found and mask:
                np.testing.assert_array_equal(decode(found), decode(mask))


def test_the_same_seed_gives_the_same_bytes_on_two_workers_and_with_fewer_clips(world: Path, tmp_path: Path) -> None:
    make_world(OPTIONS, tmp_path / "two", num_clips=2, workers=2)
    first, second = content(world), content(tmp_path / "two")
    for name in ("media/synth4-0000.mp4", "scenes/synth4-0001.json"):
        assert first[name] == second[name]
    assert json.loads(first["scenes.json"])["scenes"][:2] == json.loads(second["scenes.json"])["scenes"]
    make_world(OPTIONS, tmp_path / "two", num_clips=CLIPS)
    assert content(tmp_path / "two") == first


def test_another_seed_gives_another_world(world: Path, tmp_path: Path) -> None:
    make_world(WorldOptions(seed=5, num_seconds=3, width=160, height=90), tmp_path, num_clips=1)
    one, other = read_scenes(tmp_path / "scenes.json")[0], read_scenes(world / "scenes.json")[0]
    assert [track.sounds for track in one.tracks] != [track.sounds for track in other.tracks]


def test_finished_clips_are_kept_and_damaged_ones_made_again(tmp_path: Path) -> None:
    options = WorldOptions(seed=4, num_seconds=1, width=64, height=64)
    assert make_world(options, tmp_path, num_clips=3).num_made == 3
    before = content(tmp_path)
    assert make_world(options, tmp_path, num_clips=3).num_made == 0
    (tmp_path / "media" / "synth4-0001.mp4").write_bytes(b"torn")
    (tmp_path / "scenes" / "synth4-0002.json").write_text("{")
    (tmp_path / "media" / ".part-left.mp4").write_bytes(b"of a killed run")
    assert make_world(options, tmp_path, num_clips=3).num_made == 2
    assert content(tmp_path) == before
    longer = WorldOptions(seed=4, num_seconds=2, width=64, height=64)
    assert make_world(longer, tmp_path, num_clips=1).num_made == 1


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(world: Path, tmp_path: Path) -> None:
    arguments = [
        "synth",
        "--num-clips",
        str(CLIPS),
        "--seconds",
        "3",
        "--seed",
        "4",
        "--size",
        "160x90",
        "--workers",
        "1",
    ]
    command = [sys.executable, "-m", "avis_data", *arguments, "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "scenes" / "synth4-0000.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "videos.csv").exists(), "the list is written when all is there"
    summary = make_world(OPTIONS, tmp_path, num_clips=CLIPS)
    assert 0 < summary.num_made < CLIPS
    assert content(tmp_path) == content(world)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(ConfigError, match="another"):
        make_world(OPTIONS, tmp_path, num_clips=1)


def test_base_url_makes_links(tmp_path: Path) -> None:
    options = WorldOptions(seed=4, num_seconds=1, width=64, height=64)
    make_world(options, tmp_path, num_clips=1, base_url="http://127.0.0.1:8000/")
    with (tmp_path / "videos.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["url"] == "http://127.0.0.1:8000/media/synth4-0000.mp4"
    assert list(row) == ["url", "video_id", "start", "end", "categories", "license", "split"]
    assert len(read_video_list(tmp_path / "videos.csv").clips) == 1


def test_the_command_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "world"
    arguments = [
        "synth",
        "--num-clips",
        "2",
        "--seconds",
        "2",
        "--seed",
        "9",
        "--size",
        "96x64",
        "--out",
        str(out),
        "-j",
        "1",
    ]
    assert main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    truth = read_ytvis(out / "truth.json")
    assert said["num_clips"] == said["num_made"] == 2
    assert said["num_masks"] == sum(mask is not None for track in truth.tracks for mask in track.masks)
    assert main(arguments) == 0
    assert "0 made, 2 there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num-clips", "0"], "--num-clips"),
        (["--num-clips", "10000"], "--num-clips must be 1 to 9999 (found 10000)"),
        (["--num-clips", "1", "--seconds", "0"], "--seconds"),
        (["--num-clips", "1", "--size", "321x180"], "even"),
        (["--num-clips", "1", "--size", "big"], "320x180"),
        (["--num-clips", "1", "--base-url", "file:///etc"], "http"),
        (["--num-clips", "1", "--seed", "-1"], "--seed"),
    ],
)
def test_impossible_worlds_are_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", *arguments, "--out", str(tmp_path / "world")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "world").exists()


def test_somebodys_own_list_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("url\nhttps://example.org/a.mp4\n")
    with pytest.raises(ConfigError, match=r"videos\.csv"):
        make_world(OPTIONS, tmp_path, num_clips=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        make_world(OPTIONS, tmp_path / "file", num_clips=1)


def test_labels_speak_of_every_second(world: Path) -> None:
    for scene in read_scenes(world / "scenes.json"):
        assert isinstance(scene, SceneLabels)
        for track in scene.tracks:
            assert len(track.heard) == len(track.states) == len(track.masks) == scene.num_seconds
            assert all(math.isfinite(edge) for interval in track.sounds for edge in interval)
