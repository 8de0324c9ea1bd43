"""The files of clips in AVSBench's layout: made from the workspace, and compared with it when they are read back."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from avis_data.errors import ItemError, Reason
from avis_data.features.logmel import EXAMPLE_FRAMES, NUM_BANDS, log_mel
from avis_data.formats.avsbench import NUM_FRAMES, SIDE_PX, AvsbenchName, AvsbenchPaths, AvsbenchSound, clip_paths
from avis_data.io import sha256_file
from avis_data.masks.rle import decode
from avis_data.paths import Workspace
from avis_data.pipelines.exports.avsbench_windows import Window
from avis_data.pipelines.exports.clips import SAMPLE_RATE_HZ, check_stills, mono_samples

__all__ = ["WindowFiles", "check_windows", "union_mask", "write_windows"]

_SIZE = (SIDE_PX, SIDE_PX)


@dataclass(frozen=True, kw_only=True)
class WindowFiles:
    """How the files of windows are made."""

    dataset: AvsbenchName
    sound: AvsbenchSound
    folder: Path
    """Of the dataset."""
    split_of: Callable[[Window], str]

    def paths(self, window: Window) -> AvsbenchPaths:
        """Where they are, relative to the folder."""
        return clip_paths(self.dataset, window.row(self.dataset, self.split_of(window)), self.sound)


def write_windows(workspace: Workspace, windows: Sequence[Window], files: WindowFiles) -> dict[str, str]:
    """Write the windows of one clip; its stills and its sound are first compared with what was extracted.

    Returns:
        Relative path -> sha256 of every file, as it must be found when read back.

    Raises:
        ItemError: source_missing or torn_input, where the workspace does not hold what its manifest says.
    """
    item = windows[0].item
    check_stills(workspace, item)
    samples_N = mono_samples(workspace, item)
    hashes: dict[str, str] = {}
    for window in windows:
        paths = files.paths(window)
        for name, pixels in _pictures(workspace, window, paths):
            path = _made(files.folder / name)
            Image.fromarray(pixels).save(path, format="PNG")
            hashes[name] = sha256_file(path)
        _write_sound(_made(files.folder / paths.sound), _heard(samples_N, window), files.sound)
        hashes[paths.sound] = sha256_file(files.folder / paths.sound)
    return hashes


def check_windows(
    workspace: Workspace, windows: Sequence[Window], files: WindowFiles, written: dict[str, str]
) -> dict[str, str]:
    """Read the files of one clip's windows back and compare them with the workspace.

    Returns:
        `written`, which is what was found.

    Raises:
        ItemError: torn_input at the first that differs.
    """
    samples_N = mono_samples(workspace, windows[0].item)
    for window in windows:
        paths = files.paths(window)
        for name, pixels in _pictures(workspace, window, paths):
            if not np.array_equal(_read_picture(files.folder / name), pixels):
                raise _torn(f"{name} is not the picture that was written")
        if not _same_sound(files.folder / paths.sound, _heard(samples_N, window), files.sound):
            raise _torn(f"{paths.sound} is not the sound that was written")
    changed = [name for name, digest in written.items() if sha256_file(files.folder / name) != digest]
    if changed:
        raise _torn(f"{changed[0]} changed since it was written")
    return written


def union_mask(window: Window, second: int) -> NDArray[np.bool_]:
    """What sounds in a second of the clip, all tracks together, bool (224, 224); nearest pixels, aspect lost."""
    clip = window.item.clip
    union_HW = np.zeros((clip.height, clip.width), dtype=bool)
    for track in window.item.tracks:
        mask = track.masks[second]
        if mask is not None:
            union_HW |= decode(mask)
    small = Image.fromarray(union_HW.astype(np.uint8)).resize(_SIZE, Image.Resampling.NEAREST)
    return np.asarray(small) > 0


def _pictures(workspace: Workspace, window: Window, paths: AvsbenchPaths) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels of every still, (224, 224, 3), and of every mask, (224, 224) of 0 and 255."""
    for second, frame, mask in zip(window.seconds, paths.frames, paths.masks, strict=True):
        with Image.open(workspace.frame(window.item.clip.clip_id, second)) as still:
            yield frame, np.asarray(still.convert("RGB").resize(_SIZE, Image.Resampling.BILINEAR))
        if mask is not None:
            yield mask, union_mask(window, second).astype(np.uint8) * np.uint8(255)


def _heard(samples_N: NDArray[np.int16], window: Window) -> NDArray[np.int16]:
    return samples_N[window.start * SAMPLE_RATE_HZ : (window.start + NUM_FRAMES) * SAMPLE_RATE_HZ]


def _write_sound(path: Path, samples_N: NDArray[np.int16], sound: AvsbenchSound) -> None:
    if sound == "logmel":
        np.save(path, _examples(samples_N), allow_pickle=False)
        return
    with path.open("wb") as out, wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples_N.astype("<i2", copy=False).tobytes())


def _same_sound(path: Path, samples_N: NDArray[np.int16], sound: AvsbenchSound) -> bool:
    try:
        if sound == "logmel":
            return np.array_equal(np.load(path, allow_pickle=False), _examples(samples_N))
        with wave.open(str(path), "rb") as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            return form == (1, 2, SAMPLE_RATE_HZ) and file.readframes(file.getnframes()) == samples_N.tobytes()
    except (OSError, EOFError, ValueError, wave.Error):
        return False


def _examples(samples_N: NDArray[np.int16]) -> NDArray[np.float32]:
    """float32 (5, 1, 96, 64): the log-mel of all five seconds, cut every 0.96 s, as the published sets have it."""
    frames_FM = log_mel(samples_N.astype(np.float32) / np.float32(32768))[: NUM_FRAMES * EXAMPLE_FRAMES]
    return frames_FM.reshape(NUM_FRAMES, 1, EXAMPLE_FRAMES, NUM_BANDS)


def _read_picture(path: Path) -> NDArray[np.uint8] | None:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return np.asarray(picture)
    except (OSError, UnidentifiedImageError, SyntaxError):
        return None


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _torn(message: str) -> ItemError:
    return ItemError(message, reason=Reason.TORN_INPUT)
