"""VGGish's last hidden layer for the sound before each frame, computed once per dataset (audio of the kind
`vggish-window`).

Shapes: T frames of a clip, F = 96 frames and M = 64 bands of an example, 4096 values of a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from avis_data.errors import DataError
from avis_data.features.logmel import causal_examples
from avis_data.features.vggish import Vggish, embed_examples, load_vggish, untrained_vggish
from avis_data.formats.aviseg_folders import WINDOWS
from avis_data.formats.ytvis import YtvisVideo, read_ytvis
from avis_data.io import atomic_path, read_json, write_json
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.audio_sound import SoundFile, read_sound
from avis_data.training.data.audio_summary import window_ends
from avis_data.training.data.frame_times import frame_times

__all__ = ["write_windows"]

_SPLITS = ("train", "val", "test")
_WINDOWS = AudioFeatures("vggish-window").reader


def write_windows(
    root: Path,
    weights: tuple[Path | None, str],
    *,
    on_clip: Callable[[int], None] = lambda of: None,
) -> int:
    """Write `<split>/FEATWindows/<clip>.npy`, float32 (T, 4096), for every clip with sound of a dataset.

    Files that are in order and of the same weights are left as they are.

    Args:
        root: a dataset in the AVISeg layout.
        weights: VGGish's file and its SHA-256, as `resolve_vggish` gives them; no file: random weights of that name.
        on_clip: called after each clip with the number of all clips.

    Returns:
        How many files were written.

    Raises:
        DataError: if there is no dataset, a recording cannot be read, or the weights are not those that were meant.
    """
    splits = [split for split in _SPLITS if (root / f"{split}.json").is_file()]
    if not splits:
        raise DataError(f"{root}: there is none of {', '.join(f'{split}.json' for split in _SPLITS)}")
    videos = [(root / split, video) for split in splits for video in read_ytvis(root / f"{split}.json").videos]
    path, sha256 = weights
    network: Vggish | None = None
    written = 0
    note = root / f"{WINDOWS}.json"
    same = note.is_file() and read_json(note) == {"vggish_sha256": sha256}
    if not same:
        write_json(note, {"vggish_sha256": None})  # until all are there, none of them is known to be of any weights
    for folder, video in videos:
        if _is_missing(folder, video, same=same):
            network = network or _network(path, sha256)
            _write(folder, video, network)
            written += 1
        on_clip(len(videos))
    write_json(note, {"vggish_sha256": sha256})
    return written


def _network(path: Path | None, sha256: str) -> Vggish:
    if path is None:
        return untrained_vggish(int(sha256.removeprefix("untrained-")))
    return load_vggish(path, sha256=sha256)


def _is_missing(folder: Path, video: YtvisVideo, *, same: bool) -> bool:
    """Whether the clip has sound, and no file of these weights that is in order."""
    if not SoundFile().path(folder, video.name).is_file():
        return False
    target = _WINDOWS.path(folder, video.name)
    return not (same and target.is_file() and _WINDOWS.problem(target, frame_times(video)) is None)


def _write(folder: Path, video: YtvisVideo, network: Vggish) -> None:
    samples_N = read_sound(SoundFile().path(folder, video.name))
    examples_TFM = causal_examples(samples_N, window_ends(frame_times(video)))
    target = _WINDOWS.path(folder, video.name)
    target.parent.mkdir(exist_ok=True)
    with atomic_path(target) as part, part.open("wb") as file:
        np.save(file, embed_examples(network, examples_TFM, hidden=True), allow_pickle=False)
