"""How many of the errors that are planted in labels stand in the first tenth of the queue of label errors.

    python -m benchmarks.label_errors [--num-clips 120] [--seeds 4]

Scenes of the synthetic world with their exact masks, stills and sound; in 5 % of the tracks one error is planted, of
six kinds in turn. "model" is a simulated one, far from perfect: rough outlines, one in twelve tracks missed and one in
twelve of a wrong category (of which it is less sure), one second in eight wrong, and in one clip of five something that
is not there.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, shift

from avis_data.annotation.labels.records import Interval, LabelledClip, LabelledMask, LabelledTrack, MaskOrigin
from avis_data.annotation.labels.states import heard_seconds, intervals_from_seconds, states
from avis_data.annotation.problems.evidence import PredictedTrack, clip_evidence
from avis_data.annotation.problems.label_errors import Suspect, rank
from avis_data.features.activity import active_spans
from avis_data.masks.rle import Rle, decode, encode
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.synth.labels import SceneLabels, label_scene
from avis_data.synth.picture import Painter
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import WorldOptions, still_index
from avis_data.synth.sound import mix, stems
from avis_data.synth.timbres import RATE_HZ

SHARE = 0.05
FIRST = 0.1
BAR = 0.8
Tracks = list[LabelledTrack]


@dataclass(frozen=True)
class Sample:
    """A clip as it should be labelled, and what is seen and heard in it."""

    labels: LabelledClip
    pictures: dict[int, NDArray[np.uint8]]
    active: list[bool]
    predicted: list[PredictedTrack]


def main() -> int:
    """Print a table; 1 if the bar does not hold with a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    print("| seed | tracks | errors | first tenth, with a model | without | missed with a model |")
    print("|---|---|---|---|---|---|")
    shares = []
    for seed in range(501, 501 + arguments.seeds):
        samples = make_samples(arguments.num_clips, seed)
        planted, errors = plant(samples, seed)
        with_model, without = (queue(samples, planted, model=model) for model in (True, False))
        found, alone = (in_first_tenth(suspects, errors) for suspects in (with_model, without))
        shares.append(len(found) / len(errors))
        missed = Counter(kind for key, kind in errors.items() if key not in found)
        print(
            f"| {seed} | {len(with_model)} | {len(errors)} | {100 * shares[-1]:.0f} % | "
            f"{100 * len(alone) / len(errors):.0f} % | {', '.join(f'{k} {n}' for k, n in missed.items())} |",
            flush=True,
        )
    print(f"first tenth, mean of the seeds  {np.mean(shares):.2f}   (at least {BAR})")
    return int(np.mean(shares) < BAR)


def make_samples(num_clips: int, seed: int, *, num_seconds: int = 8) -> list[Sample]:
    """Clips of the synthetic world."""
    options = WorldOptions(seed=seed, num_seconds=num_seconds, width=192, height=108, fps=4)
    return [_sample(options, index) for index in range(num_clips)]


def queue(samples: Sequence[Sample], planted: Sequence[LabelledClip], *, model: bool = True) -> list[Suspect]:
    """The queue of the labels as they are after planting."""
    return rank(
        evidence
        for sample, labels in zip(samples, planted, strict=True)
        for evidence in clip_evidence(
            labels, pictures=sample.pictures, active=sample.active, predicted=sample.predicted if model else None
        )
    )


