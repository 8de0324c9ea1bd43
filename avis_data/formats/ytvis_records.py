"""What a YouTube-VIS / AVISeg file holds, after reading: masks as RLE, ids and sizes checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from avis_data.errors import DataError, Problem, ProblemsError

if TYPE_CHECKING:  # so that the options of the export, MaskForm among them, are known without NumPy
    from avis_data.masks.rle import Rle
    from avis_data.records import Category

__all__ = [
    "WITHHELD",
    "MaskForm",
    "YtvisDataset",
    "YtvisTrack",
    "YtvisTruth",
    "YtvisVideo",
    "problems_error",
    "withheld_error",
]

WITHHELD = "missing or null: the labels of this set are withheld, as of hidden test sets"
"""What all say of the field `annotations` where there is none."""

MaskForm = Literal["polygons", "rle"]
"""How masks are written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YtvisVideo:
    """One entry of `videos`."""

    video_id: int
    name: str
    """First part of `file_names[0]`: the key that links frames, sound and evaluation sequence; unique in a file."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    length: int
    """T, labelled frames; equal to `len(file_names)`."""
    file_names: tuple[str, ...]
    """`<name>/<n>.jpg`, relative to the folder JPEGImages of the split."""
    license_id: int | None = None
    """The id of an entry of `licenses`, where the file names one."""
    fps: float = 1.0
    """Frames in one second of the video; files that do not say so have one (AVISeg)."""
    frame_times: tuple[float, ...] | None = None
    """The instant that each frame stands for, seconds after the start of the sound, ascending; None: not said."""
    audio_file: str | None = None
    """Where the sound is, relative to the folder of the split; None: by the layout, `WAVAudios/<name>.wav`."""
    source: str | None = None
    """Videos of one source must not be divided among splits; None: not said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YtvisTrack:
    """One entry of `annotations`: one object over the frames of one video."""

    track_id: int
    """Unique in the file."""
    video_id: int
    category_id: int
    masks: Sequence[Rle | None]
    """One for each frame; None where the object does not sound (in files of all that is seen, where it is not seen). An
    RLE of an empty mask is kept as it is."""
    iscrowd: int = 0
    areas: tuple[float | None, ...] | None = None
    """The areas that the file gives, one for each frame (the official mAP takes them as they are); None where it gives
    none."""
    sounding: tuple[bool | None, ...] | None = None
    """Whether it is heard in each frame, in files of all that is seen, heard or not; None in it: that is not known (or
    there is no mask). None: the file says nothing, every mask is of an object that sounds (AVISeg)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YtvisDataset:
    """One file: the truth of one split."""

    videos: tuple[YtvisVideo, ...]
    tracks: tuple[YtvisTrack, ...]
    categories: tuple[Category, ...]
    info: Mapping[str, Any] = field(default_factory=dict)
    licenses: tuple[Any, ...] = ()
    has_annotations: bool = True
    """False: there is no list of them, as in files of hidden test sets; an empty list is one."""

    @property
    def num_videos(self) -> int:
        """How many there are."""
        return len(self.videos)

    @property
    def names(self) -> list[str]:
        """Of the videos, in their order."""
        return [video.name for video in self.videos]

    def by_video(self) -> Iterator[tuple[YtvisVideo, tuple[YtvisTrack, ...]]]:
        """Every video with its tracks, in the order of the file."""
        of_video: dict[int, list[YtvisTrack]] = {}
        for track in self.tracks:
            of_video.setdefault(track.video_id, []).append(track)
        for video in self.videos:
            yield video, tuple(of_video.get(video.video_id, ()))

    def clip(self, number: int) -> tuple[YtvisVideo, tuple[YtvisTrack, ...]]:
        """A video, by its number from 0, with its tracks."""
        video = self.videos[number]
        return video, tuple(track for track in self.tracks if track.video_id == video.video_id)


class YtvisTruth(Protocol):
    """The truth of one split, in memory (`YtvisDataset`) or in a file that is read video by video (`YtvisFile`)."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """As `YtvisDataset`."""

    @property
    def has_annotations(self) -> bool:
        """As `YtvisDataset`."""

    @property
    def num_videos(self) -> int:
        """How many there are."""

    @property
    def names(self) -> Sequence[str]:
        """Of the videos, in their order."""

    @property
    def videos(self) -> Iterable[YtvisVideo]:
        """In the order of the file."""

    def by_video(self) -> Iterator[tuple[YtvisVideo, tuple[YtvisTrack, ...]]]:
        """Every video with its tracks, in the order of the file."""

    def clip(self, number: int) -> tuple[YtvisVideo, tuple[YtvisTrack, ...]]:
        """A video, by its number from 0, with its tracks."""


def problems_error(file: Path, problems: Sequence[Problem]) -> ProblemsError:
    """What whoever needs all of a truth file raises of one with faults.

    Example:
        >>> print(problems_error(Path("test.json"), [Problem("videos[0]", "id", "must be a whole number")]))
        test.json: 1 problem(s) in this truth file
          videos[0]: id: must be a whole number
          hint: avis-data validate test.json
    """
    count = f"{len(problems)} problem(s) in this truth file"
    return ProblemsError(f"{file}: {count}", problems, hint=f"avis-data validate {file}")


def withheld_error(file: Path) -> DataError:
    """What whoever needs labels raises of a file without them.

    Example:
        >>> print(withheld_error(Path("test.json")))
        test.json: annotations: missing or null: the labels of this set are withheld, as of hidden test sets
          hint: a split that has labels (val.json); where nothing sounds in any video, "annotations": []
    """
    hint = 'a split that has labels (val.json); where nothing sounds in any video, "annotations": []'
    return DataError(f"{file}: annotations: {WITHHELD}", hint=hint)
