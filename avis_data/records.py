"""The records that cross a file boundary. Frozen, strict, with units; `schemas/` is generated from them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ID_PATTERN",
    "MAX_FPS",
    "SCENARIOS",
    "Category",
    "CategorySet",
    "Clip",
    "Fps",
    "FrameAt",
    "MaskRow",
    "PictureForm",
    "Record",
    "SafeId",
    "Scenario",
    "SoundState",
    "SoundTrack",
    "Span",
    "SplitName",
    "State",
    "StillTime",
    "Times",
    "Track",
    "Video",
    "VideoStream",
]

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Ids form file names, so nothing else is let in."""

SafeId = Annotated[str, Field(pattern=ID_PATTERN)]
FrameAt = Literal["start", "mid", "end"]
MAX_FPS = 30
Fps = Annotated[float, Field(gt=0, le=MAX_FPS, description="Labelled stills per second.")]
SplitName = Literal["train", "val", "test"]
Scenario = Literal["music", "speaking", "machine", "animal"]
"""What a video is about, as AVISeg counts them; one may be about several."""
SCENARIOS: tuple[Scenario, ...] = ("music", "speaking", "machine", "animal")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def is_safe_id(text: str) -> bool:
    """True if `text` may be used as an id, and so as a file name."""
    return re.fullmatch(ID_PATTERN, text) is not None and not text.endswith("\n")


class Record(BaseModel):
    """Base of all records: immutable, unknown fields are an error, NaN is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SoundState(StrEnum):
    """What there is to hear in a clip."""

    COMPLETE = "complete"
    SHORT = "short"
    """The sound ends before the picture; the rest is digital silence."""
    SILENT = "silent"
    """There is a sound stream, and every sample of it is zero."""
    NONE = "none"
    """There is no sound stream; the WAV is digital silence."""


class State(StrEnum):
    """What one track does in one still (only stills in which it sounds have a mask in the exported truth)."""

    SOUNDING = "sounding"
    SILENT = "silent"
    HIDDEN = "hidden"
    VISIBLE = "visible"
    """The object is in view, and nobody said whether it is heard. Files of all that is seen have it, people here never
    give it."""


class SoundTrack(Record):
    """One stream of sound of a source video; seconds on the container's clock."""

    index: int = Field(ge=0, description="Among all streams of the file.")
    language: str | None = Field(default=None, description="As the file says, mostly in three letters: `eng`.")
    is_default: bool = Field(default=False, description="Whether the file marks it as the one to play.")
    start_s: float = Field(description="First sound.")
    end_s: float = Field(description="End of the last sound packet.")
    codec: str
    channels: int
    rate_hz: int


class PictureForm(Record):
    """How the pictures of a source video are stored, where that matters for the stills."""

    pixel_aspect: str = Field(
        default="1/1", pattern=r"^[1-9]\d*/[1-9]\d*$", description="Width to height of one pixel, upright."
    )
    rotation_deg: int = Field(default=0, description="Clockwise turn that makes it upright.")
    is_mirrored: bool = Field(default=False, description="Whether it must be mirrored too.")
    is_interlaced: bool = Field(default=False, description="Two half pictures of different instants in one.")
    bit_depth: int = Field(default=8, description="Of the brightness.")
    transfer: str | None = Field(
        default=None, description="As the file says; `smpte2084` and `arib-std-b67` are HDR. null: it does not say."
    )
    num_streams: int = Field(default=1, ge=1, description="Moving pictures in the file; covers are none.")


class VideoStream(Record):
    """What a source video file holds, measured from its packets and not only read from its header."""

    duration_s: float = Field(gt=0, description="Measured: end of the last picture on the container's clock (start 0).")
    claimed_duration_s: float | None = Field(
        default=None, description="What the header says of the picture, if it does."
    )
    start_s: float = Field(description="Container start time on the file's own time stamps; subtracted everywhere.")
    video_index: int = Field(ge=0, description="Index of the picture stream among all streams of the file.")
    video_start_s: float = Field(description="First picture, relative to the container start.")
    width: int = Field(gt=0, description="Upright, in stored pixels.")
    height: int = Field(gt=0, description="Upright, in stored pixels.")
    form: PictureForm = PictureForm()
    fps: float = Field(gt=0, description="Mean rate of the pictures, Hz.")
    video_codec: str
    sound: SoundTrack | None = Field(default=None, description="The sound that is taken; null where there is none.")
    other_sounds: tuple[SoundTrack, ...] = Field(default=(), description="Dubbed or commented versions, for example.")

    @property
    def sounds(self) -> list[SoundTrack]:
        """All sounds, in the order of the file."""
        taken = () if self.sound is None else (self.sound,)
        return sorted([*taken, *self.other_sounds], key=lambda track: track.index)

    def with_sound(self, index: int | None) -> VideoStream:
        """The same video with that stream as the sound that is taken; None: as it is."""
        found = [track for track in self.sounds if track.index == index]
        others = tuple(track for track in self.sounds if track.index != index)
        return self.model_copy(update={"sound": found[0], "other_sounds": others}) if found else self


