"""One clip, from its sound and its pictures to tracks: tag, find, draw, follow, and say who sounds when.

Shapes: S seconds (one still each), C categories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.labels.records import Interval, LabelledMask, LabelledTrack, MaskOrigin
from avis_data.annotation.labels.states import heard_seconds, intervals_from_seconds, states
from avis_data.annotation.prelabel.engine import Box, Detector, Tagger
from avis_data.annotation.prelabel.motion import motion_of
from avis_data.annotation.prelabel.seen import Seen, key_stills, linked
from avis_data.annotation.prelabel.who_sounds import Candidate, Choice, heard_when, who_sounds
from avis_data.annotation.propagation.carrier import Carrier
from avis_data.annotation.propagation.carry import SPECK_SHARE, Shots, carry, is_cut, look_of
from avis_data.annotation.segmenters.segmenter import Prompt, Segmenter
from avis_data.features.speech import SpeechDetector, speech_spans
from avis_data.masks.rle import Rle, encode

__all__ = ["ClipInput", "Engines", "Found", "label_clip"]

_SPEECH_SHARE = 0.25
"""Of a second, from which on it is one of speech; as `labels/what_is_heard.py` has it."""


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What is asked, loaded."""

    tagger: Tagger
    detector: Detector
    segmenter: Segmenter
    carrier: Carrier
    speech: SpeechDetector | None
    """None: the tagger alone says when somebody speaks."""
    choice: Choice


