"""Clips that came as stills and sound are played from those."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from avis_data.annotation.work.previews import clips_without_video, preview_from_stills
from avis_data.manifest import read_manifest, write_manifest
from avis_data.recipe import PreviewOptions
from avis_data.records import Clip, Video
from support.fake_workspace import FakeClip, make_workspace


def test_each_still_is_shown_for_its_second_with_the_sound(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "100% set", [FakeClip(clip_id="c0", video_id="c0", num_seconds=3)])
    for second, grey in enumerate((20, 120, 220)):
        Image.new("RGB", (48, 32), (grey,) * 3).save(workspace.frame("c0", second))
    sound = np.zeros(3 * 16000)
    sound[16000:32000] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    soundfile.write(workspace.clip_dir("c0") / "audio.wav", sound, 16000)
    (clip,) = read_manifest(workspace.manifest / "clips.jsonl", Clip)
    preview_from_stills(workspace, clip, PreviewOptions())
    path = workspace.clip_dir("c0") / "preview.mp4"
    with av.open(path) as file:
        shown = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in file.decode(video=0)]
    for time_s, grey in shown:
        assert abs(grey - (20, 120, 220)[int(time_s + 1e-6)]) < 25
    assert abs(len(shown) - 30) <= 1
    with av.open(path) as file:
        heard = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in file.decode(audio=0)])
    loudness = [np.abs(heard[int((t + 0.2) * 16000) : int((t + 0.8) * 16000)]).mean() for t in range(3)]
    assert loudness[1] > 0.2 and max(loudness[0], loudness[2]) < 0.01
    assert not list(workspace.clip_dir("c0").glob(".part-*"))


def test_only_adopted_clips_have_no_video(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, [FakeClip(clip_id=name, video_id=name) for name in ("c0", "c1")])
    path = workspace.manifest / "videos.jsonl"
    videos = [
        video.model_copy(update={"media": None} if video.video_id == "c1" else {})
        for video in read_manifest(path, Video)
    ]
    write_manifest(path, videos)
    assert clips_without_video(workspace) == {"c1"}
