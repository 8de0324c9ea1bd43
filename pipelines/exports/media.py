"""The stills and the sound of clips, compared with what was extracted, and as files of an export."""

from __future__ import annotations

import hashlib
import io
import os
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError, ItemError, Reason
from avis_data.io import link_or_copy, sha256_file, sha256_tree
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.stereo import read_stereo
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.paths import STEREO_WAV, Workspace
from avis_data.pipelines.exports.inputs import ExportClip
from avis_data.pipelines.exports.spec import Hashes

__all__ = [
    "check_stills",
    "link_stills",
    "mono_samples",
    "same_wav",
    "size_of_stills",
    "two_channels",
    "wav_bytes",
    "write_wav",
]


def check_stills(workspace: Workspace, item: ExportClip) -> None:
    """Compare the stills of a clip with what was extracted.

    Raises:
        ItemError: source_missing or torn_input.
    """
    for number in range(item.held.num_frames):
        _still(workspace, item, number)
    if sha256_tree(workspace.clip_dir(item.held.clip_id) / "frames") != item.clip.frames_sha256:
        raise _changed_stills(workspace, item)


def mono_samples(workspace: Workspace, item: ExportClip) -> NDArray[np.int16]:
    """int16 (T * 16000,): the sound that the embeddings were made from.

    Raises:
        ItemError: if `audio.wav` is missing, is not what was extracted, or has another length or form.
    """
    clip = item.clip
    path = _sound(workspace, item, "audio.wav", clip.audio_sha256)
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    except (wave.Error, EOFError) as error:
        raise ItemError(f"{workspace.relative(path)}: no PCM WAV ({error})", reason=Reason.TORN_INPUT) from None
    wanted = (1, 2, SAMPLE_RATE_HZ, clip.num_seconds * SAMPLE_RATE_HZ)
    if form != wanted or len(samples) != wanted[3]:
        message = f"{workspace.relative(path)}: channels, bytes, Hz, samples are {form}, must be {wanted}"
        raise ItemError(f"{message}; {_advice(item)}", reason=Reason.TORN_INPUT)
    return samples


def two_channels(workspace: Workspace, item: ExportClip) -> NDArray[np.int16]:
    """int16 (T * 16000, 2): what is heard on the left and on the right; the mono sound twice where they are one.

    Raises:
        ItemError: as `mono_samples`.
    """
    clip = item.clip
    if clip.stereo_sha256 is None:
        return np.repeat(mono_samples(workspace, item)[:, None], 2, axis=1)
    path = _sound(workspace, item, STEREO_WAV, clip.stereo_sha256)
    try:
        return read_stereo(path, num_seconds=clip.num_seconds)
    except DataError as error:
        message = str(error).replace(str(path), workspace.relative(path))
        raise ItemError(f"{message}; {_advice(item)}", reason=Reason.TORN_INPUT) from None


def channels_that_differ(workspace: Workspace, item: ExportClip) -> NDArray[np.int16]:
    """int16 (T * 16000, 2) where its channels differ, else the mono sound, (T * 16000,). Raises as `mono_samples`."""
    if item.clip.stereo_sha256 is None:
        return mono_samples(workspace, item)
    return two_channels(workspace, item)


def link_stills(workspace: Workspace, item: ExportClip, folder: Path, names: Mapping[int, str]) -> Hashes:
    """Link the stills of a clip into an export, or copy them, and compare them with what was extracted.

    Args:
        workspace: where they are.
        item: the clip.
        folder: of the export.
        names: for the number of every still, its path relative to `folder`, whose folder exists.

    Raises:
        ItemError: source_missing or torn_input.
    """
    hashes: Hashes = {}
    tree = hashlib.sha256()
    for number, name in sorted(names.items()):
        source = _still(workspace, item, number)
        link_or_copy(source, folder / name)
        hashes[name] = sha256_file(folder / name)
        tree.update(f"{hashes[name]}  {source.name}\n".encode())
    if tree.hexdigest() != item.clip.frames_sha256:
        raise _changed_stills(workspace, item)
    return hashes


def size_of_stills(workspace: Workspace, item: ExportClip) -> int:
    """Bytes of those that there are."""
    folder = workspace.frame(item.held.clip_id, 0).parent
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as stills:
        return sum(still.stat().st_size for still in stills if still.is_file())


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write 16 kHz, 16-bit PCM: samples (N,) of one channel, or (N, C) of several."""
    path.write_bytes(wav_bytes(samples))


def wav_bytes(samples: NDArray[np.int16]) -> bytes:
    """A WAV file of 16 kHz, 16-bit PCM: samples (N,) of one channel, or (N, C) of several."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.astype("<i2", copy=False).tobytes())
    return out.getvalue()


def same_wav(path: Path, samples: NDArray[np.int16]) -> bool:
    """Whether a file is what `write_wav` writes of these samples."""
    samples_NC = samples[:, None] if samples.ndim == 1 else samples
    try:
        with soundfile.SoundFile(path) as file:
            form = (file.channels, file.subtype, file.samplerate)
            found_NC = file.read(dtype="int16", always_2d=True)
    except (OSError, soundfile.SoundFileError):
        return False
    as_meant = form == (samples_NC.shape[1], "PCM_16", SAMPLE_RATE_HZ) and found_NC.shape == samples_NC.shape
    return as_meant and bool((found_NC == samples_NC).all())


def _sound(workspace: Workspace, item: ExportClip, name: str, sha256: str) -> Path:
    path = workspace.clip_dir(item.held.clip_id) / name
    if not path.is_file():
        raise ItemError(f"no {workspace.relative(path)}; {_advice(item)}", reason=Reason.SOURCE_MISSING)
    if sha256_file(path) != sha256:
        message = f"{workspace.relative(path)} is not what was extracted"
        raise ItemError(f"{message}; {_advice(item)}", reason=Reason.TORN_INPUT)
    return path


def _still(workspace: Workspace, item: ExportClip, number: int) -> Path:
    path = workspace.frame(item.held.clip_id, number)
    if not path.is_file():
        raise ItemError(f"no {workspace.relative(path)}; {_advice(item)}", reason=Reason.SOURCE_MISSING)
    return path


def _changed_stills(workspace: Workspace, item: ExportClip) -> ItemError:
    return ItemError(f"{_which_is_torn(workspace, item)}; {_advice(item)}", reason=Reason.TORN_INPUT)


def _advice(item: ExportClip) -> str:
    """What makes a damaged clip again."""
    return (
        "avis-data import --format ytvis TRUTH --media DIR --verify"
        if item.source.is_adopted
        else "avis-data extract --verify"
    )


def _which_is_torn(workspace: Workspace, item: ExportClip) -> str:
    """The tree's hash says that some still is wrong; name those that do not even decode."""
    torn = []
    for number in range(item.held.num_frames):
        path = workspace.frame(item.held.clip_id, number)
        try:
            with Image.open(path) as picture:
                picture.load()
        except UNREADABLE_PICTURE:  # what PIL raises for a broken file
            torn.append(workspace.relative(path))
    if torn:
        return f"torn: {', '.join(torn[:5])}" + (f" and {len(torn) - 5} more" if len(torn) > 5 else "")
    folder = workspace.relative(workspace.clip_dir(item.held.clip_id) / "frames")
    return f"the stills in {folder} are not those that were extracted"
