"""How each category sounds: one voice per category, numpy only, mono, one stretch of sound at a time.

A voice is told how long to sound and at which pitch; no voice rests for longer than a quarter of a second, so what is
said to sound can be heard in every second of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATE_HZ", "Wave", "speak"]

RATE_HZ = 44_100
Wave = NDArray[np.float32]
_TOP_HZ = 11_000.0
_SCALE = 2.0 ** (np.array([0, 2, 4, 7, 9, 12]) / 12)
"""Major pentatonic, as factors: any two notes go together."""


def speak(category: str, rng: np.random.Generator, *, num_samples: int, register: float) -> Wave:
    """The sound of a category, about 0.1 RMS, with soft ends.

    Args:
        category: one of `sprites.CATEGORIES`.
        rng: chooses melody, rhythm and noise.
        num_samples: length, at `RATE_HZ`.
        register: factor on the pitch that is usual for the category.

    Returns:
        float32 (num_samples,).
    """
    if num_samples <= 0:
        return np.zeros(0, np.float32)
    wave = _VOICES[category](rng, num_samples, register)
    wave *= 0.1 / max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)
    ramp = min(round(0.02 * RATE_HZ), num_samples // 2)
    wave[:ramp] *= np.linspace(0, 1, ramp, dtype=np.float32)
    wave[num_samples - ramp :] *= np.linspace(1, 0, ramp, dtype=np.float32)
    return wave


def _clock(num_samples: int) -> Wave:
    return (np.arange(num_samples) / RATE_HZ).astype(np.float32)


def _notes(
    rng: np.random.Generator, num_samples: int, shortest_s: float, longest_s: float
) -> list[tuple[int, int, float]]:
    """First sample, length and pitch factor of notes that follow each other without a pause."""
    notes, at = [], 0
    while at < num_samples:
        length = min(round(rng.uniform(shortest_s, longest_s) * RATE_HZ), num_samples - at)
        notes.append((at, length, float(rng.choice(_SCALE))))
        at += length
    return notes


def _partials(phase: Wave, weights: NDArray[np.float64]) -> Wave:
    """Sum of sin(n * phase) * weights[n - 1] by the recurrence of sines, which costs one product per partial."""
    twice_cos = 2 * np.cos(phase)
    before, now = np.zeros_like(phase), np.sin(phase)
    total = now * np.float32(weights[0])
    for weight in weights[1:]:
        before, now = now, twice_cos * now - before
        total += now * np.float32(weight)
    return total


def _phase(pitch_hz: Wave) -> Wave:
    # In double precision: a single-precision sum drifts audibly over ten seconds.
    return (np.cumsum(pitch_hz, dtype=np.float64) * (2 * np.pi / RATE_HZ) % (2 * np.pi)).astype(np.float32)


def _formants(pitch_hz: float, centres_hz: tuple[float, ...], widths_hz: tuple[float, ...]) -> NDArray[np.float64]:
    """Weights of the partials of a pitch under resonances, with the natural fall of 6 dB per octave."""
    number = np.arange(1, max(2, int(_TOP_HZ / pitch_hz)))
    peaks = sum(
        gain / (1 + ((number * pitch_hz - centre) / width) ** 2)
        for centre, width, gain in zip(centres_hz, widths_hz, (1.0, 0.7, 0.35, 0.2), strict=False)
    )
    weights: NDArray[np.float64] = peaks / number**0.5
    return weights


def _noise(rng: np.random.Generator, num_samples: int, low_hz: float, high_hz: float) -> Wave:
    """Noise of RMS 1 between two frequencies, with soft edges."""
    size = 1 << max(num_samples - 1, 1).bit_length()  # powers of two keep the transform fast
    spectrum = rng.standard_normal(size // 2 + 1) + 1j * rng.standard_normal(size // 2 + 1)
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    spectrum *= 1 / (1 + (hz / high_hz) ** 6) * (1 - 1 / (1 + (hz / low_hz) ** 6))
    wave = np.fft.irfft(spectrum)[:num_samples].astype(np.float32)
    return wave / np.float32(np.sqrt(np.mean(np.square(wave))) + 1e-12)


def _violin(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    time_s = _clock(num_samples)
    pitch = np.empty(num_samples, np.float32)
    bow = np.empty(num_samples, np.float32)
    for at, length, factor in _notes(rng, num_samples, 0.45, 1.1):
        pitch[at : at + length] = 523 * register * factor
        bow[at : at + length] = np.minimum(1, 0.35 + _clock(length) / 0.09)
    vibrato = 1 + 0.009 * np.sin(2 * np.pi * 5.6 * time_s + rng.uniform(0, 6))
    weights = _formants(523 * register, (560.0, 1200.0, 3000.0, 4800.0), (260.0, 600.0, 1200.0, 1800.0))
    scrape = 0.03 * _noise(rng, num_samples, 2500, 9000)
    return (_partials(_phase(pitch * vibrato), weights) * bow + scrape).astype(np.float32)


def _struck(
    rng: np.random.Generator,
    num_samples: int,
    notes: list[tuple[int, int, float]],
    pitch_hz: float,
    *,
    decay_s: float,
    fall: float,
    count: int,
    stretch: float,
) -> Wave:
    """Notes whose partials die away, the higher the sooner; `stretch` is the inharmonicity of stiff strings."""
    wave = np.zeros(num_samples, np.float32)
    for at, length, factor in notes:
        ring = min(num_samples - at, round(length + 0.25 * RATE_HZ))  # rings on a little under the next note
        time_s = _clock(ring)
        for n in range(1, count + 1):
            hz = pitch_hz * factor * n * np.sqrt(1 + stretch * n * n)
            if hz < _TOP_HZ:
                body = np.sin(2 * np.pi * hz * time_s + rng.uniform(0, 6)) * np.exp(-time_s * (1 + 0.35 * n) / decay_s)
                wave[at : at + ring] += (body / n**fall).astype(np.float32)
    return wave


def _guitar(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    notes = _notes(rng, num_samples, 0.16, 0.26)
    wave = _struck(rng, num_samples, notes, 165 * register, decay_s=0.45, fall=0.75, count=18, stretch=0.0)
    for at, length, _ in notes:
        click = min(length, 350)
        wave[at : at + click] += 1.2 * _noise(rng, click, 1500, 6000) * np.exp(-_clock(click) / 0.0025)
    return wave


def _piano(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    notes = _notes(rng, num_samples, 0.32, 0.62)
    chords = [(at, length, factor * step) for at, length, factor in notes for step in (1.0, 1.26, 1.5)]
    return _struck(rng, num_samples, chords, 330 * register, decay_s=1.3, fall=1.9, count=7, stretch=0.0006)


def _trumpet(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    wave = np.zeros(num_samples, np.float32)
    for at, length, factor in _notes(rng, num_samples, 0.22, 0.6):
        time_s = _clock(length)
        pitch = np.full(length, 262 * register * factor, np.float32) * (1 - 0.03 * np.exp(-time_s / 0.03))
        phase = _phase(pitch)
        dark = _partials(phase, _formants(262 * register * factor, (500.0, 900.0), (350.0, 400.0)))
        bright = _partials(phase, _formants(262 * register * factor, (1150.0, 2100.0), (500.0, 900.0)))
        opened = np.minimum(1, time_s / 0.07)  # brass brightens as the note grows
        tongue = np.minimum(1, time_s / 0.015) * np.minimum(1, (length / RATE_HZ - time_s) / 0.03)
        wave[at : at + length] = (dark * (1 - 0.7 * opened) + 1.3 * bright * opened) * tongue
    return wave


def _dog(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    wave = np.zeros(num_samples, np.float32)
    at = 0
    while at < num_samples:
        length = min(round(rng.uniform(0.15, 0.22) * RATE_HZ), num_samples - at)
        time_s = _clock(length)
        shape = np.minimum(1, time_s / 0.012) * np.exp(-time_s / 0.07)
        pitch = register * (330 + 330 * np.exp(-((time_s - 0.03) ** 2) / 0.0018)).astype(np.float32)
        growl = 0.5 + 0.5 * np.sin(2 * np.pi * 95 * time_s)
        voice = _partials(_phase(pitch), _formants(420 * register, (650.0, 1300.0, 2300.0), (260.0, 400.0, 800.0)))
        wave[at : at + length] = (voice * growl + 0.9 * _noise(rng, length, 500, 2500)) * shape
        at += length + round(rng.uniform(0.08, 0.2) * RATE_HZ)
    return wave


def _cat(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    wave = np.zeros(num_samples, np.float32)
    for at, length, _ in _notes(rng, num_samples, 0.6, 0.95):
        along = np.linspace(0, 1, length, dtype=np.float32)
        pitch = register * (620 + 330 * np.sin(np.pi * along**0.7) - 130 * along).astype(np.float32)
        phase = _phase(pitch)
        closed = _partials(phase, _formants(750 * register, (900.0, 2200.0), (260.0, 400.0)))
        opened = _partials(phase, _formants(750 * register, (1700.0, 3300.0), (350.0, 500.0)))
        mouth = np.sin(np.pi * along)
        wave[at : at + length] = (closed * (1 - mouth) + opened * mouth) * (0.25 + mouth)
    time_s = _clock(num_samples)
    purr = np.maximum(0, np.sin(2 * np.pi * 26 * register * time_s)) ** 3
    meow = wave / (np.abs(wave).max() + 1e-9)
    mixed: Wave = (meow + 0.12 * purr * _noise(rng, num_samples, 60, 900)).astype(np.float32)
    return mixed


def _car(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    time_s = _clock(num_samples)
    revs = np.zeros(num_samples)
    for hz in (0.23, 0.41, 0.9):
        revs += np.sin(2 * np.pi * hz * time_s + rng.uniform(0, 6)) / 3
    pitch = (52 * register * (1 + 0.22 * revs)).astype(np.float32)
    weights = 1 / np.arange(1, 19) ** 0.9 * (1 + 0.8 * (np.arange(1, 19) % 2))
    rattle = 0.5 + 0.5 * np.sin(_phase(2 * pitch))
    rumble = _noise(rng, num_samples, 40, 380)
    return (_partials(_phase(pitch), weights) + (0.9 * rumble * (0.4 + rattle))).astype(np.float32)


_VOWELS = ((730.0, 1090.0, 2440.0), (270.0, 2290.0, 3010.0), (300.0, 870.0, 2240.0), (530.0, 1840.0, 2480.0))
"""First three formants of a, i, u, e (Peterson and Barney 1952, mean of male speakers)."""


def _person(rng: np.random.Generator, num_samples: int, register: float) -> Wave:
    wave = np.zeros(num_samples, np.float32)
    for at, length, _ in _notes(rng, num_samples, 0.16, 0.28):
        time_s = _clock(length)
        start, end = rng.uniform(0.85, 1.2, 2) * 135 * register
        phase = _phase(np.linspace(start, end, length, dtype=np.float32))
        vowel = _VOWELS[int(rng.integers(len(_VOWELS)))]
        voice = _partials(phase, _formants(float(start), vowel, (80.0, 110.0, 170.0)))
        syllable = np.minimum(1, time_s / 0.03) * np.minimum(1, (length / RATE_HZ - time_s) / 0.05)
        wave[at : at + length] = voice / (np.abs(voice).max() + 1e-9) * syllable
        hiss = min(length, round(rng.uniform(0.03, 0.06) * RATE_HZ))
        wave[at : at + hiss] += 0.12 * _noise(rng, hiss, 3000, 8000)
    return wave


_VOICES: dict[str, Callable[[np.random.Generator, int, float], Wave]] = {
    "person": _person,
    "violin": _violin,
    "guitar": _guitar,
    "piano": _piano,
    "trumpet": _trumpet,
    "dog": _dog,
    "cat": _cat,
    "car": _car,
}
