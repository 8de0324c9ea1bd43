"""Checks of the frames, sounds and features of one split against its truth; headers only, unless asked for more."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Set
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from avis_data.errors import DataError
from avis_data.features.arrays import load_npy
from avis_data.formats.aviseg_folders import FEATURES, SOUNDS, STILLS
from avis_data.formats.ytvis_records import YtvisTruth, YtvisVideo
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.quality.findings import Findings, Severity

__all__ = ["FrameSizes", "check_media"]

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING


class FrameSizes:
    """Bytes of each frame of every video: two videos with the same are the same, for all practical purposes.

    Of each video there is a hash of 63 bits.
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, sizes: tuple[int, ...]) -> None:
        """Those of the next video; none where there are no frames."""
        digest = hashlib.blake2b(array("q", sizes).tobytes(), digest_size=8).digest()
        self._hashes.append(int.from_bytes(digest) >> 1 if sizes else -1)

    def of(self, number: int) -> int:
        """The hash of a video, by its number from 0; below 0 where it has no frames, or nobody looked."""
        return self._hashes[number] if self._hashes else -1

    @staticmethod
    def shared(several: Iterable[FrameSizes]) -> Set[int]:
        """The hashes of those that more than one video has."""
        every = array("q")
        for sizes in several:
            every.extend(sizes._hashes)
        found = np.array(every, dtype=np.int64)
        values, counts = np.unique(found[found >= 0], return_counts=True)
        return {int(value) for value in values[counts > 1]}


class _Split:
    """One split's folder and where its findings go."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.folder = folder
        self._findings = findings

    def add(self, severity: Severity, code: str, path: str, message: str, *, where: str = "") -> None:
        """Note something of a file or folder below the split's."""
        self._findings.add(severity, code, f"{self.folder.name}/{path}", message, where=where)


def check_media(folder: Path, truth: YtvisTruth, *, findings: Findings, deep: bool = False) -> FrameSizes:
    """Compare the folder of a split, with its JPEGImages, WAVAudios and FEATAudios, with the videos of its truth.

    Args:
        folder: `ROOT/train` or the like.
        truth: the truth file; its videos are gone through one by one.
        findings: are added to.
        deep: decode every frame and every sample too.

    Returns:
        For each video the sizes of its frames in bytes.
    """
    split = _Split(folder, findings)
    for name, severity in ((STILLS, _ERROR), (SOUNDS, _ERROR), (FEATURES, _WARNING)):
        if not (folder / name).is_dir():
            split.add(severity, "folder-missing", name, "no such folder")
    sizes = FrameSizes()
    for video in truth.videos:
        sizes.add(_check_frames(split, video, deep=deep))
    has_sound, has_features = ((folder / name).is_dir() for name in (SOUNDS, FEATURES))
    for video in truth.videos if has_sound or has_features else ():
        if has_sound:
            _check_sound(split, video, deep=deep)
        if has_features:
            _check_features(split, video)
    _check_strangers(split, set(truth.names))
    return sizes


def _check_frames(split: _Split, video: YtvisVideo, *, deep: bool) -> tuple[int, ...]:
    path = split.folder / STILLS
    if not path.is_dir():
        return ()
    label = f"{STILLS}/{video.name}"
    try:
        found = {entry.name: entry.stat().st_size for entry in os.scandir(path / video.name)}
    except OSError:
        split.add(_ERROR, "frames-missing", label, "no such folder")
        return ()
    wanted = {name.split("/", 1)[1] for name in video.file_names}
    for name in sorted(wanted - found.keys()):
        split.add(_ERROR, "frame-missing", f"{label}/{name}", "no such file")
    for name in sorted(found.keys() - wanted):
        text = "is no frame of the video; the official feature script counts every file of the folder"
        split.add(_ERROR, "frame-extra", f"{label}/{name}", text)
    for name in sorted(wanted & found.keys()):
        _check_image(split, f"{label}/{name}", path / video.name / name, video, deep=deep)
    return tuple(found.get(name.split("/", 1)[1], 0) for name in video.file_names)