def in_first_tenth(suspects: Sequence[Suspect], errors: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    """The planted errors that stand there; of an object that is missing the row of what the model sees in its clip."""
    first = suspects[: max(1, round(FIRST * len(suspects)))]
    named = {(item.clip_id, item.identity) for item in first}
    more = {item.clip_id for item in first if item.identity is None}
    found = {key for key in errors if key in named}
    return found | {key for key, kind in errors.items() if kind == "missed" and key[0] in more}


def plant(samples: Sequence[Sample], seed: int) -> tuple[list[LabelledClip], dict[tuple[str, str], str]]:
    """Labels with an error in 5 % of the tracks, and which: (clip, object) to kind."""
    rng = np.random.default_rng(seed + 9000)
    planted, errors = [sample.labels for sample in samples], {}
    wanted = max(len(KINDS), round(SHARE * sum(len(labels.tracks) for labels in planted)))
    order = [int(number) for number in rng.permutation(len(samples))]
    names = list(KINDS)
    for number in order:
        kind = names[len(errors) % len(names)]
        labels, done = planted[number], None
        for place in rng.permutation(len(labels.tracks)):
            done = KINDS[kind](rng, list(labels.tracks), int(place), labels)
            if done is not None:
                errors[labels.clip_id, labels.tracks[int(place)].identity] = kind
                planted[number] = labels.model_copy(update={"tracks": tuple(done)})
                break
        if len(errors) >= wanted:
            break
    return planted, errors


def _swap(rng: np.random.Generator, tracks: Tracks, place: int, labels: LabelledClip) -> Tracks | None:
    """Two objects change places from a still onward."""
    for other in range(len(tracks)):
        stills = [m.frame for m in tracks[place].masks if m.frame > 1 and m.frame < labels.num_frames - 1]
        both = [still for still in stills if any(m.frame == still for m in tracks[other].masks)]
        if other == place or not both:
            continue
        at = int(rng.choice(both))
        a, b = tracks[place], tracks[other]
        tracks[place] = _with_masks(
            a, [m for m in a.masks if m.frame < at] + [m for m in b.masks if m.frame >= at], labels
        )
        tracks[other] = _with_masks(
            b, [m for m in b.masks if m.frame < at] + [m for m in a.masks if m.frame >= at], labels
        )
        return tracks
    return None


def _shift(rng: np.random.Generator, tracks: Tracks, place: int, labels: LabelledClip) -> Tracks | None:
    """One mask lies beside its object."""
    track = tracks[place]
    if len(track.masks) < 3:
        return None
    at = int(rng.integers(len(track.masks)))
    mask_HW = decode(track.masks[at].rle)
    far = 0.8 * np.sqrt(mask_HW.sum())
    angle = rng.uniform(0, 2 * np.pi)
    moved = shift(mask_HW.astype(np.uint8), (far * np.sin(angle), far * np.cos(angle)), order=0) > 0
    if moved.sum() < 0.5 * mask_HW.sum():
        return None
    masks = list(track.masks)
    masks[at] = _mask(masks[at].frame, encode(moved))
    tracks[place] = _with_masks(track, masks, labels)
    return tracks


def _loose(rng: np.random.Generator, tracks: Tracks, place: int, labels: LabelledClip) -> Tracks | None:
    """Some masks are far too large."""
    track = tracks[place]
    if len(track.masks) < 3:
        return None
    chosen = set(rng.choice(len(track.masks), size=max(1, len(track.masks) // 3), replace=False).tolist())
    masks = []
    for number, mask in enumerate(track.masks):
        mask_HW = decode(mask.rle)
        width = max(1, round(0.3 * float(np.sqrt(mask_HW.sum()))))
        masks.append(
            _mask(mask.frame, encode(binary_dilation(mask_HW, iterations=width))) if number in chosen else mask
        )
    tracks[place] = _with_masks(track, masks, labels)
    return tracks


def _category(rng: np.random.Generator, tracks: Tracks, place: int, labels: LabelledClip) -> Tracks | None:
    """An object has another category; its name stays, so that it is found again."""
    if not _sounds(tracks[place]):
        return None
    others = sorted({"dog", "cat", "drum", "person"} - {tracks[place].category})
    tracks[place] = tracks[place].model_copy(update={"category": str(rng.choice(others))})
    return tracks


def _seconds(rng: np.random.Generator, tracks: Tracks, place: int, labels: LabelledClip) -> Tracks | None:
    """It is heard when it is not, and the other way round, in half of the seconds or more."""
    heard = np.array(heard_seconds(tracks[place].intervals, labels.num_frames))
    seen = {mask.frame for mask in tracks[place].masks}
    flipped = heard ^ (rng.random(labels.num_frames) < 0.7)
    if len(seen) < 4 or not heard.any() or not flipped.any():
        return None
    spans = intervals_from_seconds(flipped.tolist())
    tracks[place] = tracks[place].model_copy(
        update={"intervals": spans, "states": states(spans, seen, labels.num_frames)}
    )
    return tracks


def _missed(rng: np.random.Generator, tracks: Tracks, place: int, labels: LabelledClip) -> Tracks | None:
    """An object that sounds is not labelled."""
    return [track for number, track in enumerate(tracks) if number != place] if _sounds(tracks[place]) else None


KINDS: dict[str, Callable[[np.random.Generator, Tracks, int, LabelledClip], Tracks | None]] = {
    "swap": _swap,
    "shift": _shift,
    "loose": _loose,
    "category": _category,
    "seconds": _seconds,
    "missed": _missed,
}


def _sounds(track: LabelledTrack) -> bool:
    return track.states.count("sounding") >= 2  # type: ignore[arg-type]  # StrEnum


def _sample(options: WorldOptions, index: int) -> Sample:
    scene = plan_scene(options, index)
    painter = Painter(scene)
    truth = label_scene(scene, painter)
    first = round(scene.lead_s * RATE_HZ)
    mono = mix(scene, stems(scene)).mean(axis=1)[first : first + options.num_seconds * RATE_HZ]
    places = np.arange(0, len(mono), RATE_HZ / SAMPLE_RATE_HZ)
    spans = [
        Interval(start_s=start_s, end_s=end_s)
        for start_s, end_s in active_spans(np.interp(places, np.arange(len(mono)), mono).astype(np.float32))
    ]
    labels = _labels(truth)
    return Sample(
        labels=labels,
        pictures={still: painter.picture(still_index(scene, still)) for still in range(options.num_stills)},
        active=heard_seconds(spans, options.num_stills, share=0.0),
        predicted=_predicted(labels, np.random.default_rng((options.seed, index))),
    )


def _labels(truth: SceneLabels) -> LabelledClip:
    numbers: Counter[str] = Counter()
    tracks = []
    for track in truth.tracks:
        numbers[track.category] += 1
        masks = [(still, truth.mask(track, still)) for still in range(truth.num_seconds)]
        spans = intervals_from_seconds(track.heard)
        kept = [_mask(still, rle) for still, rle in masks if rle is not None]
        if kept:
            tracks.append(
                LabelledTrack(
                    identity=f"{track.category}_{numbers[track.category]}",
                    category=track.category,
                    intervals=spans,
                    states=states(spans, {mask.frame for mask in kept}, truth.num_seconds),
                    masks=tuple(kept),
                )
            )
    return LabelledClip(
        clip_id=truth.clip_id,
        round="draft",
        annotator="ann@example.com",
        fps=1.0,
        num_frames=truth.num_seconds,
        height=truth.height,
        width=truth.width,
        tracks=tuple(tracks),
        verdict=None,
        revision=None,
    )


def _mask(still: int, rle: Rle) -> LabelledMask:
    return LabelledMask(frame=still, height=rle.height, width=rle.width, counts=rle.counts, origin=MaskOrigin.EDITED)


def _with_masks(track: LabelledTrack, masks: Iterable[LabelledMask], labels: LabelledClip) -> LabelledTrack:
    ordered = tuple(sorted(masks, key=lambda mask: mask.frame))
    found = states(track.intervals, {mask.frame for mask in ordered}, labels.num_frames)
    return track.model_copy(update={"masks": ordered, "states": found})


def _predicted(labels: LabelledClip, rng: np.random.Generator) -> list[PredictedTrack]:
    """What a trained model would say: much of it right."""
    found = []
    names = sorted({"dog", "cat", "drum", "person"})
    for track in labels.tracks:
        heard = heard_seconds(track.intervals, labels.num_frames)
        said = {
            mask.frame: _rough(mask.rle, rng) for mask in track.masks if heard[mask.frame] != (rng.random() < 1 / 8)
        }
        if not any(heard) or not said or rng.random() < 1 / 12:
            continue
        wrong = rng.random() < 1 / 12
        category = str(rng.choice(names)) if wrong else track.category
        score = float(rng.uniform(0.3, 0.7) if wrong else rng.uniform(0.5, 1))
        found.append(PredictedTrack(category=category, score=score, masks=said))
    if rng.random() < 1 / 5:
        mask_HW = np.zeros((labels.height, labels.width), dtype=bool)
        top, left = int(rng.integers(0, labels.height - 20)), int(rng.integers(0, labels.width - 20))
        mask_HW[top : top + 20, left : left + 20] = True
        ghost = {still: encode(mask_HW) for still in range(3)}
        found.append(PredictedTrack(category=str(rng.choice(names)), score=float(rng.uniform(0.1, 0.8)), masks=ghost))
    return found


def _rough(rle: Rle, rng: np.random.Generator) -> Rle:
    mask_HW = decode(rle)
    far = 0.08 * np.sqrt(mask_HW.sum())
    moved = shift(mask_HW.astype(np.uint8), rng.normal(0, far, size=2), order=0) > 0
    return encode(moved if moved.any() else mask_HW)


if __name__ == "__main__":
    sys.exit(main())
