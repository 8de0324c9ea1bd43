"""Copies of real clips are found however they were changed; silence, black, tones and still scenes link nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from avis_data.fingerprints.candidates import picture_tries, sound_tries
from avis_data.fingerprints.links import find_links, groups_of
from avis_data.fingerprints.making import NUM_BANDS, SIDE, Fingerprint, clip_fingerprint, sound_fingerprint
from support.media_files import ffmpeg
from support.places import NEEDS_SHARED, SHARED

RATE = 16_000
MEDIA = SHARED / "media"
CLIPS = {
    "animation": ("animation_surround51.mp4", 1, 7),
    "moon": ("moon_hammer_feather.mp4", 3, 8),
    "walkers": ("trail_walkers_vfr.mp4", 2, 7),
}
"""File, start and length."""
CHANGES = {
    "coded": ["-vf", "scale=160:120,eq=brightness=0.05:contrast=1.1", "-crf", "36", "-b:a", "32k"],
    "cropped": ["-vf", "crop=iw*0.82:ih*0.82:iw*0.15:ih*0.05"],
    "mirrored": ["-vf", "hflip"],
    "boxed": ["-vf", "pad=iw:ih*1.35:0:(oh-ih)/2"],
    "faster": ["-vf", "setpts=PTS/1.04", "-af", "atempo=1.04"],
    "higher": ["-vf", "setpts=PTS/1.05", "-af", "aresample=48000,asetrate=50400,aresample=48000"],
    "slower": ["-vf", "setpts=PTS/0.95", "-af", "atempo=0.95"],
}


def printed(folder: Path, name: str, *, sound: bool = True) -> Fingerprint:
    """The fingerprint of `name.mkv`."""
    stills = folder / name
    stills.mkdir()
    ffmpeg(folder, "-i", f"{name}.mkv", "-map", "0:v:0", "-vf", "fps=1", "-q:v", "2", f"{name}/%05d.jpg")
    if sound:
        ffmpeg(folder, "-i", f"{name}.mkv", "-map", "0:a:0", "-ac", "1", "-ar", str(RATE), f"{name}.wav")
    wav = folder / f"{name}.wav" if sound else None
    return clip_fingerprint(name, sorted(stills.iterdir()), wav, fps=1)


def cut(folder: Path, name: str, clip: str, *changes: str, later_s: float = 0, shorter_s: float = 0) -> None:
    file, start, length = CLIPS[clip]
    span = ["-ss", str(start + later_s), "-t", str(length - shorter_s), "-i", str(MEDIA / file)]
    small = [] if "-vf" in changes else ["-vf", "scale=320:-2"]
    coded = ["-map", "0:v:0", "-map", "0:a:0", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    ffmpeg(folder, *span, *coded, *small, *changes, f"{name}.mkv")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Fingerprint]:
    folder = tmp_path_factory.mktemp("originals")
    for clip in CLIPS:
        cut(folder, clip, clip)
    return [printed(folder, clip) for clip in CLIPS]


@NEEDS_SHARED
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_by_picture_and_by_sound(
    originals: list[Fingerprint], tmp_path: Path, change: str
) -> None:
    cut(tmp_path, "copy", "animation", *CHANGES[change])
    links = find_links([*originals, printed(tmp_path, "copy")])
    assert {(link.first, link.second) for link in links} == {("animation", "copy")}
    assert {link.by for link in links} == {"picture", "sound"}
    assert all(link.is_mirrored == (change == "mirrored") for link in links if link.by == "picture")


@NEEDS_SHARED
def test_spans_that_overlap_are_found_and_others_of_the_same_video_are_not(
    originals: list[Fingerprint], tmp_path: Path
) -> None:
    cut(tmp_path, "overlapping", "moon", later_s=4.3)
    cut(tmp_path, "elsewhere", "moon", later_s=9)
    links = find_links([*originals, printed(tmp_path, "overlapping"), printed(tmp_path, "elsewhere")])
    found = {(link.first, link.second): link for link in links}
    assert ("moon", "overlapping") in found and ("elsewhere", "moon") not in found
    assert abs(found["moon", "overlapping"].offset_s - 4.3) < 0.6


@NEEDS_SHARED
def test_the_same_sound_under_other_pictures_is_found_by_sound(originals: list[Fingerprint], tmp_path: Path) -> None:
    file, start, length = CLIPS["animation"]
    sound = ["-ss", str(start), "-t", str(length), "-i", str(MEDIA / file)]
    walk = ["-ss", "2", "-t", str(length), "-i", str(MEDIA / CLIPS["walkers"][0])]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "64k"]
    ffmpeg(tmp_path, *sound, *walk, "-map", "1:v:0", "-map", "0:a:0", "-vf", "scale=320:-2", *coded, "music.mkv")
    links = find_links([*originals, printed(tmp_path, "music")])
    assert {("animation", "music", "sound")} <= {(link.first, link.second, link.by) for link in links}
    assert groups_of(links) == [
        ["animation", "music", "walkers"]
    ]  # it has the picture of the one, the sound of the other


@NEEDS_SHARED
def test_different_real_clips_are_not_linked(originals: list[Fingerprint]) -> None:
    assert find_links(originals) == []


def still_life(
    rng: np.random.Generator, name: str, background_HW: NDArray[np.uint8], sound_N: NDArray[np.float32]
) -> Fingerprint:
    """A camera that stands before a picture, with the noise of a sensor."""
    noise_THW = rng.normal(0, 1.0, (10, SIDE, SIDE))
    stills_THW = np.clip(background_HW + noise_THW, 0, 255).astype(np.uint8)
    return Fingerprint(clip_id=name, period_s=1.0, stills_THW=stills_THW, sound_NB=sound_fingerprint(sound_N))


@pytest.mark.parametrize("seed", range(3))
def test_silence_black_backgrounds_and_tones_link_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = np.arange(10 * RATE) / RATE
    tone_N = (0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    hum_N = sum(0.1 * np.sin(2 * np.pi * 50 * n * seconds) for n in (3, 6, 9)).astype(np.float32)  # type: ignore[union-attr]  # a sum of arrays
    silence_N = np.zeros(10 * RATE, dtype=np.float32)
    title_HW = np.kron(rng.integers(0, 255, (8, 8)), np.ones((4, 4))).astype(np.uint8)
    black_HW = np.full((SIDE, SIDE), 16, dtype=np.uint8)
    prints = [
        still_life(
            rng,
            f"{name}-{copy}",
            background_HW,
            sound_N + (rng.normal(0, 1e-5, len(sound_N)) * copy).astype(np.float32),
        )
        for name, background_HW, sound_N in (
            ("title-tone", title_HW, tone_N),
            ("title-hum", title_HW, hum_N),
            ("black-silence", black_HW, silence_N),
            ("black-tone", black_HW, tone_N),
        )
        for copy in range(3)
    ]
    assert find_links(prints) == []


@pytest.mark.parametrize("seed", range(3))
def test_two_instruments_that_swell_together_are_no_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    swell_N = 60 * np.sin(np.linspace(0, 6, 40) + rng.uniform(0, 3))
    timbre_B = rng.uniform(60, 140, NUM_BANDS)
    prints = [
        Fingerprint(
            clip_id=name,
            period_s=1.0,
            stills_THW=np.zeros((4, SIDE, SIDE), dtype=np.uint8),
            sound_NB=np.clip(swell_N[:, None] + timbre_B + rng.normal(0, 6, (40, NUM_BANDS)), 0, 255).astype(np.uint8),
        )
        for name in ("oboe", "clarinet")
    ]
    assert np.corrcoef(prints[0].sound_NB.ravel(), prints[1].sound_NB.ravel())[0, 1] > 0.95, "as alike as that"
    assert find_links(prints) == []


def test_the_order_of_clips_does_not_change_what_is_found() -> None:
    rng = np.random.default_rng(7)
    prints = [moving(rng, f"clip{number}") for number in range(12)]
    copies = [
        Fingerprint(
            clip_id=f"z{one.clip_id}", period_s=1.0, stills_THW=one.stills_THW[:, :, ::-1], sound_NB=one.sound_NB
        )
        for one in prints[:4]
    ]
    links = find_links([*prints, *copies])
    assert groups_of(links) == [[one.clip_id, f"z{one.clip_id}"] for one in prints[:4]]
    assert find_links([*copies[::-1], *prints[::-1]]) == links


def moving(rng: np.random.Generator, name: str, *, size: int = 4) -> Fingerprint:
    """Pictures and sound that are smooth and change all the time."""
    coarse_THW = rng.integers(0, 255, (8, size, size)).astype(np.uint8)
    stills = [Image.fromarray(still_HW).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for still_HW in coarse_THW]
    sound_NB = np.kron(rng.integers(60, 160, (20, 8)), np.ones((4, NUM_BANDS // 8))).astype(np.uint8)
    return Fingerprint(
        clip_id=name, period_s=1.0, stills_THW=np.stack([np.asarray(still) for still in stills]), sound_NB=sound_NB
    )


def test_nothing_and_one_clip_have_no_links() -> None:
    assert find_links([]) == [] and find_links([moving(np.random.default_rng(0), "one")]) == [] and groups_of([]) == []


def test_what_is_alike_by_chance_is_not_compared() -> None:
    """Hashes that are nearly equal by chance grow with the square of the clips: each comparison costs milliseconds."""
    rng = np.random.default_rng(5)
    prints = [moving(rng, f"clip{number}", size=8) for number in range(600)]
    prints.append(replace(prints[7], clip_id="copy", stills_THW=prints[7].stills_THW[:, :, ::-1]))
    pictures, sounds = picture_tries(prints), sound_tries(prints)
    assert {(7, 600)} <= {(min(one, two), max(one, two)) for one, two, *_ in pictures}
    assert {(7, 600)} <= {(min(one, two), max(one, two)) for one, two, *_ in sounds}
    assert len(pictures) + len(sounds) < 100
