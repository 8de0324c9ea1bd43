"""AVISM frame by frame: what it shows of a frame is what it says of the clip that ends there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from avis_data.errors import DataError
from avis_data.masks.rle import Rle, area
from avis_data.training.data.clips import TensorClip
from avis_data.training.models.online import OnlineModel, watch
from avis_data.training.models.spec import PredictOptions
from avis_data.training.registry import MODELS
from support.tiny_avism import tiny_model, whole_clip

ALL = PredictOptions(top_k=24, score_threshold=0.0)
FRAMES = 7


def until(clip: TensorClip, frame: int, options: PredictOptions) -> TensorClip:
    """The clip as it is known when a frame has come."""
    first = max(0, frame + 1 - options.stream_frames)
    audio = None if clip.audio_TA is None else clip.audio_TA[first : frame + 1]
    return replace(clip, frames_T3HW=clip.frames_T3HW[first : frame + 1], audio_TA=audio)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (ALL, {}),
        (replace(ALL, stream_frames=2), {}),
        (replace(ALL, frame_gate=0.22), {}),
        (replace(ALL, frame_gate=0.9, gate_by="similarity"), {}),
        (replace(ALL, frame_gate=0.5255), {"sounding_head": True}),
        (replace(ALL, frame_gate=0.22, gate_by="head-and-class"), {"sounding_head": True}),
        (ALL, {"sounding_map": True, "sounding_pixels": True}),
        (ALL, {"frame_fusion": False, "video_fusion": False}),
    ],
    ids=["plain", "two frames back", "class", "similarity", "sounding head", "head and class", "sounding maps", "deaf"],
)
def test_a_frame_is_the_last_one_of_the_clip_so_far(options: PredictOptions, changes: dict[str, Any]) -> None:
    model, clip = tiny_model(**changes).eval(), whole_clip(1, FRAMES)
    identities: dict[tuple[int, int], int] = {}
    silent = 0
    for frame, seen in enumerate(watch(model, clip, options)):
        tracks = model.predict(until(clip, frame, options), options)
        wanted = {(track.query, track.label): track.masks[-1] for track in tracks if area(track.masks[-1])}
        silent += len(model.predict(until(clip, frame, ALL), ALL)) - len(wanted)
        assert len(seen) == len(wanted) == len({thing.identity for thing in seen})
        known = {thing.identity: (thing.label, thing.mask) for thing in seen}
        for (query, label), mask in wanted.items():
            identity = identities.setdefault((query, label), _found(known, label, mask))
            assert known[identity] == (label, mask), "a query goes on as one track"
    assert len(identities) == len(set(identities.values())) > 1
    if options.frame_gate is not None:
        assert silent, "the gate lies among the probabilities"


def test_the_first_frame_has_the_scores_of_a_clip_of_one() -> None:
    model, clip = tiny_model().eval(), whole_clip(1, FRAMES)
    seen = next(watch(model, clip, ALL))
    tracks = model.predict(until(clip, 0, ALL), ALL)
    scores = sorted(track.score for track in tracks if area(track.masks[0]))
    assert sorted(thing.score for thing in seen) == pytest.approx(scores, rel=1e-6)


def test_a_whole_clip_is_predicted_frame_by_frame_where_that_is_wanted() -> None:
    model, clip = tiny_model().eval(), whole_clip(1, FRAMES)
    options = replace(ALL, online=True)
    seen = [{thing.identity: thing.mask for thing in things} for things in watch(model, clip, options)]
    tracks = model.predict(clip, options)
    assert {track.query for track in tracks} == {identity for frame in seen for identity in frame}
    for track in tracks:
        assert [mask if area(mask) else None for mask in track.masks] == [frame.get(track.query) for frame in seen]


def test_a_frame_without_sound_is_an_error_where_the_model_hears() -> None:
    model, clip = tiny_model().eval(), whole_clip(1, 2)
    with pytest.raises(DataError, match="without sound"):
        next(watch(model, replace(clip, audio_TA=None), ALL))


def test_every_model_of_tracks_can_be_watched() -> None:
    for spec in MODELS:
        assert issubclass(spec.build, OnlineModel) == (spec.task == "avis"), spec.name  # type: ignore[arg-type]


def _found(known: dict[int, tuple[int, Rle]], label: int, mask: Rle) -> int:
    return next(identity for identity, thing in known.items() if thing == (label, mask))
