"""Which streams are taken, and how unusual pictures become stills; what is done is written into times.json.

The other decoder is PyAV (libav inside this process), asked picture by picture.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import ItemError, Reason
from avis_data.media.pictures import stream_pictures
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.preview import PreviewRequest, PreviewStage
from avis_data.recipe import PreviewOptions
from support.extracting import PROGRAMS, Extract

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=3"]
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "10"]


def make(path: Path, *options: str) -> Path:
    """A file that ffmpeg makes: the wheel's, which knows `-display_rotation`."""
    command = [PROGRAMS["wheel"], "-v", "error", "-nostdin", "-y", *options, path]
    subprocess.run(command, check=True)
    return path


def pitch_hz(wav: Path) -> float:
    """The strongest tone of a 16 kHz WAV."""
    samples = np.frombuffer(wav.read_bytes()[44:], "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 16000 / len(samples))


def two_sounds(path: Path, *options: str) -> Path:
    """A tone of 400 Hz, English, then one of 1200 Hz, German."""
    tones = ["-f", "lavfi", "-i", "sine=400:d=3", "-f", "lavfi", "-i", "sine=1200:d=3"]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a"]
    said = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"]
    return make(path, *PICTURE, *tones, *maps, *X264, "-c:a", "aac", *said, *options)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize(
    ("dispositions", "sound_track", "hertz"),
    [
        (("default", "0"), "default", 400),
        (("0", "default"), "default", 1200),
        (("0", "0"), "default", 400),
        (("default+visual_impaired", "default"), "default", 1200),
        (("default", "0"), "ger", 1200),
        (("0", "default"), "eng", 400),
        (("0", "default"), "fre", 1200),
        (("0", "default"), 0, 400),
        (("default", "0"), 1, 1200),
    ],
)
def test_the_sound_is_the_one_that_the_file_or_the_recipe_names(
    tmp_path: Path, suffix: str, dispositions: tuple[str, str], sound_track: str | int, hertz: int, extract: Extract
) -> None:
    marks = [part for number, mark in enumerate(dispositions) for part in (f"-disposition:a:{number}", mark)]
    source = two_sounds(tmp_path / f"two{suffix}", *marks)
    got = extract(source, sound_track=sound_track)
    assert pitch_hz(got.folder / "audio.wav") == pytest.approx(hertz, abs=2)
    assert got.times["num_sound_tracks"] == 2
    assert got.times["sound_track"]["language"] == ("eng" if hertz == 400 else "ger")
    media = got.media.with_sound(got.facts["sound_index"])
    assert preview_pitch_hz(source, media, tmp_path) == pytest.approx(hertz, abs=2)


def preview_pitch_hz(source: Path, media: object, folder: Path) -> float:
    """Of the preview of the first two seconds, as the stage makes it from what `extract` found."""
    out = folder / "preview"
    out.mkdir()
    request = PreviewRequest.model_validate(
        {"clip_id": "clip", "start_s": 0, "num_seconds": 2, "width": 176, "height": 144, "media": media}
    )
    PreviewStage(PreviewOptions()).run(
        Workbench(item_id="clip", record=request, inputs={"source": source}, out=out, scratch=out)
    )
    return pitch_hz(make(folder / "preview.wav", "-i", str(out / "preview.mp4"), "-ac", "1", "-ar", "16000"))


def test_a_number_beyond_the_last_sound_is_told(tmp_path: Path, extract: Extract) -> None:
    with pytest.raises(ItemError, match=r"2 sound track\(s\), extract.sound_track in recipe.yaml asks for 2") as caught:
        extract(two_sounds(tmp_path / "two.mkv"), sound_track=2)
    assert caught.value.reason is Reason.NO_AUDIO


def test_of_two_pictures_the_default_one_is_taken(tmp_path: Path, extract: Extract) -> None:
    plain = ["-f", "lavfi", "-i", "color=gray:s=128x96:r=25:d=3"]
    maps = ["-map", "1:v", "-map", "0:v", "-disposition:v:0", "0", "-disposition:v:1", "default"]
    got = extract(make(tmp_path / "two.mkv", *PICTURE, *plain, *maps, *X264), missing_sound="pad")
    assert Image.open(got.stills[0]).size == (176, 144)
    assert got.times["picture_form"]["num_streams"] == 2


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        ("16/11", (256, 144)),
        ("12/11", (192, 144)),
        ("8/9", (176, 162)),
        ("1/1", (176, 144)),
        ("45/44", (176, 144)),
        ("1/900", (176, 144)),
    ],
)
def test_stills_have_square_pixels_unless_the_recipe_keeps_them(
    tmp_path: Path, aspect: str, size: tuple[int, int], ffmpeg_program: str, extract: Extract
) -> None:
    source = make(tmp_path / "wide.mkv", *PICTURE, "-vf", f"setsar={aspect}", *X264)
    got = extract(source, missing_sound="pad")
    assert [Image.open(still).size for still in got.stills] == [size] * 3
    assert (got.facts["width"], got.facts["height"]) == size
    assert got.times["picture_form"]["pixel_aspect"] == (aspect if aspect != "1/900" else "1/1")
    assert stills_unlike(got.stills, decoded(source, [0.5, 1.5, 2.5]), size) < 8
    kept = extract(source, missing_sound="pad", pixels="stored")
    assert Image.open(kept.stills[0]).size == (176, 144)
    between = next(
        iter(stream_pictures(source, got.media, size_wh=size, start_s=0, first=0, last=1, fps=2, frame_at="mid"))
    )
    assert unlike(between, np.asarray(Image.open(got.stills[0]))) < 8


