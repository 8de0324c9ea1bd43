"""The whole chain on real clips and on broken ones, served over HTTP. media.csv says what is true of each."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from avis_data.features.store import read_embeddings
from support.server import MediaServer
from support.shell import Ran, avis_data

pytestmark = pytest.mark.slow

UPRIGHT = {"hilltop_rotated.mp4": (640, 480)}
"""Stored sideways: the stills stand upright."""
PICTURE_S = {"telescope_mirror_multistream.mp4": 13.0}
"""The file claims the length of its text tracks."""
SOUND = {"flower_silent_track.webm": "silent"}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_list(path: Path, server: MediaServer, files: list[str]) -> None:
    lines = [f"{server.url(file)},{Path(file).stem}" for file in files]
    path.write_text("\n".join(["url,video_id", *lines]) + "\n")


def failures(workspace: Path) -> dict[str, Any]:
    status = avis_data("-C", workspace, "status", "--json").json
    return {item["item_id"]: item for item in status["failed_items"]}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, media_dir: Path) -> Path:
    """A workspace in which everything was run on all real clips."""
    workspace = tmp_path_factory.mktemp("real") / "dataset"
    with MediaServer(media_dir) as server:
        write_list(workspace.parent / "videos.csv", server, [row["file"] for row in rows_of(media_dir / "media.csv")])
        ran = avis_data(
            "-C", workspace, "run", "--list", workspace.parent / "videos.csv", "--untrained", "--sleep", 0, "--json"
        )
    assert ran.code == 4  # one clip has no sound
    stages = {stage["stage"]: stage for stage in ran.json["stages"]}
    assert stages["fetch"]["done"] == 15 and stages["extract"]["done"] == 14 and stages["embed"]["done"] == 14
    assert stages["extract"]["failed"] == {"no_audio": 1}
    return workspace


def test_every_clip_has_its_seconds_size_and_sound(real: Path, media_dir: Path) -> None:
    embeddings = dict(read_embeddings(real / "features" / "vggish", None))
    for row in rows_of(media_dir / "media.csv"):
        name = Path(row["file"]).stem
        folder = real / "clips" / name
        if row["audio_channels"] == "0":
            assert failures(real)[name]["reason"] == "no_audio" and not folder.exists()
            continue
        duration_s = PICTURE_S.get(row["file"], float(row["duration_s"]))
        num_seconds = int(duration_s + 0.5)
        stills = sorted((folder / "frames").iterdir())
        assert [still.name for still in stills] == [f"{second:05d}.jpg" for second in range(num_seconds)]
        with Image.open(stills[0]) as still:
            assert still.size == UPRIGHT.get(row["file"], (int(row["width"]), int(row["height"])))
        samples, rate = soundfile.read(folder / "audio.wav", dtype="int16")
        assert (rate, samples.shape) == (16000, (num_seconds * 16000,))
        assert embeddings[name].shape == (num_seconds, 128)
        assert (not samples.any()) == (SOUND.get(row["file"]) == "silent")


def rms(real: Path, name: str, start_s: float, end_s: float) -> float:
    samples, rate = soundfile.read(real / "clips" / name / "audio.wav", dtype="float64")
    return float(np.sqrt(np.mean(samples[int(start_s * rate) : int(end_s * rate)] ** 2)))


def test_the_sound_is_where_it_should_be(real: Path) -> None:
    """From media.csv: exact silence at 9-10 s and 11-12 s; a voice that starts at 1.0 s after a quiet room."""
    assert rms(real, "composite_two_speakers", 9.05, 10.0) < 1e-3 < rms(real, "composite_two_speakers", 0.6, 2.0)
    assert rms(real, "composite_synth_and_speaker", 11.05, 12.0) < 1e-3
    assert rms(real, "statement_two_men", 0.1, 0.9) * 5 < rms(real, "statement_two_men", 1.0, 1.5)


def export(real: Path, name: str) -> Ran:
    return avis_data("-C", real, "export", "--select", "all", "--split", "8/3/3", "--name", name, "--json")


def test_the_clips_can_be_exported_without_truth(real: Path) -> None:
    ran = export(real, "truthless")
    assert ran.code == 0, ran.err
    assert [ran.json["counts"][split]["clips"] for split in ("train", "val", "test")] == [8, 3, 3]
    assert avis_data("validate", real / "exports" / "truthless").code == 0


def test_channels_that_differ_are_kept_and_exported(real: Path) -> None:
    """A set has the two channels of a clip where there are two, and the mono sound twice where there is one."""
    lines = (real / "manifest" / "clips.jsonl").read_text().splitlines()
    clips = {clip["clip_id"]: clip for clip in map(json.loads, lines)}
    apart = {"animation_surround51", "bee_on_thistle", "modular_synth"}
    kept = {name for name, clip in clips.items() if clip["stereo_sha256"] is not None}
    assert apart <= kept and "statement_two_men" not in kept  # that one is mono
    assert all(clips[name]["stereo_db"] > -20 for name in apart)
    assert export(real, "channels").code == 0
    sounds = sorted((real / "exports" / "channels").glob("*/WAVAudios/*.wav"))
    assert {path.stem for path in sounds} == set(clips)
    for path in sounds:
        exported, _ = soundfile.read(path, dtype="int16")
        folder = real / "clips" / path.stem
        if path.stem in kept:
            np.testing.assert_array_equal(exported, soundfile.read(folder / "audio_stereo.wav", dtype="int16")[0])
            assert (exported[:, 0] != exported[:, 1]).any()
        else:
            mono = soundfile.read(folder / "audio.wav", dtype="int16")[0]
            np.testing.assert_array_equal(exported, np.stack((mono, mono), axis=1))


def test_broken_files_end_in_their_own_reason_and_the_good_ones_are_done(tmp_path: Path, media_dir: Path) -> None:
    broken = [f"broken/{row['file']}" for row in rows_of(media_dir / "broken" / "broken.csv")]
    with MediaServer(media_dir) as server:
        write_list(tmp_path / "videos.csv", server, [*broken, "highway_dashcam.mp4", "bee_on_thistle.mp4"])
        ran = avis_data(
            "-C", tmp_path / "dataset", "run", "--list", tmp_path / "videos.csv", "--untrained", "--sleep", 0
        )
    assert ran.code == 4
    found = failures(tmp_path / "dataset")
    assert {name: item["reason"] for name, item in found.items()} == {
        "cut_before_moov": "bad_media",
        "zero_bytes": "empty_file",
        "text_renamed": "not_media",
        "corrupt_middle": "corrupt_media",
        "audio_stops_at_4s": "audio_short",
        "duration_says_600s": "duration_mismatch",
    }
    assert all(len(item["message"]) > 30 for item in found.values())
    clips = {path.name for path in (tmp_path / "dataset" / "clips").iterdir()}
    assert clips == {"highway_dashcam", "bee_on_thistle"}
