"""The truth of a scene: for every track and second whether it is heard, whether it is seen, and its exact mask.

With other rates of labels, "second" is the period of a labelled still, here and below.

A track is seen in a second if, in the still of that second, at least `MIN_VISIBLE_SHARE` of the picture shows it. So a
track is `sounding` (heard and seen; only this has a mask in the exported truth), `silent` (seen, not heard) or
`hidden` (not seen, heard or not). Masks hold only what is visible: what lies behind another thing is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from avis_data.config import validated
from avis_data.errors import DataError
from avis_data.io import read_json
from avis_data.masks.rle import Rle, encode
from avis_data.records import Record, SafeId, State
from avis_data.synth.picture import Painter
from avis_data.synth.scene import Interval, Scene, Thing, heard_stills, still_index
from avis_data.video_list import clip_id_of

__all__ = ["MIN_VISIBLE_SHARE", "LookAlikes", "SceneLabels", "TrackLabels", "label_scene", "read_scenes"]

MIN_VISIBLE_SHARE = 0.0005
"""Share of the picture; 29 pixels at 320 x 180. Slivers below it cannot be recognised, and compression washes them
out."""


class TrackLabels(Record):
    """One track of a scene."""

    track_id: SafeId
    category: str
    register_factor: float = Field(
        gt=0, description="Factor on the usual pitch of its category; small things sound higher."
    )
    sounds: list[Interval] = Field(description="Onset and end, seconds on the clip's clock.")
    heard: list[bool] = Field(description="Per second: it sounds in at least half of it.")
    states: list[State]
    masks: list[str | None] = Field(description="Per second: COCO compressed RLE of what is seen of it, heard or not.")


class LookAlikes(Record):
    """Two tracks of one category of which only one sounds."""

    sounding: SafeId
    silent: SafeId


class SceneLabels(Record):
    """All that is true of one clip of the synthetic world; one entry of `scenes.json`."""

    clip_id: SafeId
    video_id: SafeId
    scenario: str
    start_s: float = Field(ge=0, description="Start of the clip in its media file.")
    end_s: float | None = Field(description="End of the clip in its media file; null: the clip is the whole file.")
    num_seconds: int = Field(gt=0)
    width: int
    height: int
    fps: int
    label_fps: float = Field(gt=0, description="Labelled stills per second.")
    tracks: list[TrackLabels]
    look_alikes: list[LookAlikes]
    off_screen: dict[SafeId, list[int]] = Field(description="By track: the seconds in which it is heard and not seen.")

    def mask(self, track: TrackLabels, frame: int) -> Rle | None:
        """What is seen of a track in a second, sounding or silent; None where it is hidden."""
        counts = track.masks[frame]
        return None if counts is None else Rle(self.height, self.width, counts)


def label_scene(scene: Scene, painter: Painter) -> SceneLabels:
    """The truth of a scene; `painter` is that of the same scene."""
    seen = [painter.seen(still_index(scene, number)) for number in range(scene.options.num_stills)]
    tracks = [_label_track(scene, number, thing, seen) for number, thing in enumerate(scene.tracks)]
    end_s = round(scene.lead_s + scene.options.num_seconds, 3) if scene.lead_s or scene.tail_s else None
    return SceneLabels(
        clip_id=clip_id_of(scene.video_id, scene.lead_s, end_s),
        video_id=scene.video_id,
        scenario=scene.scenario,
        start_s=scene.lead_s,
        end_s=end_s,
        num_seconds=scene.options.num_seconds,
        width=scene.options.width,
        height=scene.options.height,
        fps=scene.options.fps,
        label_fps=scene.options.label_fps,
        tracks=tracks,
        look_alikes=[LookAlikes(sounding=one, silent=other) for one, other in scene.look_alikes],
        off_screen={track.track_id: found for track in tracks if (found := _heard_unseen(track))},
    )


def read_scenes(path: Path) -> list[SceneLabels]:
    """The content of a `scenes.json`.

    Raises:
        DataError: if the file is missing or no JSON.
        ProblemsError: with everything in it that is wrong.
    """
    content: Any = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("scenes"), list):
        raise DataError(f"{path}: holds no list `scenes`", hint="avis-data synth --num-clips 8 --seconds 10 --seed 1")
    return [validated(SceneLabels, scene, where=f"{path}: scenes[{k}]") for k, scene in enumerate(content["scenes"])]


def _label_track(scene: Scene, number: int, thing: Thing, seen: list[NDArray[np.int8]]) -> TrackLabels:
    heard = heard_stills(thing, scene.options)
    least = MIN_VISIBLE_SHARE * scene.options.width * scene.options.height
    masks = [encode(mask_HW).counts if (mask_HW := owner == number).sum() >= least else None for owner in seen]
    return TrackLabels(
        track_id=thing.thing_id,
        category=thing.kind,
        register_factor=round(thing.register, 4),
        sounds=list(thing.sounds),
        heard=heard,
        states=[_state(sounds, mask) for sounds, mask in zip(heard, masks, strict=True)],
        masks=masks,
    )


def _state(heard: bool, mask: str | None) -> State:
    if mask is None:
        return State.HIDDEN
    return State.SOUNDING if heard else State.SILENT


def _heard_unseen(track: TrackLabels) -> list[int]:
    return [frame for frame, heard in enumerate(track.heard) if heard and track.states[frame] is State.HIDDEN]
