"""The preview has the clip's clock: what it shows and plays at time t is what the source does at start + t."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from avis_data.media.probe import probe
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.preview import PreviewRequest, PreviewStage
from avis_data.recipe import PreviewOptions
from avis_data.records import VideoStream
from support.clocked_media import Clock, even_times, onset_error_s, shown_number, write_clocked

B_FRAMES = {"preset": "veryfast", "crf": "12", "bf": "2", "g": "60"}
CLOCKS = {
    "stereo.ts": Clock(
        times_s=even_times(Fraction(30000, 1001), 10),
        options=B_FRAMES,
        shift_s=Fraction(14, 10),
        sound_layout="stereo",
    ),
    "slides.mkv": Clock(times_s=[Fraction(5, 2) * k for k in range(4)], last_s=Fraction(5, 2)),
    "odd_surround.mp4": Clock(
        times_s=even_times(25, 10),
        size_wh=(131, 99),
        pixel_format="yuv444p",
        sound_layout="5.1",
        sound_rate_hz=48000,
    ),
}


def make(source: Path, out: Path, *, start_s: float, num_seconds: int, max_height_px: int = 360) -> VideoStream:
    """Run the stage, and measure what it made."""
    out.mkdir()
    media = probe(source)
    size = {"width": media.width, "height": media.height}
    request = PreviewRequest(clip_id="clip", start_s=start_s, num_seconds=num_seconds, media=media, **size)
    stage = PreviewStage(PreviewOptions(max_height_px=max_height_px))
    stage.run(Workbench(item_id="clip", record=request, inputs={"source": source}, out=out, scratch=out))
    assert [path.name for path in out.iterdir()] == ["preview.mp4"]
    return probe(out / "preview.mp4")


def pictures(path: Path, scratch: Path) -> list[tuple[float, int]]:
    """Time and shown number of every picture."""
    shown = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            Image.fromarray(frame.to_ndarray(format="gray")).save(scratch / "picture.png")
            shown.append((frame.time, shown_number(scratch / "picture.png")))
    return shown


@pytest.mark.parametrize("name", sorted(CLOCKS))
def test_same_clock_as_the_source(name: str, tmp_path: Path, ffmpeg_program: str) -> None:
    clock, start_s = CLOCKS[name], 3.3
    source = write_clocked(tmp_path / name, clock)
    made = make(source, tmp_path / "out", start_s=start_s, num_seconds=5)
    begin = start_s + probe(source).start_s - float(clock.shift_s)
    assert made.duration_s == pytest.approx(5, abs=0.01)
    assert made.sound is not None and made.sound.end_s == pytest.approx(5, abs=0.025)
    assert (made.video_codec, made.sound.codec, made.width % 2, made.height % 2) == ("h264", "aac", 0, 0)
    assert made.sound.channels == (1 if clock.sound_layout == "mono" else 2)
    begins = [float(time) for time in clock.times_s]
    for time_s, number in pictures(tmp_path / "out" / "preview.mp4", tmp_path):
        instant = begin + time_s
        expected = max(k for k, first in enumerate(begins) if first <= instant + 0.0005)
        assert number in (expected, expected - (abs(begins[expected] - instant) < 0.001)), time_s
    wav = tmp_path / "preview.wav"
    with av.open(str(tmp_path / "out" / "preview.mp4")) as container:
        write_wav(wav, container)
    for second in (4, 5, 6, 7):
        assert abs(onset_error_s(wav, second=second, at_s=second - begin)) <= 0.001


def write_wav(path: Path, container: av.container.InputContainer) -> None:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48000)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        for frame in container.decode(audio=0):
            for block in resampler.resample(frame):
                block.pts = None
                out.mux(stream.encode(block))
        out.mux(stream.encode(None))


def test_small_and_ready_to_stream(media_dir: Path, tmp_path: Path, ffmpeg_program: str) -> None:
    source = media_dir / "hilltop_rotated.mp4"
    made = make(source, tmp_path / "out", start_s=1.0, num_seconds=4, max_height_px=120)
    assert (made.width, made.height, made.form.rotation_deg) == (160, 120, 0)
    data = (tmp_path / "out" / "preview.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(data) < source.stat().st_size / 4


def test_the_same_bytes_again(media_dir: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(media_dir / "bee_on_thistle.mp4", tmp_path / name, start_s=0.5, num_seconds=3)
    assert (tmp_path / "one" / "preview.mp4").read_bytes() == (tmp_path / "two" / "preview.mp4").read_bytes()


def test_a_video_without_sound(media_dir: Path, tmp_path: Path, ffmpeg_program: str) -> None:
    made = make(media_dir / "bottles_no_audio.mp4", tmp_path / "out", start_s=0.0, num_seconds=3, max_height_px=96)
    assert made.sound is None
    assert made.duration_s == pytest.approx(3, abs=0.05)
