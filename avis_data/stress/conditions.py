"""The changes of sound under which a model is asked again: one list, to which others can be added.

A condition says what a clip is given to hear in place of its sound, and in which frames something that is seen may
sound then. It is a function of the clip, the split and a random generator: the same seed gives the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from avis_data.registry import Registry
from avis_data.stress.clips import HeardClip, World
from avis_data.stress.waves import Wave, fitted, noise_for, shifted, silent, swapped, with_noise

__all__ = ["CONDITIONS", "MADE_WITH", "TRUE_SOUND", "Changed", "Condition", "LeftOut"]

TRUE_SOUND = "true"
"""What the results of the clips as they are are called."""
MADE_WITH = "made_with.json"
"""In a folder of results of ours: which model and plan they are of."""


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A clip with another sound."""

    wave: Wave
    """What is heard: as long, and of the same form, as the clip's own sound."""
    may_sound_T: Sequence[bool]
    """For each frame whether something that is seen may sound; where not, any mask is wrong."""
    donor: str | None = None
    """The clip whose sound it is."""
    muted: str | None = None
    """The track that is not heard any more."""


class LeftOut(Exception):
    """A condition does not apply to a clip; the message says why."""


Change = Callable[[HeardClip, World, np.random.Generator], Changed]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One way in which the sound is changed."""

    name: str
    says: str
    """What is heard, as a person says it."""
    counts: bool
    """Whether what makes the truth is gone from the sound, so that a model that hears loses by it: those conditions
    make up a model's reliance. The others say what else it is sensitive to."""
    change: Change
    """Gives a clip with another sound, or raises LeftOut."""


def _silence(clip: HeardClip, world: World, rng: np.random.Generator) -> Changed:
    return Changed(wave=silent(world.wave(clip.name)), may_sound_T=[False] * clip.num_frames)


def _noise(clip: HeardClip, world: World, rng: np.random.Generator, *, below_db: float) -> Changed:
    noise = noise_for(world.wave(clip.name), below_db=below_db, rng=rng)
    return Changed(wave=noise, may_sound_T=[False] * clip.num_frames)


def _noisy(clip: HeardClip, world: World, rng: np.random.Generator, *, below_db: float) -> Changed:
    wave = with_noise(world.wave(clip.name), below_db=below_db, rng=rng)
    return Changed(wave=wave, may_sound_T=clip.sounding_T())


def _other_category(clip: HeardClip, world: World, rng: np.random.Generator) -> Changed:
    donors = [c for c in world.clips.values() if c.heard_categories and not c.heard_categories & clip.categories]
    donor = _one_of(clip, donors, rng, none="in every other clip something of its categories sounds, or nothing does")
    wave = fitted(world.wave(donor.name), world.wave(clip.name))
    return Changed(wave=wave, may_sound_T=[False] * clip.num_frames, donor=donor.name)


def _same_category(clip: HeardClip, world: World, rng: np.random.Generator) -> Changed:
    if not clip.heard_categories:
        raise LeftOut("nothing sounds in it")
    donors = _most_alike(clip, world)
    donor = _one_of(clip, donors, rng, none="in no other clip any of its categories sounds")
    own, other = world.wave(clip.name), world.wave(donor.name)
    may_sound_T = _repeated(clip, donor, Fraction(len(other.samples_NC), other.rate_hz))
    return Changed(wave=fitted(other, own), may_sound_T=may_sound_T, donor=donor.name)


def _most_alike(clip: HeardClip, world: World) -> list[HeardClip]:
    """The other clips whose sounding categories are most like those of a clip: the same, or as many of them as can be.

    Source: the index of Jaccard, shared categories over all categories of both.
    """
    wanted = clip.heard_categories
    shares: dict[Fraction, list[HeardClip]] = defaultdict(list)
    for other in world.clips.values():
        if other.name != clip.name and wanted & other.heard_categories:
            share = Fraction(len(wanted & other.heard_categories), len(wanted | other.heard_categories))
            shares[share].append(other)
    return shares[max(shares)] if shares else []


