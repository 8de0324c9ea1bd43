"""The sound of a scene: one stem per track, and the stereo mix in which each is heard from where it is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avis_data.synth.motion import place
from avis_data.synth.scene import Scene, Thing
from avis_data.synth.timbres import RATE_HZ, Wave, speak

__all__ = ["mix", "mix_without", "stems"]

_PAN_STEP_S = 0.04
_AMBIENCE = 0.0015
"""RMS of the room, 36 dB below a voice: seconds of silence are not digital silence."""
_PEAK = 0.89


def stems(scene: Scene) -> dict[str, Wave]:
    """What each track sounds like on its own, over the whole media file.

    Returns:
        By track id, float32 (samples,) at `RATE_HZ`; exactly zero where the track does not sound.
    """
    num_samples = round(scene.num_pictures / scene.options.fps * RATE_HZ)
    return {thing.thing_id: _stem(scene, thing, num_samples) for thing in scene.tracks}


def mix(scene: Scene, voices: dict[str, Wave]) -> NDArray[np.float32]:
    """The stereo sound of a scene: float32 (samples, 2) within ±0.89.

    Args:
        scene: gives the places of the tracks; off-screen ones are heard from the middle.
        voices: as from `stems`.
    """
    total = _sum(scene, voices)
    return total * _gain(total)


def mix_without(scene: Scene, voices: dict[str, Wave], thing_id: str) -> NDArray[np.float32]:
    """The same without one track; all others are as loud as they are in the whole."""
    others = {name: np.zeros_like(voice) if name == thing_id else voice for name, voice in voices.items()}
    return _sum(scene, others) * _gain(_sum(scene, voices))


def _gain(total: NDArray[np.float32]) -> np.float32:
    return np.float32(min(1.0, _PEAK / max(float(np.abs(total).max()), 1e-9)))


def _sum(scene: Scene, voices: dict[str, Wave]) -> NDArray[np.float32]:
    rng = np.random.default_rng([scene.options.seed, scene.index, 2])
    num_samples = len(next(iter(voices.values())))
    total = _ambience(rng, num_samples)
    for thing in scene.tracks:
        angle = _pan(scene, thing, num_samples) * np.float32(np.pi / 2)
        total += voices[thing.thing_id][:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return total


def _stem(scene: Scene, thing: Thing, num_samples: int) -> Wave:
    rng = np.random.default_rng([scene.options.seed, thing.look])
    gain = np.float32(10 ** (rng.uniform(-2, 2) / 20))
    wave = np.zeros(num_samples, np.float32)
    for start_s, end_s in thing.sounds:
        first, last = (round((time_s + scene.lead_s) * RATE_HZ) for time_s in (start_s, end_s))
        first, last = max(first, 0), min(last, num_samples)
        wave[first:last] = gain * speak(thing.kind, rng, num_samples=last - first, register=thing.register)
    return wave


def _pan(scene: Scene, thing: Thing, num_samples: int) -> Wave:
    """0 left to 1 right for every sample; equal power is kept by the sine and cosine of the caller."""
    options = scene.options
    aspect = options.width / options.height
    times = np.arange(0, num_samples / RATE_HZ + _PAN_STEP_S, _PAN_STEP_S)
    places = (place(thing, float(time_s) - scene.lead_s, aspect=aspect) for time_s in times)
    # Never quite to one side: what leaves the picture is still heard with both ears.
    pan = [0.1 + 0.8 * min(max(spot.x / aspect, 0.0), 1.0) if spot else 0.5 for spot in places]
    return np.interp(np.arange(num_samples) / RATE_HZ, times, pan).astype(np.float32)


def _ambience(rng: np.random.Generator, num_samples: int) -> NDArray[np.float32]:
    white = rng.standard_normal((num_samples, 2)).astype(np.float32)
    # The mean of neighbours takes the hiss off the top.
    soft = white.copy()
    for shift in (1, 2, 3):
        soft[shift:] += white[:-shift]
    return soft * np.float32(_AMBIENCE / 2)
