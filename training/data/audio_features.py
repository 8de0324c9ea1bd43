"""What is heard in each frame. A kind of audio says where its file lies, what may be wrong with it, and how it is read.

Kinds: VGGish embeddings of an export (`vggish`), or VGGish's last hidden layer for the sound before each frame
(`vggish-window`); a plain summary of log-mel values, which needs no weights, of each second (`logmel`) or of the sound
before each frame (`logmel-window`), or of each second with the differences between its channels (`stereo`), also of its
quarters (`stereo-parts`), and with how much is heard from each side (`panorama`); even parts of the spectrogram
(`slices`).

Shapes: T frames of a clip, n of them asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite, load_npy
from avis_data.formats.aviseg_folders import FEATURES, WINDOWS
from avis_data.training.data.audio_slices import SpectrogramSlices
from avis_data.training.data.audio_summary import SecondSummaries, StereoSummaries, WindowSummaries
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["AudioFeatures", "AudioKind", "AudioReader", "NpyRows"]


@dataclass(frozen=True, kw_only=True)
class NpyRows:
    """Vectors of `<folder>/<clip>.npy`. An npy is mapped: only the rows that are asked for are read."""

    folder: str
    """The folder of the files in the folder of the split."""
    width: int
    """Values of a vector."""
    hint: str
    """What makes the files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a vector."""
        return (self.width,)

    @property
    def silence(self) -> None:
        """The files do not say what the network makes of silence."""
        return None

    def path(self, folder: Path, clip_id: str) -> Path:
        """The file of a clip."""
        return folder / self.folder / f"{clip_id}.npy"

    def problem(self, path: Path, times: FrameTimes) -> str | None:
        """What is wrong with a file: no array, not one row per frame, of another width."""
        try:
            features = load_npy(path, mapped=True)
        except DataError as error:
            return str(error).removeprefix(f"{path}: ")
        if features.ndim != 2 or features.shape[1] != self.width or features.dtype.kind != "f":
            return f"holds {features.dtype} {features.shape}, must be float (T, {self.width})"
        return None if len(features) == len(times) else f"has {len(features)} rows, the clip has {len(times)} frames"

    def mirrored(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same rows: a network heard the mean of the channels."""
        return rows

    def mixed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same rows too."""
        return rows

    def placed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """And again: they say what is heard, and not from where."""
        return rows

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """The rows of some frames, float32 (n, width). Raises DataError if the file does not hold them whole."""
        try:
            rows = load_npy(path, mapped=True)[list(frames)]
        except IndexError as error:
            raise DataError(f"{path}: cannot be read as features of {len(times)} frames ({error})") from None
        check_finite(rows, path, what="features", hint=self.hint)
        return np.array(rows, dtype=np.float32)


AudioKind = Literal[
    "vggish", "logmel", "slices", "vggish-window", "logmel-window", "stereo", "stereo-parts", "panorama"
]


class AudioReader(Protocol):
    """One kind of audio."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is heard in one frame."""

    @property
    def hint(self) -> str:
        """What to do where files are missing or bad."""

    @property
    def silence(self) -> NDArray[np.float32] | None:
        """What is heard in a frame of silence, float32 (*shape); None where only a network could say it."""

    def path(self, folder: Path, clip_id: str) -> Path:
        """The file of a clip in the folder of its split."""

    def problem(self, path: Path, times: FrameTimes) -> str | None:
        """What is wrong with the file of a clip; None if it can be used. Reads headers only."""

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """What is heard in some of T frames, float32 (n, *shape). Raises DataError if the file cannot be read."""

    def mirrored(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is heard in some frames, (n, *shape), if left and right change places."""

    def mixed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is heard in some frames, (n, *shape), if both channels have the mean of the two."""

    def placed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """From where something is heard in some frames, (n, *shape), and not what; as it is where nothing says that."""


_READERS: dict[AudioKind, AudioReader] = {
    "vggish": NpyRows(
        folder=FEATURES,
        width=128,
        hint="avis-data embed, then avis-data export; without VGGish weights: --set data.audio=logmel",
    ),
    "vggish-window": NpyRows(
        folder=WINDOWS,
        width=4096,
        hint="avis-data embed --windows DATASET; without VGGish weights: --set data.audio=logmel-window "
        "--set model.audio_channels=128",
    ),
    "logmel": SecondSummaries(),
    "logmel-window": WindowSummaries(),
    "slices": SpectrogramSlices(),
    "stereo": StereoSummaries(),
    "stereo-parts": StereoSummaries(parts=4),
    "panorama": StereoSummaries(parts=4, has_panorama=True),
}


@dataclass(frozen=True)
class AudioFeatures:
    """Where the audio of a split in the AVISeg layout comes from."""

    kind: AudioKind
    """Which kind."""
    optional: bool = False
    """Whether clips may have no such file."""
    dispensable: bool = False
    """Whether the model could do without it, where a clip has none."""

    @property
    def reader(self) -> AudioReader:
        """The kind itself."""
        return _READERS[self.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is heard in one frame."""
        return self.reader.shape

    @property
    def hint(self) -> str:
        """What to do where files are missing or bad."""
        if self.dispensable and not self.optional:
            return f"{self.reader.hint}; if some clips have no sound: --set data.audio_optional=true"
        return self.reader.hint

    def existing(self, folder: Path, clip_id: str) -> Path | None:
        """The file of a clip in the folder of its split; None where it has none and need not have one."""
        path = self.reader.path(folder, clip_id)
        return None if self.optional and not path.is_file() else path

    def problem(self, path: Path, times: FrameTimes) -> str | None:
        """What is wrong with the file of a clip of T frames; None if it can be used. Reads headers only."""
        return self.reader.problem(path, times) if path.is_file() else "no such file"

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """What is heard in some of T frames, float32 (n, *shape).

        Raises:
            DataError: if the file cannot be read, or does not hold a frame.
        """
        return self.reader.read(path, frames, times)