@dataclass(frozen=True, kw_only=True)
class ClipInput:
    """What is known of a clip."""

    stills: Callable[[int], NDArray[np.uint8]]
    """A still by its number, RGB. Raises ItemError if it cannot be read."""
    footage: Shots
    """The pictures in between too."""
    samples_N: NDArray[np.float32]
    """Mono, 16 kHz, in [-1, 1]."""
    num_frames: int
    size_hw: tuple[int, int]
    categories: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came out."""

    tracks: tuple[LabelledTrack, ...]
    """Only things that sound in some second; their masks also where they do not."""
    scores: Mapping[str, float]
    """Identity to the mean score of its boxes, in [0, 1]."""
    heard: tuple[str, ...]
    """Categories that are heard in some second, in the order of the set."""
    not_findable: tuple[str, ...]
    """Those of them that the detector does not know."""
    num_boxes: int


def label_clip(clip: ClipInput, engines: Engines) -> Found:
    """The things that sound in a clip.

    Nothing is looked for that is not heard. A thing is drawn on a few stills of those in which it sounds, by the
    segmenter in the detector's box, and carried from there to the others.

    Raises:
        ItemError: if a picture cannot be read.
    """
    heard_SC = _heard(clip, engines)
    heard = tuple(name for column, name in enumerate(clip.categories) if heard_SC[:, column].any())
    findable = engines.detector.findable(heard)
    found, num_boxes = _seen(clip, engines.detector, findable) if findable else ([], 0)
    sounding = _sounding(found, heard_SC, clip, engines.choice)
    chosen = [(one, sounds_S) for one, sounds_S in zip(found, sounding, strict=True) if sounds_S.any()]
    identities = _identities([one for one, _ in chosen])
    masks = _masks(dict(zip(identities, chosen, strict=True)), clip, engines)
    tracks = []
    for identity, (one, sounds_S) in zip(identities, chosen, strict=True):
        seen = {mask.frame for mask in masks[identity]}
        intervals = intervals_from_seconds([bool(sounds) and t in seen for t, sounds in enumerate(sounds_S)])
        if intervals:
            tracks.append(
                LabelledTrack(
                    identity=identity,
                    category=one.category,
                    intervals=intervals,
                    states=states(intervals, seen, clip.num_frames),
                    masks=masks[identity],
                )
            )
    return Found(
        tracks=tuple(tracks),
        scores={identity: one.score for identity, (one, _) in zip(identities, chosen, strict=True)},
        heard=heard,
        not_findable=tuple(name for name in heard if name not in findable),
        num_boxes=num_boxes,
    )


def _heard(clip: ClipInput, engines: Engines) -> NDArray[np.bool_]:
    speech_S = None
    if engines.speech is not None:
        spans = [Interval(start_s=start, end_s=end) for start, end in speech_spans(clip.samples_N, engines.speech)]
        speech_S = np.array(heard_seconds(spans, clip.num_frames, share=_SPEECH_SHARE), dtype=np.bool_)
    chances_SC = engines.tagger.tag(clip.samples_N, clip.categories, clip.num_frames)
    return heard_when(chances_SC, clip.categories, heard_from=engines.tagger.heard_from, speech_S=speech_S)


def _seen(clip: ClipInput, detector: Detector, categories: Sequence[str]) -> tuple[list[Seen], int]:
    looks = [look_of(clip.stills(still)) for still in range(clip.num_frames)]
    found = [detector.detect(clip.stills(still), categories) for still in range(clip.num_frames)]
    return linked(found, lambda still: still > 0 and is_cut(looks[still - 1], looks[still])), sum(map(len, found))


def _sounding(found: Sequence[Seen], heard_SC: NDArray[np.bool_], clip: ClipInput, choice: Choice) -> NDArray[np.bool_]:
    boxes: list[dict[int, Box]] = [{still: one.box for still, one in thing.found.items()} for thing in found]
    motion: list[dict[int, float]] = [{} for _ in found]
    rivals = Counter(thing.category for thing in found)
    if choice is Choice.MOVING and any(number > 1 for number in rivals.values()):
        motion = motion_of(clip.footage.shots(0, clip.num_frames - 1), boxes)
    candidates = [
        Candidate(category=thing.category, boxes=boxes[number], motion=motion[number])
        for number, thing in enumerate(found)
    ]
    return who_sounds(candidates, heard_SC, clip.categories, choice=choice, size_hw=clip.size_hw)


def _identities(found: Sequence[Seen]) -> list[str]:
    """`person_1`, `person_2`: numbered within a category, in their order."""
    numbers: Counter[str] = Counter()
    names = []
    for one in found:
        numbers[one.category] += 1
        names.append(f"{one.category}_{numbers[one.category]}")
    return names


def _masks(
    chosen: Mapping[str, tuple[Seen, NDArray[np.bool_]]], clip: ClipInput, engines: Engines
) -> dict[str, tuple[LabelledMask, ...]]:
    """The drawn masks of each thing, and those that are carried from them."""
    drawn = {identity: _drawn(one, sounds_S, clip, engines.segmenter) for identity, (one, sounds_S) in chosen.items()}
    starts = {identity: {mask.frame: mask.rle for mask in masks} for identity, masks in drawn.items() if masks}
    if not starts:
        return dict.fromkeys(chosen, ())
    arrivals = carry(engines.carrier, clip.footage, starts, num_frames=clip.num_frames).arrivals
    found = {}
    for identity, masks in drawn.items():
        carried = [
            _mask(frame, arrival.rle, engines.carrier.name, engines.carrier.weights_sha256, arrival.confidence)
            for frame, arrival in arrivals.get(identity, {}).items()
            if arrival.rle is not None
        ]
        found[identity] = tuple(sorted([*masks, *carried], key=lambda mask: mask.frame))
    return found


def _drawn(one: Seen, sounds_S: NDArray[np.bool_], clip: ClipInput, segmenter: Segmenter) -> list[LabelledMask]:
    """Its masks on the key stills; none where the segmenter finds no more than a speck."""
    masks = []
    for still in key_stills(one, sounds_S):
        picture = clip.stills(still)
        embedding = segmenter.embed(picture) if segmenter.embeds else {}
        answer = segmenter.segment(picture, embedding, Prompt(box=one.found[still].box))
        if answer.mask_HW.sum() >= max(1.0, SPECK_SHARE * answer.mask_HW.size):
            rle = encode(answer.mask_HW)
            masks.append(_mask(still, rle, segmenter.name, segmenter.weights_sha256, answer.confidence))
    return masks


def _mask(frame: int, rle: Rle, engine: str, weights_sha256: str | None, confidence: float) -> LabelledMask:
    return LabelledMask(
        frame=frame,
        height=rle.height,
        width=rle.width,
        counts=rle.counts,
        origin=MaskOrigin.PRELABELLED,
        engine=engine,
        weights_sha256=weights_sha256,
        confidence=round(float(np.clip(confidence, 0, 1)), 4),
    )
