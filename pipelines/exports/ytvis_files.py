"""The stills, the sound and the features of one clip in the AVISeg layout, and what they are when read back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from avis_data.features.store import read_embeddings
from avis_data.formats.aviseg_folders import FEATURES, features_path, frame_name, frames_dir, sound_path
from avis_data.pipelines.exports.inputs import Piece
from avis_data.pipelines.exports.media import link_stills, mono_samples, same_wav, write_wav
from avis_data.pipelines.exports.spec import Hashes
from avis_data.pipelines.exports.writing import ExportJob, torn

__all__ = ["check_clip", "make_folders", "write_clip", "write_features"]


def write_clip(job: ExportJob, clip: Piece) -> Hashes:
    """Write stills and sound of one clip; the sound twice, as the official code reads `[:, channel]`.

    Raises:
        ItemError: source_missing or torn_input, where the workspace does not hold what its manifest says.
    """
    split = job.split_of(clip)
    stills = frames_dir(job.folder, split, clip.name)
    stills.mkdir(parents=True)
    names = {number: _below(job, stills / frame_name(number)) for number in clip.frames}
    hashes = link_stills(job.workspace, clip.item, job.folder, names)
    sound = _below(job, sound_path(job.folder, split, clip.name))
    write_wav(job.made(sound), mono_samples(job.workspace, clip.item), channels=2)
    return hashes | job.hashes(sound)


def make_folders(job: ExportJob, *kinds: str) -> None:
    """Make the folders of all splits, also of those in which there are no clips."""
    for split in job.plan.splits:
        for kind in kinds:
            (job.folder / split / kind).mkdir(parents=True, exist_ok=True)


def write_features(job: ExportJob) -> Hashes:
    """Write the embeddings of all clips, float32 (T, 128), one file each; the table is read once, in its own order."""
    split_of = job.plan.assignment.split_of
    names = []
    make_folders(job, FEATURES)
    for clip_id, embeddings_TD in read_embeddings(job.workspace.features, sorted(split_of)):
        path = features_path(job.folder, split_of[clip_id], clip_id)
        np.save(path, embeddings_TD, allow_pickle=False)
        names.append(_below(job, path))
    return job.hashes(*names)


def check_clip(job: ExportJob, clip: Piece) -> None:
    """Compare stills, sound and features of one clip with the workspace.

    Raises:
        ItemError: torn_input at the first that differs.
    """
    split = job.split_of(clip)
    names = sorted(path.name for path in frames_dir(job.folder, split, clip.name).iterdir())
    if names != sorted(frame_name(number) for number in clip.frames):
        raise torn(f"{len(names)} files for {len(clip.frames)} stills")
    if not same_wav(sound_path(job.folder, split, clip.name), mono_samples(job.workspace, clip.item), channels=2):
        raise torn("the sound differs from the clip's")
    if clip.item.features_sha256 is not None:
        embeddings_TD = np.load(features_path(job.folder, split, clip.name), allow_pickle=False)
        if embeddings_TD.dtype != np.float32 or embeddings_TD.shape != (len(clip.frames), 128):
            raise torn(f"features are {embeddings_TD.dtype} {embeddings_TD.shape}")
        if hashlib.sha256(embeddings_TD.tobytes()).hexdigest() != clip.item.features_sha256:
            raise torn("the features differ from the clip's")


def _below(job: ExportJob, path: Path) -> str:
    return path.relative_to(job.folder).as_posix()