def test_narrow_pixels_of_a_turned_picture_are_wide_ones(tmp_path: Path, extract: Extract) -> None:
    stored = make(tmp_path / "stored.mp4", *PICTURE, "-vf", "setsar=16/11", *X264)
    turned = make(tmp_path / "turned.mp4", "-display_rotation:v:0", "90", "-i", str(stored), "-c", "copy")
    got = extract(turned, missing_sound="pad")
    assert got.times["picture_form"]["pixel_aspect"] == "11/16"
    assert Image.open(got.stills[0]).size == (144, 256)
    assert stills_unlike(got.stills, decoded(turned, [0.5, 1.5, 2.5], turns=1), (144, 256)) < 8


@pytest.mark.parametrize("flip", ["-display_hflip:v:0", "-display_vflip:v:0"])
def test_a_mirrored_and_turned_picture_stands_as_players_show_it(tmp_path: Path, flip: str, extract: Extract) -> None:
    """Corners of four colours: where each must be is worked out by hand from the matrix."""
    quarters = (
        "color=red:s=88x72:d=2[a];color=lime:s=88x72:d=2[b];color=blue:s=88x72:d=2[c];color=white:s=88x72:d=2[d];"
    )
    graph = f"{quarters}[a][b]hstack[top];[c][d]hstack[low];[top][low]vstack"
    plain = make(tmp_path / "plain.mp4", "-filter_complex", graph, *X264, "-pix_fmt", "yuv444p")
    turned = make(tmp_path / "t.mp4", "-display_rotation:v:0", "90", flip, "-i", str(plain), "-c", "copy")
    got = extract(turned, missing_sound="pad")
    assert got.times["picture_form"]["is_mirrored"] and got.times["picture_form"]["rotation_deg"] in (90, 270)
    still = np.asarray(Image.open(got.stills[0]).convert("RGB"))
    height, width = still.shape[:2]
    corners = [still[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    names = [colour_of(corner) for corner in corners]
    assert (height, width) == (176, 144)
    assert names == player_corners(turned, tmp_path)


def player_corners(path: Path, folder: Path) -> list[str]:
    """The corners as the ffmpeg program shows them when nothing but a picture is asked for."""
    shown = make(folder / "shown.png", "-i", str(path), "-frames:v", "1")
    picture = np.asarray(Image.open(shown).convert("RGB"))
    height, width = picture.shape[:2]
    return [colour_of(picture[y, x]) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


def colour_of(pixel: NDArray[np.uint8]) -> str:
    """The nearest of the four colours."""
    colours = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    return min(colours, key=lambda name: sum(abs(int(a) - b) for a, b in zip(pixel, colours[name], strict=True)))


def test_interlaced_pictures_lose_their_combs_and_keep_their_times(
    tmp_path: Path, ffmpeg_program: str, extract: Extract
) -> None:
    """A bar that jumps between the two half pictures: woven it is a comb, every second row another one."""
    bar = "color=black:s=176x144:r=50:d=3[b];color=white:s=40x144:r=50:d=3[w];[b][w]overlay=x='mod(t*250,136)'"
    moving = ["-f", "lavfi", "-i", bar]
    weave = [
        "-vf",
        "tinterlace=interleave_top,fieldorder=tff",
        "-flags",
        "+ildct+ilme",
        "-c:v",
        "mpeg2video",
        "-q:v",
        "2",
    ]
    source = make(tmp_path / "interlaced.mpg", *moving, *weave)
    got = extract(source, missing_sound="pad")
    assert got.times["picture_form"]["is_interlaced"]
    woven = decoded(source, [entry["source_s"] for entry in got.times["stills"]], exact=True)
    for still, picture in zip(got.stills, woven, strict=True):
        grey = np.asarray(Image.open(still).convert("L"), float)
        assert combing(grey) < 0.5 * combing(picture.mean(axis=2))
        assert unlike(np.asarray(Image.open(still))[::2], picture[::2]) < 12, "the same picture, by its first half"


def combing(grey_HW: NDArray[np.float64]) -> float:
    """How much more rows differ from their neighbours than from those two away."""
    near = np.abs(grey_HW[1:-1] - (grey_HW[:-2] + grey_HW[2:]) / 2)
    return float(np.mean(np.maximum(near - np.abs(grey_HW[:-2] - grey_HW[2:]), 0)))


def test_ten_bits_and_hdr_are_written_down_and_not_tone_mapped(tmp_path: Path, extract: Extract) -> None:
    marks = ["-vf", "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"]
    source = make(tmp_path / "hdr.mkv", *PICTURE, *X264, "-pix_fmt", "yuv420p10le", *marks)
    got = extract(source, missing_sound="pad")
    form = got.times["picture_form"]
    assert (form["bit_depth"], form["transfer"]) == (10, "smpte2084")
    assert stills_unlike(got.stills, decoded(source, [0.5, 1.5, 2.5]), (176, 144)) < 8


def test_a_change_of_size_is_written_down(tmp_path: Path, ffmpeg_program: str, extract: Extract) -> None:
    small = make(tmp_path / "small.ts", *PICTURE, *X264)
    large = make(tmp_path / "large.ts", *PICTURE, "-vf", "scale=352:288,setpts=PTS+3/TB", *X264, "-muxdelay", "0")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    got = extract(both, missing_sound="pad", corrupt_media="keep")
    assert got.times["changes_form"]
    assert {Image.open(still).size for still in got.stills} == {(176, 144)}
    assert not extract(small, missing_sound="pad").times["changes_form"]


def frames_at(path: Path, instants_s: Sequence[float] = (0.5, 1.5, 2.5)) -> list[av.VideoFrame]:
    """The frames on display just before some instants."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    start = frames[0].time
    return [max((f for f in frames if f.time - start < at), key=lambda f: f.time) for at in instants_s]


def decoded(path: Path, instants_s: Sequence[float], *, turns: int = 0, exact: bool = False) -> list[NDArray[np.uint8]]:
    """RGB pictures of PyAV, turned by quarters; `exact`: those that begin at the instants."""
    late = 0.01 if exact else 0.0
    frames = frames_at(path, [instant + late for instant in instants_s])
    return [np.rot90(frame.to_ndarray(format="rgb24"), turns) for frame in frames]


def stills_unlike(stills: Sequence[Path], pictures: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> float:
    """Largest mean difference of stills from pictures that are stretched to their size."""
    stretched = [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)) for picture in pictures]
    return max(unlike(np.asarray(Image.open(still)), other) for still, other in zip(stills, stretched, strict=True))


def unlike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference of two pictures of one size, 0 to 255."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())
