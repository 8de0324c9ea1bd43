"""What a clip of the synthetic world is: things, where they are, when they sound. Times are on the clip's clock.

Second t of a track is *heard* if the track sounds in at least half of [t, t + 1). The plan never comes near that
limit: in each second a track sounds for at least `HEARD_SHARE` or at most `UNHEARD_SHARE` of it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from avis_data.media.clock import num_frames

__all__ = [
    "HEARD_SHARE",
    "UNHEARD_SHARE",
    "Interval",
    "Motion",
    "Scene",
    "Thing",
    "WorldOptions",
    "heard_seconds",
    "heard_stills",
    "share_of_second",
    "still_index",
]

Interval = tuple[float, float]
"""Onset and end of sound, seconds on the clip's clock; may reach beyond the clip where the file does."""

HEARD_SHARE = 0.6
UNHEARD_SHARE = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldOptions:
    """What all clips of one synthetic world have in common."""

    seed: int = 0
    """Clip i depends on this and on i only."""
    num_seconds: int = 10
    """Length of each clip, at least 1."""
    width: int = 320
    """Even (H.264 with 4:2:0 colour), at least 64."""
    height: int = 180
    """Even, at least 64."""
    fps: int = 25
    """Pictures per second of the media files; pictures are shown at k / fps."""
    label_fps: float = 1.0
    """Labelled stills per second; changes labels only, no picture and no sound."""

    @property
    def num_stills(self) -> int:
        """Labelled stills of each clip."""
        return num_frames(self.num_seconds, fps=self.label_fps)

    def as_dict(self) -> dict[str, float]:
        """The text that is written and hashed."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """A smooth path. Lengths are in picture heights, x to the right and y down from the top left corner."""

    x: float
    y: float
    size: float
    """Side of the square that the thing is drawn in."""
    drift_x: Interval
    """Amplitude, and period in seconds, of the swing about `x`; so for the others."""
    drift_y: Interval
    breathing: Interval
    """Relative change of size."""
    sway: Interval
    """Radians."""
    phase: float
    """Radians; sets the four swings apart."""
    enters_s: float | None = None
    """Starts to slide into view at this time; null: in view from the start."""
    leaves_s: float | None = None
    """Starts to slide out of view at this time; null: stays."""
    side: int = 1
    """Enters from and leaves to the right (1) or the left (-1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One thing: a track of a category, or a prop, which never sounds and is never labelled."""

    thing_id: str
    kind: str
    """One of `sprites.CATEGORIES` or `sprites.PROPS`."""
    is_prop: bool = False
    look: int
    """Seed of colours and texture; for a track also of its melody."""
    depth: float
    """Things of smaller depth hide those of larger."""
    register: float = 1.0
    """Factor on the pitch of its category: small things sound higher, so that look-alikes can be told by ear."""
    sounds: tuple[Interval, ...] = ()
    """Ascending, apart from each other."""
    motion: Motion | None
    """Null: never in view, an off-screen sound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One planned clip. The media file may be longer: it starts `lead_s` earlier and ends `tail_s` later."""

    index: int
    video_id: str
    options: WorldOptions
    scenario: str
    backdrop: str
    lead_s: float
    tail_s: float
    things: tuple[Thing, ...]
    look_alikes: tuple[tuple[str, str], ...]
    """Pairs of tracks of one category; the first sounds, the second never."""

    @property
    def tracks(self) -> tuple[Thing, ...]:
        """The things that are no props, in the order of their ids."""
        return tuple(thing for thing in self.things if not thing.is_prop)

    @property
    def num_pictures(self) -> int:
        """Pictures in the media file."""
        return round((self.lead_s + self.options.num_seconds + self.tail_s) * self.options.fps)

    def time_of(self, picture: int) -> float:
        """When a picture of the media file is shown, on the clip's clock."""
        return picture / self.options.fps - self.lead_s


def still_index(scene: Scene, number: int) -> int:
    """The picture of the media file that a labelled still is: the last one shown before the middle of its period.

    Source: the rule `frame_at: mid`, which is ffmpeg's `fps=1` (last frame with a time < t + 0.5).
    """
    # The tolerance is far below a frame; it keeps a time that is equal but for rounding from counting as before.
    instant_s = scene.lead_s + (number + 0.5) / scene.options.label_fps
    return math.ceil(round(instant_s * scene.options.fps, 6)) - 1


def share_of_second(sounds: tuple[Interval, ...], second: int) -> float:
    """Which part of [second, second + 1) is filled by the intervals; in [0, 1]."""
    return _covered_s(sounds, second, second + 1)


def heard_seconds(thing: Thing, num_seconds: int) -> list[bool]:
    """Whether the thing sounds in at least half of each second."""
    return [share_of_second(thing.sounds, second) >= 0.5 for second in range(num_seconds)]


def heard_stills(thing: Thing, options: WorldOptions) -> list[bool]:
    """Whether the thing sounds in at least half of the period of each labelled still."""
    period_s = 1 / options.label_fps
    begins = (number * period_s for number in range(options.num_stills))
    return [_covered_s(thing.sounds, begin, begin + period_s) >= period_s / 2 for begin in begins]


def _covered_s(sounds: tuple[Interval, ...], start_s: float, end_s: float) -> float:
    return sum(max(0.0, min(end, end_s) - max(start, start_s)) for start, end in sounds)
