"""What can be wrong with a file or a span ends in a reason that says so, and what only looks wrong does not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avis_data.errors import ItemError, Reason
from avis_data.media.ffmpeg import FFMPEG_VARIABLE
from avis_data.media.probe import probe
from support.clocked_media import Clock, even_times, shown_number, write_clocked
from support.extracting import PROGRAMS, Extract
from support.places import NEEDS_SHARED, SHARED

GROUPS = {"preset": "veryfast", "crf": "12", "bf": "2", "g": "50"}
CLOCK = Clock(times_s=even_times(25, 8), options=GROUPS, sound_span_s=(0.0, 8.0))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, index first, as a download would have it."""
    folder = tmp_path_factory.mktemp("faults")
    return remux(write_clocked(folder / "plain.mp4", CLOCK), folder / "clip.mp4", "-movflags", "+faststart")


def remux(source: Path, target: Path, *options: str) -> Path:
    """The same packets in another file."""
    program = next(iter(PROGRAMS.values()))
    command = [program, "-v", "error", "-nostdin", "-y", "-i", source, "-c", "copy", *options, target]
    subprocess.run(command, check=True)
    return target


def reason_of(extract: Extract, *arguments: object, **options: object) -> tuple[Reason, str]:
    with pytest.raises(ItemError) as caught:
        extract(*arguments, **options)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_download_that_broke_off_is_named_or_used_as_far_as_it_goes(
    clip: Path, tmp_path: Path, suffix: str, extract: Extract
) -> None:
    whole = clip if suffix == ".mp4" else remux(clip, tmp_path / "whole.mkv")
    part = tmp_path / f"part{suffix}"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    reason, message = reason_of(extract, part)
    assert reason is Reason.DURATION_MISMATCH
    assert "8.0" in message
    assert extract(part, 0.0, 3.0).facts["num_seconds"] == 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("kind", ["video", "audio"])
def test_one_damaged_packet_is_found_only_where_it_is_in_the_span(
    clip: Path, tmp_path: Path, suffix: str, kind: str, ffmpeg_program: str, extract: Extract
) -> None:
    damaged = remux(clip, tmp_path / f"damaged{suffix}")
    with av.open(str(damaged)) as container:
        stream = getattr(container.streams, kind)[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        inside = [packet for packet in packets if 5 < packet.pts * packet.time_base < 6]
        place, size = max(((packet.pos, packet.size) for packet in inside), key=lambda item: item[1])
    data = bytearray(damaged.read_bytes())
    data[place + 8 : place + size] = np.random.default_rng(3).bytes(size - 8)
    damaged.write_bytes(data)
    reason, message = reason_of(extract, damaged)
    assert reason is Reason.CORRUPT_MEDIA
    assert damaged.name in message
    assert extract(damaged, corrupt_media="keep").facts["num_seconds"] == 8
    assert extract(damaged, 1.0, 3.0).facts["num_seconds"] == 2


def test_hidden_pictures_and_open_groups_are_not_damage(tmp_path: Path, ffmpeg_program: str, extract: Extract) -> None:
    path = tmp_path / "hidden.webm"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=4"]
    vp8 = "-c:v libvpx -b:v 200k -auto-alt-ref 1 -lag-in-frames 16 -g 40 -deadline good -cpu-used 4".split()
    for number in ("1", "2"):  # only two passes make hidden pictures
        command = [ffmpeg_program, "-v", "error", "-nostdin", "-y", *picture, *vp8, "-pass", number, path]
        subprocess.run(command, cwd=tmp_path, check=True)
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) > 100, "four seconds, and hidden pictures"
    assert extract(path, 1.7, 3.7, missing_sound="pad").facts["num_seconds"] == 2
    groups = {"preset": "medium", "crf": "12", "bf": "3", "g": "40", "x264-params": "open-gop=1:scenecut=0"}
    path = write_clocked(tmp_path / "open.ts", replace(CLOCK, options=groups))
    for start_s in (1.61, 3.21, 4.0):
        facts = extract(path, start_s, start_s + 2).facts
        assert (facts["missing_pictures"], facts["concealed_pictures"]) == (0, 0)


