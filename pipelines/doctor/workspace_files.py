"""The files that the core and the pipelines write into a workspace."""

from __future__ import annotations

import wave
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avis_data.config import config_from_yaml, record_from_json
from avis_data.errors import DataError
from avis_data.features.arrays import check_finite, load_npy
from avis_data.features.store import read_part
from avis_data.fingerprints.store import read_clip_fingerprint, read_fingerprints_part
from avis_data.format_numbers import check_export
from avis_data.io import sha256_file
from avis_data.ledger.text import read_text
from avis_data.manifest import read_manifest
from avis_data.masks.table import read_masks_part
from avis_data.paths import STEREO_WAV, Workspace
from avis_data.pipelines.doctor.files import FileKind, OwnFiles, not_read
from avis_data.pipelines.doctor.rebuilt_ledger import ledger_problem
from avis_data.pipelines.merge.origins import Origin
from avis_data.pipelines.truth_records import IMPORTED, imported_clips, labelled_truth, read_import
from avis_data.pipelines.upkeep.tombstones import Tombstone, read_removal
from avis_data.quality.findings import Findings, Severity
from avis_data.quality.published import check_published
from avis_data.recipe import Recipe
from avis_data.records import Clip, Record, Times, Track, Video
from avis_data.storage.settings import storage_of
from avis_data.video_list import read_video_list

__all__ = ["FILES"]

_LIST = "give the list again: avis-data fetch --list videos.csv"
_TRUTH = "avis-data import brings truth of files again (what was received lies in annotations/import-*)"
_PRINTS = "avis-data fingerprint makes it again"
_FRAMES = "avis-data extract makes it again; of an existing set: avis-data import --media"


def _ledger(workspace: Workspace, _path: Path) -> None:
    problem = ledger_problem(workspace)
    if problem is not None:
        raise problem


def _ledger_text(_workspace: Workspace, path: Path) -> None:
    bad = [number for number, line in read_text(path) if line is None]
    if bad:
        raise DataError(f"{path}:{bad[0]}: not a line of the text of a ledger ({len(bad)} such lines)")


def _lines_of(record: type[Record]) -> Callable[[Workspace, Path], object]:
    return lambda _, path: deque(read_manifest(path, record), maxlen=0)


def _list(_workspace: Workspace, path: Path) -> None:
    read_video_list(path, allow_local=True)


def _tracks(workspace: Workspace, path: Path) -> None:
    """As many tracks as the records say whose truth each clip has; the last lines may be missing without a trace."""
    found = Counter((track.clip_id, track.round == IMPORTED) for track in read_manifest(path, Track))
    said = {(clip_id, True): record.num_tracks for clip_id, record in imported_clips(workspace).items()}
    said |= {(clip_id, False): entry.num_tracks for clip_id, entry in labelled_truth(workspace).items()}
    for (clip_id, imported), number in said.items():
        if found[clip_id, imported] != number:
            raise DataError(f"{path}: {found[clip_id, imported]} tracks of {clip_id}, there should be {number}")


def _times(_workspace: Workspace, path: Path) -> None:
    found = record_from_json(path, Times)
    if [still.frame for still in found.stills] != list(range(found.num_frames)):
        raise DataError(f"{path}: stills: not one for each of {found.num_frames} frames")


def _sound(_workspace: Workspace, path: Path) -> None:
    try:
        with wave.open(str(path), "rb") as wav:
            said, size = wav.getnframes() * wav.getsampwidth() * wav.getnchannels(), path.stat().st_size
    except (wave.Error, EOFError) as error:
        raise DataError(f"{path}: cannot be read as WAV ({error or 'too short'})") from None
    if size < said:
        raise DataError(f"{path}: ends early: {said} bytes of sound are promised, the file has {size}")


def _array(_workspace: Workspace, path: Path) -> None:
    values = load_npy(path)
    if values.dtype != np.float32 or values.ndim != 2 or values.shape[1] != 128:
        raise DataError(f"{path}: is {values.dtype} {values.shape}, not float32 (T, 128)")
    check_finite(values, path, what="embeddings", hint="avis-data embed")


def _features(_workspace: Workspace, path: Path) -> None:
    for _ in read_part(path, None):
        pass


def _masks(_workspace: Workspace, path: Path) -> None:
    for _ in read_masks_part(path, None):
        pass


def _received(workspace: Workspace, path: Path) -> None:
    record = read_import(path)
    kept = path.parent / "truth.json"
    if kept.is_file() and sha256_file(kept) != (record.kept_sha256 or record.sha256):
        raise DataError(f"{kept}: is not the file that was imported ({path.name} has its hash)")


