"""One clip: stills, sound, embeddings and tracks, each read when it is asked for.

Shapes: T frames, H, W pixels of a still, D = 128 values of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.door.sounds import Sound, read_sound
from avis_data.door.tracks import Track
from avis_data.errors import ConfigError, DataError
from avis_data.media.stills import open_still
from avis_data.report.clips import ClipView, TrackView

__all__ = ["Clip"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One clip of a set. Holding it costs nothing: files are read by its methods. Shown as a contact sheet.

    Example:
        >>> clip = avis.open("example/exports/ytvis").split("train")["synth1-0002"]
        >>> clip
        Clip('synth1-0002', split='train', 4 frames of 96 x 64 at 1 a second)
        >>> clip.still(0).shape, clip.still(0).dtype
        ((64, 96, 3), dtype('uint8'))
        >>> clip.embeddings().shape
        (4, 128)
        >>> [track.category for track in clip.tracks]
        ['dog', 'trumpet', 'cat', 'person']
        >>> clip.sounding_frames
        (0, 1, 2, 3)
    """

    clip_id: str
    split: str | None
    """train, val, test; None where nothing says it."""
    size_hw: tuple[int, int]
    """Height and width of its stills, in pixels."""
    fps: float
    """Frames in a second."""
    still_paths: tuple[Path, ...] = field(repr=False)
    """The files of its stills, one for each frame."""
    sound_path: Path | None = field(repr=False)
    """Its sound file; None where it has no sound."""
    categories: Mapping[int, str] = field(repr=False)
    """All classes of its set: id to name."""
    truth_path: Path | None = field(repr=False)
    """The truth file that it stands in; None for a clip of a workspace."""
    video_id: int | None = field(repr=False)
    """Its id in that file, by which result files know it."""
    read_embeddings: Callable[[], NDArray[np.float32]] | None = field(repr=False)
    """Reads (T, D); None where it has none."""
    read_tracks: Callable[[], tuple[Track, ...]] | None = field(repr=False)
    """Reads its tracks; None where nobody said what sounds in it."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.still_paths)

    @property
    def duration_s(self) -> float:
        """How long all its frames are together, in seconds."""
        return self.num_frames / self.fps

    @property
    def has_sound(self) -> bool:
        """Whether it has a sound file."""
        return self.sound_path is not None

    @property
    def has_embeddings(self) -> bool:
        """Whether it has VGGish embeddings."""
        return self.read_embeddings is not None

    @property
    def has_truth(self) -> bool:
        """Whether somebody said what sounds in it; a clip in which nothing sounds has truth and no tracks."""
        return self.read_tracks is not None

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Its tracks, by identity.

        Raises:
            DataError: if nobody said what sounds in it; see `has_truth`.
        """
        if self.read_tracks is None:
            raise DataError(
                f"clip {self.clip_id!r} has no truth: nobody said what sounds in it",
                hint="clips.filter(lambda clip: clip.has_truth) leaves such clips out",
            )
        return self.read_tracks()

    @property
    def sounding_frames(self) -> tuple[int, ...]:
        """The frames in which at least one of its tracks is heard. Raises DataError as `tracks`."""
        return tuple(sorted({frame for track in self.tracks for frame in track.sounding_frames}))

    def picture(self, frame: int) -> Image.Image:
        """One still as a picture, RGB.

        Raises:
            ConfigError: if there is no such frame.
            DataError: if its file is missing or no picture.
        """
        if not 0 <= frame < self.num_frames:
            raise ConfigError(f"no frame {frame}: clip {self.clip_id!r} has frames 0 to {self.num_frames - 1}")
        return open_still(self.still_paths[frame])

    def still(self, frame: int) -> NDArray[np.uint8]:
        """One still: uint8 (H, W, 3), RGB. Raises ConfigError and DataError as `picture`."""
        return np.asarray(self.picture(frame), dtype=np.uint8)

    def stills(self) -> Iterator[NDArray[np.uint8]]:
        """All stills, decoded one at a time. Raises DataError as `picture`."""
        for frame in range(self.num_frames):
            yield self.still(frame)

    def sound(self) -> Sound:
        """Its sound, mono.

        Raises:
            DataError: if it has none, or the file cannot be read.
        """
        if self.sound_path is None:
            raise DataError(
                f"clip {self.clip_id!r} has no sound",
                hint="clips.filter(lambda clip: clip.has_sound) leaves such clips out",
            )
        return read_sound(self.sound_path)

    def embeddings(self) -> NDArray[np.float32]:
        """What VGGish makes of its sound: float32 (T, 128), a row for each frame.

        Raises:
            DataError: if it has none, or they cannot be read.
        """
        if self.read_embeddings is None:
            raise DataError(
                f"clip {self.clip_id!r} has no embeddings",
                hint="avis-data embed, then avis-data export; "
                "clips.filter(lambda clip: clip.has_embeddings) leaves such clips out",
            )
        return self.read_embeddings()

    def with_tracks(self, tracks: tuple[Track, ...]) -> Clip:
        """The same clip with other tracks, as predicted ones."""
        return replace(self, read_tracks=_Given(tracks))

    def view(self) -> ClipView:
        """What pictures of it are drawn from; without tracks where it has no truth."""
        tracks = self.tracks if self.has_truth else ()
        labels = _labels(tracks)
        return ClipView(
            name=self.clip_id,
            split=self.split or "",
            stills=self.still_paths,
            sound=self.sound_path,
            tracks=tuple(TrackView(label=label, masks=t.masks) for label, t in zip(labels, tracks, strict=True)),
            fps=self.fps,
        )

    def __repr__(self) -> str:
        height, width = self.size_hw
        split = "" if self.split is None else f", split={self.split!r}"
        return f"Clip({self.clip_id!r}{split}, {self.num_frames} frames of {width} x {height} at {self.fps:g} a second)"

    def _repr_html_(self) -> str:
        from avis_data.report.html import image, text
        from avis_data.report.sheet import contact_sheet

        sheet = image(contact_sheet(self.view()), alternative=self.clip_id)
        player = self.sound()._repr_html_() if self.has_sound else "<p>no sound</p>"
        return f"<p><b>{text(self.clip_id)}</b></p>{sheet}<br>{player}"


@dataclass(frozen=True)
class _Given:
    """Tracks that are there already, as something that reads them."""

    tracks: tuple[Track, ...]

    def __call__(self) -> tuple[Track, ...]:
        return self.tracks


def _labels(tracks: tuple[Track, ...]) -> list[str]:
    """What each track is called in pictures: class and number or, predicted, class and score in percent."""
    kinds = [track.category for track in tracks]
    labels = []
    for number, track in enumerate(tracks):
        if track.score is not None:
            labels.append(f"{track.category} {100 * track.score:.0f}")
        elif kinds.count(track.category) > 1:
            labels.append(f"{track.category} {kinds[: number + 1].count(track.category)}")
        else:
            labels.append(track.category)
    return labels