def test_a_recording_that_begins_in_the_middle_of_a_group(
    tmp_path: Path, ffmpeg_program: str, extract: Extract
) -> None:
    whole = write_clocked(tmp_path / "whole.ts", replace(CLOCK, options=GROUPS))
    data = whole.read_bytes()
    part = tmp_path / "part.ts"
    part.write_bytes(data[len(data) // 188 * 4 // 10 * 188 :])
    got = extract(part)
    numbers = [shown_number(still) for still in got.stills]
    assert numbers == sorted(numbers)
    assert numbers[0] % 50 == 0, "the first picture that can be decoded is a key frame"


def test_a_stream_copied_cut_starts_where_its_edit_list_says(
    clip: Path, tmp_path: Path, ffmpeg_program: str, extract: Extract
) -> None:
    """Key frames are at 2 s and 4 s: the file begins 1.3 s before its first picture is shown."""
    program = next(iter(PROGRAMS.values()))
    cut = tmp_path / "cut.mp4"
    command = [program, "-v", "error", "-nostdin", "-ss", "3.3", "-i", clip, "-c", "copy", "-t", "4", cut]
    subprocess.run(command, check=True)
    assert probe(cut).video_start_s >= 0, "what comes before the edit is not shown"
    for start_s in (0.0, 1.0):
        got = extract(cut, start_s, start_s + 3)
        for second, still in enumerate(got.stills):
            assert abs(shown_number(still) / 25 - (3.3 + start_s + second + 0.48)) <= 0.04


def test_the_size_may_change_in_the_middle(tmp_path: Path, ffmpeg_program: str, extract: Extract) -> None:
    half = Clock(times_s=even_times(25, 4), sound_codec=None)
    small = write_clocked(tmp_path / "small.ts", half)
    large = write_clocked(tmp_path / "large.ts", replace(half, size_wh=(256, 192), shift_s=Fraction(4)))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    got = extract(joined, missing_sound="pad")
    assert [shown_number(still) for still in got.stills] == [12, 37, 62, 87] * 2
    assert {Image.open(still).size for still in got.stills} == {(128, 96)}


def test_a_cover_picture_is_no_video(clip: Path, tmp_path: Path, extract: Extract) -> None:
    cover = tmp_path / "cover.png"
    Image.new("RGB", (64, 64), "red").save(cover)
    command = [next(iter(PROGRAMS.values())), "-v", "error", "-nostdin", "-i", clip, "-i", cover, "-c", "copy"]
    first = [*command, "-map", "1", "-disposition:v:0", "attached_pic"]
    song, film = tmp_path / "song.mp4", tmp_path / "film.mp4"
    subprocess.run([*first, "-map", "0:a", song], check=True)
    subprocess.run([*first, "-map", "0", film], check=True)
    reason, message = reason_of(extract, song)
    assert reason is Reason.NO_VIDEO
    assert "cover" in message
    assert [shown_number(still) for still in extract(film).stills] == [12 + 25 * second for second in range(8)]


@pytest.mark.parametrize(
    ("start_s", "end_s", "words"),
    [
        (0.0, 8.6, "to 8.00 s only"),
        (8.0, None, "start must come before"),
        (9.0, 12.0, "to 8.00 s"),
        (5.0, 4.0, "before"),
    ],
)
def test_a_span_outside_the_video_is_told_with_the_numbers(
    clip: Path, extract: Extract, start_s: float, end_s: float | None, words: str
) -> None:
    reason, message = reason_of(extract, clip, start_s, end_s)
    assert reason is Reason.SPAN_OUTSIDE_VIDEO
    assert words in message


def test_an_end_just_after_the_end_is_the_end(clip: Path, extract: Extract) -> None:
    got = extract(clip, 2.0, 8.4)
    assert (got.facts["num_seconds"], got.times["found_duration_s"], got.times["asked_end_s"]) == (6, 6.0, 8.4)


def test_sound_that_ends_early_or_is_not_there(tmp_path: Path, ffmpeg_program: str, extract: Extract) -> None:
    path = write_clocked(tmp_path / "short.mp4", replace(CLOCK, sound_span_s=(0.0, 3.0)))
    assert reason_of(extract, path, 5.0, 8.0)[0] is Reason.NO_AUDIO
    assert reason_of(extract, path, 0.0, 4.0)[0] is Reason.AUDIO_SHORT
    padded = extract(path, 5.0, 8.0, missing_sound="pad")
    assert (padded.facts["sound"], padded.facts["padded_samples"]) == ("none", 48_000)
    assert padded.times["sound_start_s"] is padded.times["sound_end_s"] is None
    little = extract(path, 0.0, 3.4)
    assert (little.facts["sound"], little.facts["num_seconds"], little.facts["padded_samples"]) == ("complete", 3, 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\npart.ts\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile part.ts\n"),
        ("page.mp4", "<!doctype html><html><body>Sign in</body></html>"),
    ],
)
def test_play_lists_cannot_reach_other_files(
    clip: Path, tmp_path: Path, name: str, content: str, extract: Extract
) -> None:
    remux(clip, tmp_path / "part.ts")
    path = tmp_path / name
    path.write_text(content)
    assert reason_of(extract, path)[0] is Reason.NOT_MEDIA


def test_a_missing_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        probe(tmp_path / "gone.mp4")
    assert caught.value.reason is Reason.SOURCE_MISSING


def test_a_name_may_look_like_an_option_or_a_protocol(
    clip: Path, tmp_path: Path, ffmpeg_program: str, extract: Extract
) -> None:
    path = tmp_path / "-i:%05d [x] 'é.mp4"
    path.write_bytes(clip.read_bytes())
    assert extract(path, 2.0, 4.0).facts["num_seconds"] == 2


def test_stills_keep_the_colours_of_a_video_that_is_not_bt601(
    tmp_path: Path, ffmpeg_program: str, extract: Extract
) -> None:
    colour = (200, 40, 90)
    path = tmp_path / "bt709.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
        for number in range(20):
            frame = picture.reformat(format="yuv420p", dst_colorspace="itu709")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    still = Image.open(extract(path, missing_sound="pad").stills[0])
    assert np.abs(np.asarray(still, float).mean(axis=(0, 1)) - colour).max() < 4


def test_a_full_disk_is_told(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extract: Extract) -> None:
    """A stand-in for ffmpeg that says what the real one says there: a small file system cannot be had in a test."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 0 stand-in" && exit 0\n'
        'echo "[out#0 @ 0x1] [error] av_interleaved_write_frame(): No space left on device" >&2\nexit 228\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv(FFMPEG_VARIABLE, str(program))
    assert reason_of(extract, clip)[0] is Reason.DISK_FULL


@pytest.mark.parametrize("groups", ["0", "2"], ids=lambda count: f"{count} B-pictures")
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
@pytest.mark.parametrize("frame_at", ["start", "mid", "end"])
def test_a_copied_cut_gives_no_still_that_lacks_its_key_frame(
    tmp_path: Path, suffix: str, groups: str, frame_at: str, ffmpeg_program: str, extract: Extract
) -> None:
    """Negative time stamps do not survive in Matroska: there the first pictures have none, and ffmpeg invents some."""
    options = {"preset": "veryfast", "crf": "12", "bf": groups, "g": "50"}
    whole = write_clocked(tmp_path / "whole.mkv", replace(CLOCK, options=options))
    cut = tmp_path / f"cut{suffix}"
    copied = ["-c", "copy", "-avoid_negative_ts", "disabled", cut]
    command = [ffmpeg_program, "-v", "error", "-nostdin", "-y", "-ss", "2.3", "-i", whole, *copied]
    subprocess.run(command, check=True)
    got = extract(cut, fps=5, frame_at=frame_at)
    shown = stamped_pictures(cut)
    for still, entry in zip(got.stills, got.times["stills"], strict=True):
        assert entry["source_pts"] in shown, "a picture that another decoder gives that time"
        assert shown_number(still) == shown[entry["source_pts"]], entry
    assert got.times["stills"][0]["source_s"] >= got.media.video_start_s


def stamped_pictures(path: Path) -> dict[int, int]:
    """By time stamp, the number that each picture shows, as PyAV decodes it, from a stamped key frame on."""
    found: dict[int, int] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.is_keyframe and (packet.pts is not None or not packet.size):
                found.setdefault(-1, packet.pts or 0)
            for frame in packet.decode():
                if frame.pts is not None and -1 in found and frame.pts >= found[-1]:
                    still = path.with_name("other.png")
                    frame.to_image().save(still)
                    found[frame.pts] = shown_number(still)
    return found


def test_a_raw_stream_is_told_as_that(clip: Path, tmp_path: Path, extract: Extract) -> None:
    raw = remux(clip, tmp_path / "raw.h264", "-an", "-bsf:v", "h264_mp4toannexb")
    reason, message = reason_of(extract, raw)
    assert reason is Reason.NO_TIME_STAMPS
    assert "time stamps" in message and "cut off" not in message


@NEEDS_SHARED
def test_a_stream_that_the_header_did_not_name_is_a_fault_of_the_file() -> None:
    reasons = []
    for path in sorted((SHARED / "faults" / "media").glob("stream_appears_*")):
        try:
            probe(path)
        except ItemError as error:
            reasons.append(error.reason)
    assert Reason.BAD_MEDIA in reasons
