"""The stills, the sound and the features of one clip in the AVISeg layout, and what they are when read back.

In a set without media: the print of each clip, and the list that `avis-data rebuild` fetches by.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from avis_data.features.store import read_embeddings
from avis_data.formats.aviseg_folders import FEATURES, features_path, frame_name, frames_dir, sound_path
from avis_data.io import csv_text, read_json, write_json, write_text
from avis_data.pipelines.exports.inputs import Piece
from avis_data.pipelines.exports.media import check_stills, link_stills, mono_samples, same_wav, two_channels, write_wav
from avis_data.pipelines.exports.spec import Hashes
from avis_data.pipelines.exports.writing import ExportJob, torn
from avis_data.versions.media_prints import VIDEO_LIST, ClipPrint, print_of, print_path
from avis_data.video_list import read_video_list
from avis_data.video_list.rows import COLUMNS

__all__ = [
    "check_clip",
    "check_print",
    "make_folders",
    "write_clip",
    "write_features",
    "write_print",
    "write_video_list",
]


def write_clip(job: ExportJob, clip: Piece) -> Hashes:
    """Write stills and sound of one clip; the sound in two channels, as the official code reads `[:, channel]`.

    Raises:
        ItemError: source_missing or torn_input, where the workspace does not hold what its manifest says.
    """
    split = job.split_of(clip)
    stills = frames_dir(job.folder, split, clip.name)
    stills.mkdir(parents=True)
    names = {number: _below(job, stills / frame_name(number)) for number in clip.frames}
    hashes = link_stills(job.workspace, clip.item, job.folder, names)
    sound = _below(job, sound_path(job.folder, split, clip.name))
    write_wav(job.made(sound), two_channels(job.workspace, clip.item))
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
    if not same_wav(sound_path(job.folder, split, clip.name), two_channels(job.workspace, clip.item)):
        raise torn("the sound differs from the clip's")
    if clip.item.features_sha256 is not None:
        embeddings_TD = np.load(features_path(job.folder, split, clip.name), allow_pickle=False)
        if embeddings_TD.dtype != np.float32 or embeddings_TD.shape != (len(clip.frames), 128):
            raise torn(f"features are {embeddings_TD.dtype} {embeddings_TD.shape}")
        if hashlib.sha256(embeddings_TD.tobytes()).hexdigest() != clip.item.features_sha256:
            raise torn("the features differ from the clip's")


def write_print(job: ExportJob, clip: Piece) -> Hashes:
    """Write what a set without media keeps of the stills and the sound of one clip.

    Raises:
        ItemError: source_missing or torn_input, where the workspace does not hold what its manifest says.
    """
    check_stills(job.workspace, clip.item)
    name = _below(job, print_path(job.folder, clip.name))
    write_json(job.made(name), _print(job, clip).model_dump(mode="json"), indent=None)
    return job.hashes(name)


def check_print(job: ExportJob, clip: Piece) -> None:
    """Read the print of one clip back. Raises ItemError torn_input if it is another."""
    if read_json(print_path(job.folder, clip.name)) != _print(job, clip).model_dump(mode="json"):
        raise torn("its print is not that of the clip")


def write_video_list(job: ExportJob) -> Hashes:
    """Write the list by which the clips can be fetched again; those that no link leads to are not in it."""
    wanted = read_video_list(job.workspace.video_list, allow_local=True) if job.workspace.video_list.is_file() else None
    spans = {row.span.clip_id: row.span for row in wanted.clips} if wanted else {}
    said = {row.span.clip_id: ";".join(row.scenarios) for row in wanted.clips if row.scenarios} if wanted else {}
    rows: list[tuple[object, ...]] = [COLUMNS if said else COLUMNS[: COLUMNS.index("scenario")]]
    for item in job.plan.inputs.clips:
        clip, span = item.clip, spans.get(item.held.clip_id)
        if span is None or not item.source.url.startswith(("http://", "https://")):
            continue
        end = "" if span.end_s is None else _seconds(span.end_s)
        where = (item.source.url, clip.video_id, _seconds(span.start_s), end)
        row = (*where, ";".join(clip.categories), item.license or "", job.plan.assignment.split_of[clip.clip_id])
        rows.append((*row, "", "", "", said[clip.clip_id]) if clip.clip_id in said else row)
    write_text(job.folder / VIDEO_LIST, csv_text(rows))
    return job.hashes(VIDEO_LIST)


def _print(job: ExportJob, clip: Piece) -> ClipPrint:
    of_clip = clip.item.clip
    return print_of(
        clip.name,
        [job.workspace.frame(of_clip.clip_id, number) for number in range(of_clip.num_frames)],
        mono_samples(job.workspace, clip.item),
        source_sha256=clip.item.source.sha256,
        sound_sha256=of_clip.audio_sha256,
    )


def _seconds(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _below(job: ExportJob, path: Path) -> str:
    return path.relative_to(job.folder).as_posix()
