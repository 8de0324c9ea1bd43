"""Small media, made once, and a server that serves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avis_data.pipelines.download import source as download
from support.media_files import ffmpeg
from support.server import MediaServer

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=2"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "5"]


@pytest.fixture(scope="session")
def web_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a.mp4`, `b.webm`, its parts, two HLS play lists (one of encrypted segments), and things that are no video."""
    folder = tmp_path_factory.mktemp("web")
    ffmpeg(folder, *PICTURE, *SOUND, *H264, "-c:a", "aac", "a.mp4")
    ffmpeg(folder, *PICTURE, *SOUND, "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", "b.webm")
    ffmpeg(folder, "-i", "a.mp4", "-an", "-c", "copy", "picture.mp4")
    ffmpeg(folder, "-i", "a.mp4", "-vn", "-c", "copy", "sound.m4a")
    hls = ["-f", "hls", "-hls_time", "0.5", "-hls_list_size", "0", "-hls_segment_filename"]
    ffmpeg(folder, "-i", "a.mp4", "-c", "copy", *hls, "seg%d.ts", "list.m3u8")
    (folder / "secret.key").write_bytes(bytes(range(16)))
    (folder / "key_info").write_text("secret.key\nsecret.key\n")
    hls = ["-f", "hls", "-hls_time", "2", "-hls_key_info_file", "key_info", "-hls_segment_filename"]
    ffmpeg(folder, "-i", "a.mp4", "-c", "copy", *hls, "locked%d.ts", "encrypted.m3u8")
    (folder / "bare").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "page.mp4").write_text("<!doctype html><html><body>Please log in</body></html>")
    (folder / "words.mp4").write_text("no video here\n" * 100)
    (folder / "cut.mp4").write_bytes((folder / "a.mp4").read_bytes()[:3000])
    return folder


@pytest.fixture
def web(web_dir: Path) -> Iterator[MediaServer]:
    """A server of `web_dir`, with no requests so far."""
    with MediaServer(web_dir) as server:
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are a matter of politeness; one test looks at them."""
    monkeypatch.setattr(download, "_PAUSE_S", 0.01)
    monkeypatch.setattr(download, "_backoff_s", lambda n: 0.01)


@pytest.fixture(scope="session")
def versions(web_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`first.mp4`, and another video as `shorter.mp4`, `twin.mp4` (as long as the first, in bytes) and `longer.mp4`."""
    folder = tmp_path_factory.mktemp("versions")
    first = (web_dir / "a.mp4").read_bytes()
    (folder / "first.mp4").write_bytes(first)
    ffmpeg(folder, *PICTURE, *SOUND, *H264, "-crf", "51", "-c:a", "aac", "-b:a", "16k", "shorter.mp4")
    other = (folder / "shorter.mp4").read_bytes()
    assert len(other) < len(first) // 2
    for name, size in {"twin.mp4": len(first), "longer.mp4": len(first) + 999}.items():
        spare = size - len(other)
        (folder / name).write_bytes(other + spare.to_bytes(4, "big") + b"free" + bytes(spare - 8))
    return folder
