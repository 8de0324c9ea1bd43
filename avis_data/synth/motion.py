"""Where a thing is at a time, and its pose: what sounds shakes and moves its parts fast, what is silent slowly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from avis_data.synth.scene import Interval, Motion, Thing

__all__ = ["SLIDE_S", "Placement", "place"]

SLIDE_S = 1.6
"""How long a thing takes to slide into view or out of it."""

# The slow rate has no simple ratio to the still rate of 1 Hz, so that stills of a silent thing show changing poses,
# as those of a sounding one do: one still must not tell which sounds.
_SLOW_HZ = 0.37
_FAST_HZ = {
    "person": 3.7,
    "violin": 2.3,
    "guitar": 3.1,
    "piano": 3.4,
    "trumpet": 2.9,
    "dog": 2.6,
    "cat": 1.9,
    "car": 6.3,
}
_SHAKE_TURN = 0.10
_SHAKE_SIZE = 0.05
_RAMP_S = 0.12


@dataclass(frozen=True, slots=True)
class Placement:
    """A thing at one instant; lengths in picture heights."""

    x: float
    y: float
    size: float
    turn: float
    """Radians, clockwise on the screen."""
    pose: float
    """In [0, 1]."""


def place(thing: Thing, time_s: float, *, aspect: float) -> Placement | None:
    """Where `thing` is at `time_s` of the clip; None for one that is never in view.

    Args:
        thing: a track or a prop.
        time_s: on the clip's clock.
        aspect: width / height of the picture; says how far a thing has to slide to be gone.
    """
    motion = thing.motion
    if motion is None:
        return None
    shake, cycles = _excitement(thing, time_s)
    wobble = math.sin(2 * math.pi * cycles) * shake
    return Placement(
        x=motion.x + _swing(motion.drift_x, time_s, motion.phase) + _slide(motion, time_s, aspect),
        y=motion.y + _swing(motion.drift_y, time_s, 2.1 * motion.phase),
        size=motion.size * (1 + _swing(motion.breathing, time_s, 3.3 * motion.phase)) * (1 + _SHAKE_SIZE * wobble),
        turn=_swing(motion.sway, time_s, 4.7 * motion.phase) + _SHAKE_TURN * wobble,
        pose=0.5 - 0.5 * math.cos(2 * math.pi * cycles + motion.phase),
    )


def _swing(swing: Interval, time_s: float, phase: float) -> float:
    amplitude, period_s = swing
    return amplitude * math.sin(2 * math.pi * time_s / period_s + phase)


def _slide(motion: Motion, time_s: float, aspect: float) -> float:
    gone = 0.0
    if motion.enters_s is not None:
        gone = max(gone, 1 - _smooth((time_s - motion.enters_s) / SLIDE_S))
    if motion.leaves_s is not None:
        gone = max(gone, _smooth((time_s - motion.leaves_s) / SLIDE_S))
    edge = aspect - motion.x if motion.side > 0 else motion.x
    return motion.side * gone * (edge + motion.size + motion.drift_x[0])


def _smooth(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _excitement(thing: Thing, time_s: float) -> tuple[float, float]:
    """How strongly it shakes, in [0, 1], and how many cycles its parts have gone through: fast while it sounds."""
    strength, sounded_s = 0.0, 0.0
    for start, end in thing.sounds:
        sounded_s += min(max(time_s - start, 0.0), end - start)
        strength = max(strength, min((time_s - start) / _RAMP_S, (end - time_s) / _RAMP_S, 1.0))
    fast_hz = _FAST_HZ.get(thing.kind, _SLOW_HZ)
    return max(strength, 0.0), _SLOW_HZ * time_s + (fast_hz - _SLOW_HZ) * sounded_s
