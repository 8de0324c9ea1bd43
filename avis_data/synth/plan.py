"""Draw the plan of a clip from its seed: which things, where, when they sound, and the trouble they are in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from avis_data.synth.backdrop import BACKDROPS
from avis_data.synth.motion import SLIDE_S
from avis_data.synth.scene import Interval, Motion, Scene, Thing, WorldOptions
from avis_data.synth.sprites import CATEGORIES

__all__ = ["SCENARIOS", "plan_scene"]

SCENARIOS = (
    "duet",
    "look_alikes",
    "quartet",
    "off_screen",
    "enter_leave",
    "occlusion",
    "silent_movers",
    "hush",
)
"""Clip i shows scenario i modulo 8, so that eight clips hold every difficulty; the rest of a clip is drawn freely."""

_SIZE = (0.40, 0.62)
_REFERENCE_SIZE = 0.50
_TWIN_SIZES = (0.42, 0.62)
# A run of heard seconds starts and ends inside these margins; with them a second is heard for at least 0.6 of it or
# at most 0.2 (`scene.HEARD_SHARE`, `UNHEARD_SHARE`), also one heard second between two silent ones and the reverse.
_LOSS_S = 0.19
_SPILL_S = 0.09


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cast:
    """How many tracks of which kind a clip has."""

    sources: int
    movers: int
    twin: bool
    off_screen: bool


def plan_scene(options: WorldOptions, index: int) -> Scene:
    """The plan of clip `index`; equal options and index give an equal plan, however many clips there are."""
    rng = np.random.default_rng([options.seed, index, 0])
    scenario = SCENARIOS[index % len(SCENARIOS)]
    cast = _draw_cast(rng, scenario)
    inside = index % 4 == 3  # one clip in four is a span inside a longer file
    lead_s, tail_s = (_extra_s(rng, options.fps) if inside else 0.0 for _ in range(2))
    heard = _draw_heard(rng, scenario, cast, options.num_seconds)
    spans = [_intervals(rng, row, lead_s=lead_s, tail_s=tail_s) for row in heard]
    tracks = _draw_tracks(rng, scenario, cast, spans, options)
    twins = ((tracks[0].thing_id, tracks[cast.sources].thing_id),) if cast.twin else ()
    return Scene(
        index=index,
        video_id=f"synth{options.seed}-{index:04d}",
        options=options,
        scenario=scenario,
        backdrop=BACKDROPS[int(rng.integers(len(BACKDROPS)))],
        lead_s=lead_s,
        tail_s=tail_s,
        things=(*tracks, *_draw_props(rng, scenario, options)),
        look_alikes=twins,
    )


def _extra_s(rng: np.random.Generator, fps: int) -> float:
    """About 0.4 to 2 s: a whole number of pictures, and of milliseconds, so that lists can say it exactly."""
    step = fps // math.gcd(fps, 1000)
    return max(1, round(float(rng.uniform(0.4, 2.0)) * fps / step)) * step / fps


def _draw_cast(rng: np.random.Generator, scenario: str) -> _Cast:
    sources = {"quartet": 4, "silent_movers": 1, "look_alikes": 1 + int(rng.integers(2)), "hush": 3}.get(scenario, 2)
    movers = 2 if scenario == "silent_movers" else int(rng.uniform() < 0.3 and sources < 4)
    twin = scenario == "look_alikes" or (sources < 3 and rng.uniform() < 0.3)
    return _Cast(
        sources=sources,
        movers=movers,
        twin=twin,
        off_screen=scenario == "off_screen" or (sources < 4 and rng.uniform() < 0.12),
    )


def _draw_heard(rng: np.random.Generator, scenario: str, cast: _Cast, num_seconds: int) -> list[list[bool]]:
    """Whether each source (the off-screen one last) is to be heard in each second."""
    middle = num_seconds // 2
    rows = [_runs(rng, num_seconds, share=0.6) for _ in range(cast.sources)]
    if cast.off_screen:
        rows.append(_runs(rng, num_seconds, share=0.4))
        rows[-1][int(rng.integers(num_seconds))] = True
    if scenario == "hush" and num_seconds >= 4:
        length = max(1, round(0.3 * num_seconds))
        start = int(rng.integers(0, num_seconds - length + 1))
        for row in rows:
            row[start : start + length] = [False] * length
        rows[0][(start + length) % num_seconds] = True
    else:
        rows[0][middle] = True
    if scenario == "quartet":
        together = range(middle, min(num_seconds, middle + max(1, num_seconds // 4)))
        for row in rows:
            row[together.start : together.stop] = [True] * len(together)
    return rows


def _runs(rng: np.random.Generator, num_seconds: int, *, share: float) -> list[bool]:
    """Alternating stretches of sound and silence of 1 to 6 seconds, sound in about `share` of the time."""
    heard: list[bool] = []
    state = bool(rng.uniform() < share)
    while len(heard) < num_seconds:
        heard += [state] * min(6, 1 + int(rng.poisson(4 * share if state else 4 * (1 - share))))
        state = not state
    return heard[:num_seconds]


def _intervals(rng: np.random.Generator, heard: list[bool], *, lead_s: float, tail_s: float) -> tuple[Interval, ...]:
    """Onsets and ends near, but not at, whole seconds; a run at the edge of the clip may go on beyond it."""
    edges = np.flatnonzero(np.diff([False, *heard, False]))
    spans = []
    for start, end in edges.reshape(-1, 2):
        onset = start + rng.uniform(-_SPILL_S, _LOSS_S)
        offset = end + rng.uniform(-_LOSS_S, _SPILL_S)
        if start == 0:
            onset = 0.0 - lead_s if rng.uniform() < 0.5 else abs(onset)
        if end == len(heard):
            offset = end + tail_s if rng.uniform() < 0.5 else end - abs(end - offset)
        spans.append((round(float(onset), 3), round(float(offset), 3)))
    return tuple(spans)


def _draw_tracks(
    rng: np.random.Generator, scenario: str, cast: _Cast, spans: list[tuple[Interval, ...]], options: WorldOptions
) -> list[Thing]:
    kinds = [str(kind) for kind in rng.permutation(CATEGORIES)]
    in_view = kinds[: cast.sources] + kinds[:1] * cast.twin + kinds[cast.sources : cast.sources + cast.movers]
    sounds = [*spans[: cast.sources], *[()] * (cast.twin + cast.movers)]
    sizes = rng.uniform(*_SIZE, len(in_view))
    if cast.twin:
        sizes[[0, cast.sources]] = rng.permutation(_TWIN_SIZES)
    motions = _draw_motions(rng, scenario, sizes, options)
    depths = rng.permutation(len(in_view))
    tracks = [
        _track(rng, str(k + 1), kind, depth=float(depths[k]), sounds=sounds[k], motion=motions[k])
        for k, kind in enumerate(in_view)
    ]
    if cast.off_screen:
        kind = kinds[cast.sources + cast.movers]
        tracks.append(_track(rng, str(len(tracks) + 1), kind, depth=0.0, sounds=spans[-1], motion=None))
    return tracks


def _track(
    rng: np.random.Generator,
    thing_id: str,
    kind: str,
    *,
    depth: float,
    sounds: tuple[Interval, ...],
    motion: Motion | None,
) -> Thing:
    register = _REFERENCE_SIZE / motion.size if motion else float(rng.uniform(0.8, 1.25))
    look = int(rng.integers(2**31))
    return Thing(thing_id=thing_id, kind=kind, look=look, depth=depth, register=register, sounds=sounds, motion=motion)


def _draw_motions(rng: np.random.Generator, scenario: str, sizes: np.ndarray, options: WorldOptions) -> list[Motion]:
    """One path per thing, side by side in the order of a random permutation."""
    aspect = options.width / options.height
    slots = (rng.permutation(len(sizes)) + 0.5) / len(sizes) * aspect
    motions = [_draw_motion(rng, float(x), float(size)) for x, size in zip(slots, sizes, strict=True)]
    last = options.num_seconds - SLIDE_S
    if scenario == "enter_leave":
        # In view at least over the middle of the clip, where the first source is heard.
        motions[0] = replace(motions[0], enters_s=float(rng.uniform(0, 0.5)) * last / 2, side=_side(rng))
        motions[1] = replace(motions[1], leaves_s=float(rng.uniform(0.5, 1)) * last, side=_side(rng))
    elif len(motions) > 2 and rng.uniform() < 0.3:
        motions[-1] = replace(motions[-1], leaves_s=float(rng.uniform(0.5, 1)) * last, side=_side(rng))
    if scenario == "occlusion":
        period_s = max(8.0, 1.3 * options.num_seconds)
        motions[0] = replace(motions[0], x=aspect / 2, drift_x=(0.36 * aspect, period_s))
    return motions


def _side(rng: np.random.Generator) -> int:
    return int(rng.choice((-1, 1)))


def _draw_motion(rng: np.random.Generator, x: float, size: float) -> Motion:
    return Motion(
        x=x + float(rng.uniform(-0.05, 0.05)),
        y=float(rng.uniform(0.42, 0.74)),
        size=size,
        drift_x=(float(rng.uniform(0.05, 0.20)), float(rng.uniform(5, 11))),
        drift_y=(float(rng.uniform(0.02, 0.08)), float(rng.uniform(4, 9))),
        breathing=(float(rng.uniform(0.03, 0.10)), float(rng.uniform(5, 10))),
        sway=(float(rng.uniform(0.04, 0.16)), float(rng.uniform(3, 7))),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _draw_props(rng: np.random.Generator, scenario: str, options: WorldOptions) -> list[Thing]:
    """Balls, balloons and leaves that wander before and behind the tracks, and things that stand in front."""
    aspect = options.width / options.height
    props = []
    for _ in range(int(rng.integers(2, 5))):
        motion = _draw_motion(rng, float(rng.uniform(0, aspect)), float(rng.uniform(0.08, 0.17)))
        wide = (float(rng.uniform(0.2, 0.5)), float(rng.uniform(5, 9)))
        motion = replace(motion, y=float(rng.uniform(0.15, 0.85)), drift_x=wide, drift_y=(0.12, motion.drift_y[1]))
        props.append((("ball", "balloon", "leaf")[int(rng.integers(3))], float(rng.uniform(-0.9, 6)), motion))
    if scenario == "occlusion" or rng.uniform() < 0.3:
        kind = ("post", "plant")[int(rng.integers(2))]
        still = Motion(
            x=float(rng.uniform(0.2, 0.8)) * aspect,
            y=0.5 if kind == "post" else 0.80,
            size=1.05 if kind == "post" else 0.42,
            drift_x=(0.0, 1.0),
            drift_y=(0.0, 1.0),
            breathing=(0.0, 1.0),
            sway=(0.0, 1.0),
            phase=0.0,
        )
        props.append((kind, -1.0, still))
    return [
        Thing(thing_id=f"prop{k}", kind=kind, is_prop=True, look=int(rng.integers(2**31)), depth=depth, motion=motion)
        for k, (kind, depth, motion) in enumerate(props)
    ]