def _shift(clip: HeardClip, world: World, rng: np.random.Generator, *, seconds: int) -> Changed:
    wave = world.wave(clip.name)
    if wave.duration_s <= seconds:
        raise LeftOut(f"its sound is not longer than {seconds} s")
    return Changed(wave=shifted(wave, seconds=seconds), may_sound_T=clip.heard_later_T(seconds))


def _swapped(clip: HeardClip, world: World, rng: np.random.Generator) -> Changed:
    wave = world.wave(clip.name)
    if wave.is_mono:
        raise LeftOut("its channels are the same, or it has one only")
    return Changed(wave=swapped(wave), may_sound_T=clip.sounding_T())


def _muted(clip: HeardClip, world: World, rng: np.random.Generator) -> Changed:
    if not world.knows_sources(clip.name):
        raise LeftOut("nobody knows its sources one by one (--scenes FILE)")
    heard = [t.track_id for t in clip.tracks if any(h and s for h, s in zip(t.heard_T, t.seen_T, strict=True))]
    if not heard:
        raise LeftOut("nothing that is seen sounds in it")
    muted = heard[int(rng.integers(len(heard)))]
    wave = world.wave_without(clip.name, muted)
    return Changed(wave=wave, may_sound_T=clip.sounding_T(without=muted), muted=muted)


def _one_of(clip: HeardClip, donors: Sequence[HeardClip], rng: np.random.Generator, *, none: str) -> HeardClip:
    others = [donor for donor in donors if donor.name != clip.name]
    if not others:
        raise LeftOut(none)
    return others[int(rng.integers(len(others)))]


def _repeated(clip: HeardClip, donor: HeardClip, length_s: Fraction) -> list[bool]:
    """For each frame of a clip whether one of its categories is heard in another's sound, which repeats to its end."""
    found = []
    for t in range(clip.num_frames):
        begin, left = Fraction(t) / clip.fps % length_s, 1 / clip.fps
        heard = False
        while left > 0 and not heard:
            end = min(begin + left, length_s)
            heard = donor.any_heard(begin, end, of=clip.categories)
            begin, left = Fraction(0), left - (end - begin)
        found.append(heard)
    return found


def _noises() -> list[Condition]:
    return [
        Condition(
            name=f"noise-{level}db",
            says="white noise alone, "
            + (f"{level} dB quieter than the sound was" if level else "as loud as the sound was"),
            counts=True,
            change=partial(_noise, below_db=level),
        )
        for level in (20, 10, 0)
    ]


def _shifts() -> list[Condition]:
    return [
        Condition(
            name=f"shift-{seconds}s",
            says=f"the clip's own sound {seconds} s later, after silence",
            counts=True,
            change=partial(_shift, seconds=seconds),
        )
        for seconds in (1, 2, 5)
    ]


def _noisies() -> list[Condition]:
    return [
        Condition(
            name=f"snr-{level}db",
            says=f"the clip's own sound with white noise, {level} dB quieter than it",
            counts=False,
            change=partial(_noisy, below_db=level),
        )
        for level in (20, 10, 0)
    ]


_SHIPPED = (
    Condition(name="silence", says="digital silence", counts=True, change=_silence),
    *_noises(),
    Condition(
        name="other-category",
        says="another clip, in which nothing of this clip's categories sounds",
        counts=True,
        change=_other_category,
    ),
    Condition(
        name="same-category",
        says="another clip, in which the same categories sound, or as many of them as in any",
        counts=False,
        change=_same_category,
    ),
    *_shifts(),
    Condition(name="swapped", says="left and right swapped", counts=False, change=_swapped),
    Condition(name="muted", says="all sources of the clip but one", counts=True, change=_muted),
    *_noisies(),
)

CONDITIONS: Registry[Condition] = Registry(
    "condition", {condition.name: condition for condition in _SHIPPED}, group="avis_data.conditions"
)
"""The conditions, in the order of tables."""