def _check_image(split: _Split, label: str, path: Path, video: YtvisVideo, *, deep: bool) -> None:
    try:
        with Image.open(path) as image:
            size = image.size
            if deep:
                image.load()
    except UNREADABLE_PICTURE as error:
        split.add(_ERROR, "frame-broken", label, f"is no image that can be read ({error!s:.80})")
        return
    if size != (video.width, video.height):
        text = f"is {size[0]} x {size[1]}, the truth says {video.width} x {video.height} (width x height)"
        split.add(_ERROR, "frame-size", label, text)


def _check_sound(split: _Split, video: YtvisVideo, *, deep: bool) -> None:
    label = f"{SOUNDS}/{video.name}.wav"
    path = split.folder / label
    try:
        header = soundfile.info(str(path))
        if deep:
            _decode(path)
    except (soundfile.SoundFileError, OSError):
        fault = "no such file" if not path.exists() else "is no sound file that can be read"
        split.add(_ERROR, "sound-broken" if path.exists() else "sound-missing", label, fault)
        return
    if header.format not in ("WAV", "WAVEX") or header.subtype != "PCM_16":
        text = f"is {header.format} {header.subtype}; the official feature script reads 16-bit PCM WAV"
        split.add(_ERROR, "sound-coding", label, text)
    if header.channels == 1:
        split.add(_ERROR, "sound-mono", label, "has one channel, on which the official feature script crashes")
    elif header.channels > 2:
        split.add(_WARNING, "sound-channels", label, f"has {header.channels} channels, the official set has 2")
    if header.samplerate < SAMPLE_RATE_HZ:
        split.add(_WARNING, "sound-rate", label, f"has {header.samplerate} samples a second; VGGish hears 16,000")
    _check_sound_length(split, label, header.frames / header.samplerate, video)


def _check_sound_length(split: _Split, label: str, duration_s: float, video: YtvisVideo) -> None:
    shown_s = video.length / video.fps
    text = f"lasts {duration_s:.3f} s, the video has {video.length} frames of one second"
    if video.fps != 1:
        text = f"lasts {duration_s:.3f} s, the video {shown_s:.3f} s ({video.length} frames, {video.fps:g} a second)"
    if duration_s <= shown_s - 1:
        split.add(_ERROR, "sound-short", label, f"{text}; the official feature script crashes on the missing second")
    elif duration_s < shown_s - 1e-4:
        split.add(_WARNING, "sound-incomplete", label, text)
    elif duration_s > shown_s + 1:
        split.add(_WARNING, "sound-long", label, text)


def _decode(path: Path) -> None:
    with soundfile.SoundFile(str(path)) as sound:
        while len(sound.read(1 << 20, dtype="int16")):
            pass


def _check_features(split: _Split, video: YtvisVideo) -> None:
    label = f"{FEATURES}/{video.name}.npy"
    path = split.folder / label
    try:
        features_TD = load_npy(path, mapped=True)
    except DataError as error:
        fault = "no such file" if not path.exists() else str(error).removeprefix(f"{path}: ")
        split.add(_ERROR, "features-broken" if path.exists() else "features-missing", label, fault)
        return
    if features_TD.dtype != np.float32:
        split.add(_ERROR, "features-dtype", label, f"holds {features_TD.dtype}, must be float32")
        return
    if features_TD.shape != (video.length, 128):
        text = f"has the shape {features_TD.shape}, must be ({video.length}, 128): one row for each frame"
        split.add(_ERROR, "features-shape", label, text)
        return
    if not np.isfinite(features_TD).all():
        split.add(_ERROR, "features-not-finite", label, "holds NaN or infinite values")
    elif (features_TD < 0).any():
        text = "holds negative values; VGGish ends in a ReLU, so these are other features"
        split.add(_WARNING, "features-negative", label, text)


def _check_strangers(split: _Split, names: set[str]) -> None:
    for folder, suffix in ((STILLS, ""), (SOUNDS, ".wav"), (FEATURES, ".npy")):
        path = split.folder / folder
        if not path.is_dir():
            continue
        strange = (entry.name for entry in os.scandir(path) if entry.name.removesuffix(suffix) not in names)
        for found in sorted(strange):
            split.add(_WARNING, "stranger", f"{folder}/{found}", "belongs to no video of the truth file")
