"""Pictures between the stills: on the stills' own clock, at any rate, forwards and backwards."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.annotation.propagation import footage as footage_module
from avis_data.annotation.propagation.footage import Footage
from avis_data.errors import ItemError, Reason
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.media.pictures import stream_pictures
from avis_data.media.probe import probe
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.recipe import ExtractOptions
from avis_data.records import Clip, FrameAt, SoundState, Span, Video

SECONDS = 5


@pytest.fixture(scope="module")
def noisy_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds at 30 Hz, every picture unlike its neighbours; a key frame every two seconds."""
    path = tmp_path_factory.mktemp("noisy") / "noisy.mp4"
    picture = "nullsrc=s=16x12:r=30:d=7,geq=random(1)*255:128:128,scale=160:120:flags=neighbor"
    sound = "sine=frequency=440:duration=7"
    command = [find_ffmpeg().program, "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    command += [
        "-c:v",
        "libx264",
        "-crf",
        "12",
        "-g",
        "60",
        "-bf",
        "2",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path


def stills_of(source: Path, out: Path, *, start_s: float, frame_at: FrameAt) -> list[np.ndarray]:
    """What the stage `extract` takes."""
    out.mkdir()
    span = Span(clip_id="c", video_id="v", start_s=start_s, end_s=start_s + SECONDS)
    request = ExtractRequest(span=span, media=probe(source))
    bench = Workbench(item_id="c", record=request, inputs={"source": source}, out=out, scratch=out)
    ExtractStage(ExtractOptions(frame_at=frame_at)).run(bench)
    return [np.asarray(Image.open(path)).astype(int) for path in sorted((out / "frames").iterdir())]


def unlike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize("frame_at", ["start", "mid", "end"])
@pytest.mark.parametrize(("fps", "start_s"), [(1, 0.0), (5, 1.37), (6, 0.0), (6, 1.37)])
def test_every_nth_picture_is_that_of_a_still(
    noisy_video: Path, tmp_path: Path, frame_at: FrameAt, fps: int, start_s: float
) -> None:
    stills = stills_of(noisy_video, tmp_path / "out", start_s=start_s, frame_at=frame_at)
    media = probe(noisy_video)
    pictures = list(
        stream_pictures(noisy_video, media, start_s=start_s, first=1, last=SECONDS - 1, fps=fps, frame_at=frame_at)
    )
    assert len(pictures) == (SECONDS - 2) * fps + 1
    for second in range(1, SECONDS):
        found = [unlike(stills[second], picture) for picture in pictures]
        assert int(np.argmin(found)) == (second - 1) * fps and min(found) < 6, found
    assert min(unlike(a, b) for a, b in pairwise(pictures)) > 20  # all are different pictures


def test_a_file_that_is_not_there_is_an_item_error(noisy_video: Path, tmp_path: Path) -> None:
    media = probe(noisy_video)
    with pytest.raises(ItemError) as caught:
        list(stream_pictures(tmp_path / "no.mp4", media, start_s=0, first=0, last=1, fps=6, frame_at="mid"))
    assert caught.value.reason is Reason.SOURCE_MISSING


@pytest.fixture
def clip_of(noisy_video: Path, tmp_path: Path) -> tuple[Workspace, Clip, Video]:
    workspace = Workspace(tmp_path / "ws")
    folder = workspace.clip_dir("c")
    folder.parent.mkdir(parents=True)
    stills_of(noisy_video, folder, start_s=1.0, frame_at="mid")
    workspace.source_dir().mkdir()
    (workspace.source_dir() / "v.mp4").symlink_to(noisy_video)
    clip = Clip(
        clip_id="c",
        video_id="v",
        start_s=1.0,
        num_seconds=SECONDS,
        fps=1.0,
        num_frames=SECONDS,
        width=160,
        height=120,
        frame_at="mid",
        sound=SoundState.COMPLETE,
        frames_sha256="0" * 64,
        audio_sha256="0" * 64,
    )
    video = Video(
        video_id="v",
        url="v.mp4",
        path="sources/v.mp4",
        size_bytes=1,
        sha256="0" * 64,
        extractor="x",
        downloader="copy",
        accessed_on="2026-01-01",
        media=probe(noisy_video),
    )
    return workspace, clip, video


def test_backwards_is_forwards_reversed_whatever_the_window(
    clip_of: tuple[Workspace, Clip, Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    footage = Footage.of_clip(*clip_of, fps=6)
    forwards = list(footage.shots(0, SECONDS - 1))
    assert [shot.frame for shot in forwards if shot.frame is not None] == list(range(SECONDS))
    for window_bytes in (1, 2 * 6 * 160 * 120 * 3, 1 << 30):
        monkeypatch.setattr(footage_module, "_WINDOW_BYTES", window_bytes)
        back = list(footage.shots(0, SECONDS - 1, backward=True))
        assert [shot.frame for shot in back] == [shot.frame for shot in forwards][::-1]
        worst = max(unlike(a.picture_HW3, b.picture_HW3) for a, b in zip(back, forwards[::-1], strict=True))
        assert worst < 1  # the very same pictures; each window is decoded from a key frame


def test_without_the_source_there_are_the_stills(clip_of: tuple[Workspace, Clip, Video]) -> None:
    workspace, clip, video = clip_of
    (workspace.source_dir() / "v.mp4").unlink()
    footage = Footage.of_clip(workspace, clip, video, fps=6)
    assert footage.fps == 1
    assert [shot.frame for shot in footage.shots(1, 3, backward=True)] == [3, 2, 1]
    assert Footage.of_clip(workspace, clip, None, fps=6).fps == 1


def test_a_torn_still_is_an_item_error(clip_of: tuple[Workspace, Clip, Video]) -> None:
    workspace, clip, _ = clip_of
    workspace.frame("c", 2).write_bytes(b"no picture")
    with pytest.raises(ItemError, match="00002"):
        list(Footage.of_clip(workspace, clip, None, fps=1).shots(0, 4))
