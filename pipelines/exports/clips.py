"""One clip into an AVISeg layout: stills, sound and features, each checked against what the workspace says it is."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import wave
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from avis_data.errors import DataError, ItemError, Problem, ProblemsError, Reason
from avis_data.features.store import read_embeddings
from avis_data.io import sha256_file, sha256_tree
from avis_data.paths import Workspace
from avis_data.pipelines.exports.inputs import ExportClip

__all__ = [
    "SAMPLE_RATE_HZ",
    "check_stills",
    "features_path",
    "frame_name",
    "frames_dir",
    "mono_samples",
    "read_back_clips",
    "sound_path",
    "write_clip",
    "write_features",
    "written_clips",
]

SAMPLE_RATE_HZ = 16_000
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS}
"""Another file system, one without hard links, or a file that has too many: then the still is copied."""

Result = TypeVar("Result")


def frames_dir(folder: Path, split: str, clip_id: str) -> Path:
    """Folder of the stills of one exported clip."""
    return folder / split / "JPEGImages" / clip_id


def frame_name(number: int) -> str:
    """File name of one still: a plain number, which the official loaders sort as such."""
    return f"{number}.jpg"


def sound_path(folder: Path, split: str, clip_id: str) -> Path:
    """The sound of one exported clip."""
    return folder / split / "WAVAudios" / f"{clip_id}.wav"


def features_path(folder: Path, split: str, clip_id: str) -> Path:
    """The embeddings of one exported clip."""
    return folder / split / "FEATAudios" / f"{clip_id}.npy"


def written_clips(
    write: Callable[[ExportClip], Result], clips: Sequence[ExportClip], *, workers: int, step: Callable[[], None]
) -> dict[str, Result]:
    """Write all clips in threads; what each gave, by clip id.

    Raises:
        ProblemsError: with every clip that is damaged or missing in the workspace.
    """
    written, problems = _map_clips(write, clips, workers=workers, step=step)
    if problems:
        raise ProblemsError(
            f"{len(problems)} of {len(clips)} clips are damaged or missing, so nothing was exported",
            problems,
            hint="make the damaged clips again as each line says, then export again",
        )
    return written


def read_back_clips(
    check: Callable[[ExportClip], dict[str, str]],
    clips: Sequence[ExportClip],
    *,
    workers: int,
    step: Callable[[], None],
) -> dict[str, str]:
    """Check all clips in threads after they were written; relative path -> sha256 of all their files.

    Raises:
        DataError: at the first clip that is not what it should be.
    """
    found, problems = _map_clips(check, clips, workers=workers, step=step)
    if problems:
        hint = "run the same command again; if this stays, check the disk"
        raise DataError(f"read back, {problems[0]}; nothing was published", hint=hint)
    return {path: digest for hashes in found.values() for path, digest in hashes.items()}


def _map_clips(
    work: Callable[[ExportClip], Result], clips: Sequence[ExportClip], *, workers: int, step: Callable[[], None]
) -> tuple[dict[str, Result], list[Problem]]:
    """Do all clips in threads; results by clip id and the problems, both in the order of `clips`.

    An ItemError is one clip's problem and the others go on; any other error ends the work at once.
    """
    results: dict[str, Result] = {}
    problems: list[Problem] = []
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        futures: list[tuple[ExportClip, Future[Result]]] = [(clip, pool.submit(work, clip)) for clip in clips]
        for clip, future in futures:
            try:
                results[clip.clip.clip_id] = future.result()
            except ItemError as error:
                problems.append(Problem(f"clip {clip.clip.clip_id}", str(error.reason), error.message))
            step()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results, problems


def write_clip(workspace: Workspace, item: ExportClip, folder: Path, split: str) -> dict[str, str]:
    """Write stills and sound of one clip.

    Returns:
        Relative path -> sha256 of every file written, as it must be found when read back.

    Raises:
        ItemError: source_missing or torn_input, where the workspace does not hold what its manifest says.
    """
    hashes = _write_frames(workspace, item, folder, split)
    path = sound_path(folder, split, item.clip.clip_id)
    _write_stereo(path, mono_samples(workspace, item))
    hashes[path.relative_to(folder).as_posix()] = sha256_file(path)
    return hashes


def check_stills(workspace: Workspace, item: ExportClip) -> None:
    """Compare the stills of a clip with what was extracted.

    Raises:
        ItemError: source_missing or torn_input.
    """
    for number in range(item.clip.num_frames):
        source = workspace.frame(item.clip.clip_id, number)
        if not source.is_file():
            raise ItemError(f"no {workspace.relative(source)}; {_advice(item)}", reason=Reason.SOURCE_MISSING)
    if sha256_tree(workspace.clip_dir(item.clip.clip_id) / "frames") != item.clip.frames_sha256:
        raise ItemError(f"{_which_is_torn(workspace, item)}; {_advice(item)}", reason=Reason.TORN_INPUT)


def mono_samples(workspace: Workspace, item: ExportClip) -> np.ndarray:
    """int16 (T * 16000,): the sound that the embeddings were made from.

    Raises:
        ItemError: if `audio.wav` is missing, is not what was extracted, or has another length or form.
    """
    clip = item.clip
    path = workspace.clip_dir(clip.clip_id) / "audio.wav"
    if not path.is_file():
        raise ItemError(f"no {workspace.relative(path)}; {_advice(item)}", reason=Reason.SOURCE_MISSING)
    if sha256_file(path) != clip.audio_sha256:
        message = f"{workspace.relative(path)} is not what was extracted"
        raise ItemError(f"{message}; {_advice(item)}", reason=Reason.TORN_INPUT)
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


def write_features(workspace: Workspace, splits: Iterable[tuple[str, ExportClip]], folder: Path) -> None:
    """Write the embeddings of all clips, float32 (T, 128), one file each; the table is read once, in its own order."""
    split_of = {item.clip.clip_id: split for split, item in splits}
    for clip_id, embeddings_TD in read_embeddings(workspace.features, sorted(split_of)):
        np.save(features_path(folder, split_of[clip_id], clip_id), embeddings_TD, allow_pickle=False)


def _write_frames(workspace: Workspace, item: ExportClip, folder: Path, split: str) -> dict[str, str]:
    clip = item.clip
    target = frames_dir(folder, split, clip.clip_id)
    target.mkdir(parents=True)
    hashes: dict[str, str] = {}
    tree = hashlib.sha256()
    for number in range(clip.num_frames):
        source, copy = workspace.frame(clip.clip_id, number), target / frame_name(number)
        if not source.is_file():
            raise ItemError(f"no {workspace.relative(source)}; {_advice(item)}", reason=Reason.SOURCE_MISSING)
        _link_or_copy(source, copy)
        digest = sha256_file(copy)
        tree.update(f"{digest}  {source.name}\n".encode())
        hashes[copy.relative_to(folder).as_posix()] = digest
    if tree.hexdigest() != clip.frames_sha256:
        raise ItemError(f"{_which_is_torn(workspace, item)}; {_advice(item)}", reason=Reason.TORN_INPUT)
    return hashes


def _advice(item: ExportClip) -> str:
    """What makes a damaged clip again."""
    adopted = item.video.media is None
    return "avis-data import --format ytvis TRUTH --media DIR --verify" if adopted else "avis-data extract --verify"


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        shutil.copyfile(source, target)


def _which_is_torn(workspace: Workspace, item: ExportClip) -> str:
    """The tree's hash says that some still is wrong; name those that do not even decode."""
    torn = []
    for number in range(item.clip.num_frames):
        path = workspace.frame(item.clip.clip_id, number)
        try:
            with Image.open(path) as picture:
                picture.load()
        except (OSError, SyntaxError):  # what PIL raises for a broken file
            torn.append(workspace.relative(path))
    if torn:
        return f"torn: {', '.join(torn[:5])}" + (f" and {len(torn) - 5} more" if len(torn) > 5 else "")
    folder = workspace.relative(workspace.clip_dir(item.clip.clip_id) / "frames")
    return f"the stills in {folder} are not those that were extracted"


def _write_stereo(path: Path, samples: np.ndarray) -> None:
    """Both channels the same: the official code reads `[:, ch]`, and their mean is the mono sound bit for bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out, wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.repeat(samples, 2).astype("<i2", copy=False).tobytes())
