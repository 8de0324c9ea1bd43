"""The files of clips in AVSBench's layout: made from the workspace, and compared with it when they are read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.features.arrays import load_npy
from avis_data.features.logmel import EXAMPLE_FRAMES, NUM_BANDS, log_mel
from avis_data.formats.avsbench import (
    NUM_FRAMES,
    SIDE_PX,
    AvsbenchClip,
    AvsbenchName,
    AvsbenchPaths,
    AvsbenchSound,
    table,
    table_path,
    table_rows,
)
from avis_data.io import write_text
from avis_data.masks.rle import decode
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.stills import UNREADABLE_PICTURE, open_still
from avis_data.paths import Workspace
from avis_data.pipelines.exports.inputs import Piece
from avis_data.pipelines.exports.media import check_stills, mono_samples, same_wav, write_wav
from avis_data.pipelines.exports.spec import Hashes
from avis_data.pipelines.exports.writing import ExportJob, torn

__all__ = ["check_pieces", "check_table", "union_mask", "write_pieces", "write_table"]

_SIZE = (SIDE_PX, SIDE_PX)


def write_pieces(job: ExportJob, pieces: Sequence[tuple[Piece, AvsbenchPaths]], sound: AvsbenchSound) -> Hashes:
    """Write the pieces of one clip; its stills and its sound are first compared with what was extracted.

    Raises:
        ItemError: source_missing or torn_input, where the workspace does not hold what its manifest says.
    """
    item = pieces[0][0].item
    check_stills(job.workspace, item)
    samples_N = mono_samples(job.workspace, item)
    hashes: Hashes = {}
    for piece, paths in pieces:
        for name, pixels in _pictures(job.workspace, piece, paths):
            Image.fromarray(pixels).save(job.made(name), format="PNG")
            hashes |= job.hashes(name)
        _write_sound(job.made(paths.sound), _heard(samples_N, piece), sound)
        hashes |= job.hashes(paths.sound)
    return hashes


def check_pieces(job: ExportJob, pieces: Sequence[tuple[Piece, AvsbenchPaths]], sound: AvsbenchSound) -> None:
    """Read the files of one clip's pieces back and compare them with the workspace.

    Raises:
        ItemError: torn_input at the first that differs.
    """
    samples_N = mono_samples(job.workspace, pieces[0][0].item)
    for piece, paths in pieces:
        for name, pixels in _pictures(job.workspace, piece, paths):
            found = _read_picture(job.folder / name)
            if found is None or not np.array_equal(found, pixels):
                raise torn(f"{name} is not the picture that was written")
        if not _same_sound(job.folder / paths.sound, _heard(samples_N, piece), sound):
            raise torn(f"{paths.sound} is not the sound that was written")


def write_table(job: ExportJob, dataset: AvsbenchName, rows: Sequence[AvsbenchClip]) -> Hashes:
    """Write the table of a dataset."""
    path, text = table(dataset, rows)
    write_text(job.folder / path, text)
    return job.hashes(path)


def check_table(job: ExportJob, dataset: AvsbenchName, rows: Sequence[AvsbenchClip]) -> None:
    """Raise DataError if the table does not name these clips and their splits."""
    path = table_path(dataset)
    read = table_rows((job.folder / path).read_text(encoding="utf-8"))
    if [(row[0], row[-1]) for row in read] != [(row.name, row.split) for row in rows]:
        raise DataError(f"read back, {path} is not what was written; nothing was published")


def union_mask(piece: Piece, second: int) -> NDArray[np.bool_]:
    """What sounds in a second of the clip, all tracks together, bool (224, 224); nearest pixels, aspect lost."""
    clip = piece.item.clip
    union_HW = np.zeros((clip.height, clip.width), dtype=bool)
    for track in piece.item.tracks:
        mask = track.masks[second] if track.masks.drawn[second] else None
        if mask is not None:
            union_HW |= decode(mask)
    small = Image.fromarray(union_HW.astype(np.uint8)).resize(_SIZE, Image.Resampling.NEAREST)
    return np.asarray(small) > 0


def _pictures(workspace: Workspace, piece: Piece, paths: AvsbenchPaths) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels of every still, (224, 224, 3), and of every mask, (224, 224) of 0 and 255."""
    for second, frame, mask in zip(piece.frames, paths.frames, paths.masks, strict=True):
        still = open_still(workspace.frame(piece.item.held.clip_id, second))
        yield frame, np.asarray(still.resize(_SIZE, Image.Resampling.BILINEAR))
        if mask is not None:
            yield mask, union_mask(piece, second).astype(np.uint8) * np.uint8(255)


def _heard(samples_N: NDArray[np.int16], piece: Piece) -> NDArray[np.int16]:
    return samples_N[piece.start * SAMPLE_RATE_HZ : (piece.start + NUM_FRAMES) * SAMPLE_RATE_HZ]


def _write_sound(path: Path, samples_N: NDArray[np.int16], sound: AvsbenchSound) -> None:
    if sound == "logmel":
        np.save(path, _examples(samples_N), allow_pickle=False)
        return
    write_wav(path, samples_N)


def _same_sound(path: Path, samples_N: NDArray[np.int16], sound: AvsbenchSound) -> bool:
    if sound == "wav":
        return same_wav(path, samples_N)
    try:
        return np.array_equal(load_npy(path), _examples(samples_N))
    except DataError:
        return False


def _examples(samples_N: NDArray[np.int16]) -> NDArray[np.float32]:
    """float32 (5, 1, 96, 64): the log-mel of all five seconds, cut every 0.96 s, as the published sets have it."""
    frames_FM = log_mel(samples_N.astype(np.float32) / np.float32(32768))[: NUM_FRAMES * EXAMPLE_FRAMES]
    return frames_FM.reshape(NUM_FRAMES, 1, EXAMPLE_FRAMES, NUM_BANDS)


def _read_picture(path: Path) -> NDArray[np.uint8] | None:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return np.asarray(picture)
    except UNREADABLE_PICTURE:
        return None