class Video(Record):
    """Where clips come from: a source video as it was downloaded, or a video of an existing set that was adopted."""

    video_id: SafeId
    url: str = Field(description="As asked, secrets removed.")
    path: str = Field(description="Relative to the workspace; of an adopted video, the folder of its clip.")
    size_bytes: int = Field(gt=0)
    sha256: Sha256
    title: str | None = None
    uploader: str | None = None
    channel: str | None = None
    license: str | None = None
    upload_date: str | None = Field(default=None, description="YYYY-MM-DD.")
    extractor: str
    downloader: str = Field(description="yt-dlp's version, or `copy` for local files.")
    accessed_on: str = Field(description="Date of the download, YYYY-MM-DD, UTC.")
    media: VideoStream | None = Field(description="null: adopted as stills and sound, there is no video file.")


class Span(Record):
    """Which part of a source video is a clip; seconds on the container's clock (start of the file = 0)."""

    clip_id: SafeId
    video_id: SafeId
    start_s: float = Field(default=0.0, ge=0)
    end_s: float | None = Field(default=None, gt=0, description="null: to the end of the video.")


class StillTime(Record):
    """Where one still comes from."""

    frame: int = Field(ge=0, description="Number of the still, from 0.")
    asked_s: float | None = Field(
        description="The instant that the still stands for, on the clip's clock; null for adopted stills: not known."
    )
    source_pts: int | None = Field(
        description="Time stamp of the source picture, in units of `Times.time_base`; null for adopted stills."
    )
    source_s: float | None = Field(description="The same, seconds on the container's clock.")
    source_file: str | None = Field(default=None, description="Of an adopted still, its name in the set it is from.")


class Times(Record):
    """`times.json`: how the stills and the samples of a clip lie on the clock of its source."""

    clip_id: SafeId
    video_id: SafeId
    asked_start_s: float
    asked_end_s: float | None
    found_start_s: float = Field(description="Start of second 0 on the container's clock.")
    found_duration_s: float = Field(description="How much picture there is from `found_start_s`, up to the asked end.")
    num_seconds: int = Field(gt=0, description="Whole seconds of sound, as many as cover the periods of all stills.")
    fps: Fps
    num_frames: int = Field(gt=0, description="T: stills and embeddings.")
    frame_at: FrameAt | None = Field(description="null for adopted stills: not known.")
    time_base: str | None = Field(description="Seconds per time stamp unit, as `1/90000`; null for adopted stills.")
    picture_form: PictureForm | None = Field(description="How the source stores pictures; null for adopted stills.")
    changes_form: bool = Field(
        default=False, description="Whether size or pixel format change in the span; all stills have the first size."
    )
    stills: list[StillTime]
    sample_rate_hz: Literal[16000] = 16000
    sound: SoundState
    sound_track: SoundTrack | None = Field(description="Which sound of the source it is; null: none, or adopted.")
    num_sound_tracks: int = Field(ge=0, description="How many sounds the source has.")
    sound_start_s: float | None = Field(description="First sound of the source on the clip's clock (0 if before).")
    sound_end_s: float | None = Field(description="End of the sound found, on the clip's clock; silence follows.")
    padded_samples: int = Field(ge=0, description="Zero samples appended to make whole seconds.")
    decoder: str = Field(description="Program and version that decoded.")


class Clip(Record):
    """One trimmed span of a source video: the unit of labelling, review, split and training."""

    clip_id: SafeId
    video_id: SafeId
    start_s: float = Field(ge=0)
    num_seconds: int = Field(gt=0, description="Seconds of sound.")
    fps: Fps
    num_frames: int = Field(gt=0, description="T: stills and embeddings.")
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    frame_at: FrameAt | None = Field(description="null for adopted stills: not known.")
    sound: SoundState
    frames_sha256: Sha256
    audio_sha256: Sha256
    stereo_sha256: Sha256 | None = Field(
        default=None, description="Of `audio_stereo.wav`; null where the sound has no two channels that differ."
    )
    stereo_db: float | None = Field(
        default=None, description="How loud the difference of its channels is beside their sum."
    )
    categories: list[str] = Field(default_factory=list, description="What the list says is in it.")
    license: str | None = None
    split: SplitName | None = Field(
        default=None, description="What the list asks for, or the set that it was adopted from."
    )


class Track(Record):
    """One object's identity in a clip."""

    track_id: SafeId
    clip_id: SafeId
    category: str
    num_sounding: int = Field(ge=0, description="Stills in which it sounds, so has a mask in the exported truth.")
    origin: str = Field(description="Which tool, model, weights or file it comes from.")
    round: str


class MaskRow(Record):
    """One track in one still: a row of `masks/part-*.parquet`."""

    clip_id: SafeId
    track_id: SafeId
    category: str
    frame: int = Field(ge=0, description="Number of the still, from 0.")
    state: State
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    counts: str | None = Field(description="COCO compressed RLE, column order; null where there is no mask.")
    area_px: int = Field(ge=0)
    box_xywh: tuple[int, int, int, int] | None
    origin: str
    annotator: str | None = None
    round: str


class Category(Record):
    """One class of a category set."""

    id: int = Field(ge=1)
    name: str
    supercategory: str | None = None


class CategorySet(Record):
    """A named list of classes, ids ascending; `schemas/categories/<name>.json`."""

    name: str
    source: str = Field(description="Where the list comes from.")
    categories: list[Category]