def _export(_workspace: Workspace, path: Path) -> None:
    if not path.is_dir():
        raise DataError(f"{path}: is no folder")
    check_export(path)
    findings = Findings()
    if check_published(path, findings=findings) is None:
        raise DataError(f"{path}: no finished export: it has no certificate")
    for finding in findings.of(Severity.ERROR):
        raise DataError(
            f"{path / finding.file}: {finding.where or finding.field}: {finding.message}".replace(": :", ":")
        )


FILES = OwnFiles(
    name="workspace",
    kinds=(
        FileKind(
            name="recipe",
            places=("recipe.yaml",),
            read=lambda _, path: config_from_yaml(path, Recipe),
            advice="mend the key that is named; avis-data init --recipe NAME in an empty folder shows one that ships",
        ),
        FileKind(
            name="storage",
            places=("storage.yaml",),
            read=lambda workspace, _: storage_of(workspace),
            advice="mend the key that is named (docs/buckets.md)",
        ),
        FileKind(name="list", places=("videos.csv",), read=_list, advice=_LIST),
        FileKind(
            name="ledger",
            places=("ledger.sqlite",),
            read=_ledger,
            advice="",
            rebuild="manifest/ledger.jsonl, what can still be read of it, and the files",
        ),
        FileKind(
            name="ledger as text",
            places=("manifest/ledger.jsonl",),
            read=_ledger_text,
            advice="",
            rebuild="the ledger",
        ),
        FileKind(
            name="manifest of videos",
            places=("manifest/videos.jsonl",),
            read=_lines_of(Video),
            advice="",
            rebuild="the ledger",
        ),
        FileKind(
            name="manifest of clips",
            places=("manifest/clips.jsonl",),
            read=_lines_of(Clip),
            advice="",
            rebuild="the ledger",
        ),
        FileKind(
            name="manifest of tracks",
            places=("manifest/tracks.jsonl",),
            read=_tracks,
            advice=_TRUTH,
            rebuild="the table of masks",
        ),
        FileKind(
            name="where clips were before a merge",
            places=("manifest/origins.jsonl",),
            read=_lines_of(Origin),
            advice="bring it back from a copy: only it says which workspace each clip comes from",
        ),
        FileKind(
            name="what was removed",
            places=("removed/tombstones.jsonl",),
            read=lambda _, path: deque(read_manifest(path, Tombstone), maxlen=0),
            advice="bring it back from a copy: by it removed videos stay away",
        ),
        FileKind(
            name="unfinished removal",
            places=("removed/unfinished.json",),
            read=lambda workspace, _: read_removal(workspace),
            advice="remove it, then ask for the removal again: avis-data remove",
        ),
        FileKind(name="note of a removal", places=("removed/*",), read=not_read, advice=""),
        FileKind(name="signed addresses", places=("signed_urls.json",), read=not_read, advice=_LIST),
        FileKind(name="source video", places=("sources/*",), read=not_read, advice="avis-data fetch brings it again"),
        FileKind(name="stills", places=("clips/*/frames",), read=not_read, advice=_FRAMES, is_folder=True),
        FileKind(name="sound", places=("clips/*/audio.wav",), read=_sound, advice=_FRAMES),
        FileKind(name="two channels", places=(f"clips/*/{STEREO_WAV}",), read=_sound, advice=_FRAMES),
        FileKind(name="times", places=("clips/*/times.json",), read=_times, advice=_FRAMES),
        FileKind(
            name="preview", places=("clips/*/preview.mp4",), read=not_read, advice="avis-data preview makes it again"
        ),
        FileKind(
            name="embeddings",
            places=("features/vggish/part-*.parquet",),
            read=_features,
            advice="avis-data embed makes it again",
        ),
        FileKind(
            name="embeddings of a clip",
            places=("features/vggish/clips/*.npy",),
            read=_array,
            advice="avis-data embed makes it again",
        ),
        FileKind(
            name="table of fingerprints",
            places=("fingerprints/part-*.parquet",),
            read=lambda _, path: deque(read_fingerprints_part(path), maxlen=0),
            advice=_PRINTS,
        ),
        FileKind(
            name="fingerprint of a clip",
            places=("fingerprints/clips/*.npz",),
            read=lambda _, path: read_clip_fingerprint(path.stem, path),
            advice=_PRINTS,
        ),
        FileKind(name="table of masks", places=("masks/part-*.parquet",), read=_masks, advice=_TRUTH),
        FileKind(
            name="record of an import",
            places=("annotations/import-*/import.json",),
            read=_received,
            advice="move its folder away, and import the file again",
        ),
        FileKind(
            name="truth as received",
            places=("annotations/import-*/**",),
            read=not_read,
            advice="move its folder away, and import the file again",
        ),
        FileKind(
            name="export",
            places=("exports/*",),
            read=_export,
            advice="avis-data export --force writes it anew",
            is_folder=True,
        ),
    ),
)
