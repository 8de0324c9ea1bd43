"""Read stills, sound and features of an export back and compare them with the workspace, before it gets its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from avis_data.errors import ItemError, Reason
from avis_data.io import sha256_file
from avis_data.paths import Workspace
from avis_data.pipelines.exports.clips import (
    SAMPLE_RATE_HZ,
    features_path,
    frame_name,
    frames_dir,
    mono_samples,
    read_back_clips,
    sound_path,
)
from avis_data.pipelines.exports.inputs import ExportClip

__all__ = ["check_clips"]


def check_clips(
    workspace: Workspace,
    folder: Path,
    splits: Mapping[str, Sequence[ExportClip]],
    written: Mapping[str, Mapping[str, str]],
    *,
    workers: int,
    step: Callable[[], None],
) -> dict[str, str]:
    """Read stills, sound and features of every clip again.

    Args:
        workspace: where they come from.
        folder: where they were written.
        splits: the clips of each split.
        written: for each clip, relative path -> sha256 of its stills and sound, taken while writing.
        workers: threads.
        step: called after each clip.

    Returns:
        Relative path -> sha256 of all files of all clips.

    Raises:
        DataError: at the first file that is not what it should be.
    """
    split_of = {item.clip.clip_id: split for split, items in splits.items() for item in items}

    def check(item: ExportClip) -> dict[str, str]:
        clip_id = item.clip.clip_id
        return _check_clip(workspace, folder, split_of[clip_id], item, written[clip_id])

    items = [item for of_split in splits.values() for item in of_split]
    return read_back_clips(check, items, workers=workers, step=step)


def _check_clip(
    workspace: Workspace, folder: Path, split: str, item: ExportClip, written: Mapping[str, str]
) -> dict[str, str]:
    clip = item.clip
    names = sorted(path.name for path in frames_dir(folder, split, clip.clip_id).iterdir())
    if names != sorted(frame_name(number) for number in range(clip.num_frames)):
        raise _torn(f"{len(names)} files for {clip.num_frames} stills")
    hashes = {path: sha256_file(folder / path) for path in written}
    if hashes != written:
        raise _torn(f"changed since it was written: {next(path for path in written if hashes[path] != written[path])}")
    sound, rate_hz = soundfile.read(sound_path(folder, split, clip.clip_id), dtype="int16", always_2d=True)
    mono = mono_samples(workspace, item)
    if rate_hz != SAMPLE_RATE_HZ or sound.shape != (len(mono), 2) or not (sound == mono[:, None]).all():
        raise _torn("the sound differs from the clip's")
    if item.features_sha256 is not None:
        path = features_path(folder, split, clip.clip_id)
        embeddings_TD = np.load(path, allow_pickle=False)
        values = hashlib.sha256(embeddings_TD.tobytes()).hexdigest()
        if embeddings_TD.dtype != np.float32 or embeddings_TD.shape != (clip.num_frames, 128):
            raise _torn(f"features are {embeddings_TD.dtype} {embeddings_TD.shape}")
        if values != item.features_sha256:
            raise _torn("the features differ from the clip's")
        hashes[path.relative_to(folder).as_posix()] = sha256_file(path)
    return hashes


def _torn(message: str) -> ItemError:
    return ItemError(message, reason=Reason.TORN_INPUT)
