"""Odd labelled clips from a seed, written and read back by any format: for round trips of all of them.

A world has what real sets have and formats forget: objects that hide behind others, touch, leave and come back, fall
silent, of which nobody said whether they sound, that are never seen, of one pixel, in pictures of odd sizes.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.compare import differences, kept
from avis_data.formats.sets.spec import SetFacts, SetSpec
from avis_data.masks.rle import Rle, decode, encode
from avis_data.records import SplitName

CATEGORIES = ("cello", "dog", "person", "violin")
SIZES_HW = ((1, 1), (3, 7), (5, 1), (12, 17), (9, 9), (48, 64))
_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


def odd_clips(
    seed: int,
    count: int = 4,
    *,
    lengths: Sequence[int] = (1, 2, 3, 5),
    sizes_HW: Sequence[tuple[int, int]] = SIZES_HW,
    categories: Sequence[str] = CATEGORIES,
    fps: float = 1.0,
) -> list[LabelledClip]:
    """Some clips in the order of their names; equal seeds give equal clips.

    Args:
        seed: of everything.
        count: how many clips.
        lengths: numbers of stills to draw from.
        sizes_HW: heights and widths to draw from, in pixels.
        categories: names to draw from.
        fps: stills in one second.
    """
    rng = np.random.default_rng(seed)
    clips = []
    for number in range(count):
        height, width = sizes_HW[int(rng.integers(len(sizes_HW)))]
        length = int(rng.choice(lengths))
        name = f"clip_{seed}-{number}"
        clips.append(
            LabelledClip(
                name=name,
                width=width,
                height=height,
                stills=tuple(_still(rng, place, height, width, fps) for place in range(length)),
                tracks=_tracks(rng, length, height, width, categories),
                fps=fps,
                split=_SPLITS[int(rng.integers(3))],
                sound=Media(name="audio.wav", load=_sound(rng, length / fps)),
                license=str(rng.choice(["CC-BY-4.0", "CC0-1.0"])),
                source=f"video{number // 2}",
                start_s=float(number),
            )
        )
    return clips


def with_embeddings(clips: Sequence[LabelledClip]) -> list[LabelledClip]:
    """The clips with embeddings, which differ from clip to clip."""
    filled = []
    for number, clip in enumerate(clips):
        embeddings_TD = np.random.default_rng(number).random((len(clip.stills), 128), np.float32)
        filled.append(replace(clip, embeddings_TD=lambda embeddings_TD=embeddings_TD: embeddings_TD))
    return filled


def facts_of(clips: Iterable[LabelledClip], *, fps: float | None = 1.0) -> SetFacts:
    """What is said of a set of these clips."""
    names = {track.category for clip in clips for track in clip.tracks if track.category is not None}
    numbers = {name: number for number, name in enumerate(sorted(names | set(CATEGORIES)), start=1)}
    return SetFacts(name="odd", categories=numbers, fps=fps, description="Odd clips.")


def write_set(spec: SetSpec, folder: Path, clips: Sequence[LabelledClip], facts: SetFacts | None = None) -> list[str]:
    """The files of a set, as an export writes them; gives their names."""
    assert spec.writer is not None
    facts = facts or facts_of(clips)
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for clip in clips for name in spec.writer.write_clip(folder, clip, facts)]
    names += spec.writer.write_shared(folder, lambda: iter(clips), facts)
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert sorted(set(names)) == there, "a writer names all its files, and each of them once"
    return there


def read_set(spec: SetSpec, path: Path) -> list[LabelledClip]:
    """All clips of a set, none of which may be unread."""
    assert spec.reader is not None
    found = list(spec.reader.read(path))
    for clip in found:
        assert isinstance(clip, LabelledClip), [str(problem) for problem in clip.problems]
    return [clip for clip in found if isinstance(clip, LabelledClip)]


def unread(spec: SetSpec, path: Path) -> dict[str, list[str]]:
    """The problems of each clip that could not be read."""
    assert spec.reader is not None
    found = [clip for clip in spec.reader.read(path) if isinstance(clip, UnreadClip)]
    return {clip.name: [str(problem) for problem in clip.problems] for clip in found}


def check_round_trip(spec: SetSpec, folder: Path, clips: Sequence[LabelledClip]) -> list[LabelledClip]:
    """Write clips, read them, and compare each with what the format says that it keeps."""
    assert spec.reader is not None
    fitting = [clip for clip in clips if spec.fits(clip) is None]
    write_set(spec, folder, fitting)
    assert spec.reader.looks_right(folder)
    found = read_set(spec, folder)
    assert [clip.name for clip in found] == sorted(clip.name for clip in fitting)
    written = {clip.name: clip for clip in fitting}
    for clip in found:
        assert list(differences(clip, kept(written[clip.name], spec), spec)) == [], clip.name
        assert [track.track_id for track in clip.tracks] == sorted(track.track_id for track in clip.tracks)
    return found


def check_all_comes_back(spec: SetSpec, folder: Path, clips: Sequence[LabelledClip]) -> None:
    """A round trip of a format that keeps everything: also names and times of stills, sound, embeddings, the source."""
    for found, written in zip(check_round_trip(spec, folder, clips), clips, strict=True):
        ids = [(track.track_id, track.category) for track in written.tracks]
        assert [(track.track_id, track.category) for track in found.tracks] == ids, "also of tracks without any mask"
        assert [(still.name, still.number, still.time_s) for still in found.stills] == [
            (still.name, still.number, still.time_s) for still in written.stills
        ]
        assert found.sound is not None and written.sound is not None and found.sound.read() == written.sound.read()
        assert found.embeddings_TD is not None and written.embeddings_TD is not None
        assert np.array_equal(found.embeddings_TD(), written.embeddings_TD())
        assert (found.source, found.start_s) == (written.source, written.start_s)


def check_expected(clip: LabelledClip, expected: dict[str, object], *, sounding: bool = True) -> None:
    """Compare a clip with the `expected.json` of a fixture, pixel by pixel."""
    assert (clip.width, clip.height) == (expected["width"], expected["height"])
    frames, tracks = expected["frames"], expected["tracks"]
    assert isinstance(frames, list) and isinstance(tracks, list)
    assert len(clip.stills) == len(frames)
    assert [track.category for track in clip.tracks] == [track["category"] for track in tracks]
    for found, wanted in zip(clip.tracks, tracks, strict=True):
        for mask, frame in zip(found.masks, wanted["frames"], strict=True):
            assert (mask is None) == (frame is None)
            if mask is not None:
                truth = decode(Rle(clip.height, clip.width, frame["rle"]["counts"]))
                assert (decode(mask) == truth).all() and int(truth.sum()) == frame["area"]
        if sounding:
            assert list(found.sounding) == (wanted["sounding"] or [None] * len(frames))


def _still(rng: np.random.Generator, number: int, height: int, width: int, fps: float) -> Still:
    pixels_HW3 = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels_HW3).save(data, "JPEG")
    name = f"{number:05d}"
    picture = Media(name=f"{name}.jpg", load=data.getvalue)
    return Still(name=name, number=number, time_s=number / fps, picture=picture)


def _tracks(
    rng: np.random.Generator, length: int, height: int, width: int, categories: Sequence[str]
) -> tuple[LabelledTrack, ...]:
    """0 to 5 tracks, some of one category, of which every second one lies where the one before ends."""
    tracks: list[LabelledTrack] = []
    corner = (0, 0)
    for number in range(int(rng.integers(6))):
        masks: list[Rle | None] = []
        for _ in range(length):
            mask_HW, corner = _mask(rng, height, width, corner if number % 2 else None)
            there = rng.random() < 0.7 and number != 4  # the fifth is never seen
            masks.append(encode(mask_HW) if there else None)
        flags = tuple(None if mask is None else (True, False, None)[int(rng.integers(3))] for mask in masks)
        category = str(rng.choice(list(categories)))
        tracks.append(LabelledTrack(track_id=f"t{number}", category=category, masks=tuple(masks), sounding=flags))
    return tuple(tracks)


def _mask(
    rng: np.random.Generator, height: int, width: int, beside: tuple[int, int] | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """bool (H, W) with a pixel inside or more: a box, often with holes, or one pixel; and where it ends."""
    mask_HW = np.zeros((height, width), bool)
    y, x = beside or (int(rng.integers(height)), int(rng.integers(width)))
    y, x = min(y, height - 1), min(x, width - 1)
    tall, wide = (1, 1) if rng.random() < 0.3 else (int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1)))
    mask_HW[y : y + tall, x : x + wide] = True
    if rng.random() < 0.4:
        mask_HW &= rng.random((height, width)) < 0.8
    mask_HW[y, x] = True
    return mask_HW, (y, min(x + wide, width - 1))


def _sound(rng: np.random.Generator, seconds: float) -> Callable[[], bytes]:
    samples = rng.integers(-3000, 3000, round(seconds * 16_000), dtype=np.int16)

    def wav() -> bytes:
        data = io.BytesIO()
        with wave.open(data, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(samples.tobytes())
        return data.getvalue()

    return wav
