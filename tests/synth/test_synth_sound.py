"""The sound: at the seconds it is said to be, balanced, from where it is seen, and each category by its own timbre."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import Scene, WorldOptions, heard_seconds
from avis_data.synth.sound import mix, stems
from avis_data.synth.sprites import CATEGORIES
from avis_data.synth.timbres import RATE_HZ, speak

OPTIONS = WorldOptions(seed=21, num_seconds=6)


def rms_db(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-12))


def second_of(scene: Scene, wave: np.ndarray, second: int) -> np.ndarray:
    start = round((scene.lead_s + second) * RATE_HZ)
    return wave[start : start + RATE_HZ]


@pytest.mark.parametrize("index", range(8))
def test_a_stem_has_energy_in_the_heard_seconds_only(index: int) -> None:
    scene = plan_scene(OPTIONS, index)
    voices = stems(scene)
    for thing in scene.tracks:
        heard = heard_seconds(thing, OPTIONS.num_seconds)
        levels = [rms_db(second_of(scene, voices[thing.thing_id], second)) for second in range(OPTIONS.num_seconds)]
        audible = [level for level, sounds in zip(levels, heard, strict=True) if sounds]
        rest = [level for level, sounds in zip(levels, heard, strict=True) if not sounds]
        assert all(-28 < level < -15 for level in audible)
        # At most a fifth of an unheard second sounds, so it is at least 5 dB below.
        assert not audible or not rest or max(rest) < min(audible) - 3
        for start, end in thing.sounds:
            middle = round((scene.lead_s + (start + end) / 2) * RATE_HZ)
            assert np.abs(voices[thing.thing_id][middle - 8000 : middle + 8000]).max() > 0.03


def test_a_stem_is_exactly_silent_outside_its_intervals() -> None:
    scene = plan_scene(OPTIONS, 3)
    for thing in scene.tracks:
        wave = stems(scene)[thing.thing_id].copy()
        for start, end in thing.sounds:
            wave[max(0, round((start + scene.lead_s) * RATE_HZ)) : round((end + scene.lead_s) * RATE_HZ)] = 0
        assert not wave.any()


def test_the_mix_never_clips_and_silence_is_not_digital() -> None:
    for index in range(8):
        scene = plan_scene(OPTIONS, index)
        sound = mix(scene, stems(scene))
        assert sound.dtype == np.float32
        assert sound.shape == (round(scene.num_pictures / 25 * RATE_HZ), 2)
        assert np.abs(sound).max() <= 0.9
        hush = mix(
            replace(scene, things=tuple(replace(thing, sounds=()) for thing in scene.things)),
            {thing.thing_id: np.zeros(len(sound), np.float32) for thing in scene.tracks},
        )
        assert -70 < rms_db(hush) < -50


def test_a_thing_is_heard_from_where_it_is_seen() -> None:
    scene = plan_scene(OPTIONS, 6)
    thing = scene.tracks[0]
    assert thing.motion is not None
    lean = []
    for x in (0.1, 1.7):
        moved = replace(thing, motion=replace(thing.motion, x=x), sounds=((0.0, 6.0),))
        alone = replace(scene, things=(moved,), look_alikes=())
        sound = mix(alone, stems(alone))
        lean.append(rms_db(sound[:, 1]) - rms_db(sound[:, 0]))
    assert lean[0] < -6
    assert lean[1] > 6


def test_voices_are_equally_loud_and_never_pause_for_long() -> None:
    for category in CATEGORIES:
        wave = speak(category, np.random.default_rng(3), num_samples=4 * RATE_HZ, register=1.0)
        assert rms_db(wave) == pytest.approx(-20, abs=0.5)
        windows = wave[: len(wave) // 11025 * 11025].reshape(-1, 11025)
        assert min(rms_db(window) for window in windows) > -45, category


def test_a_register_raises_the_pitch() -> None:
    peaks = []
    for register in (0.8, 1.2):
        wave = speak("violin", np.random.default_rng(5), num_samples=RATE_HZ // 2, register=register)
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
        hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
        lows = (hz > 250) & (hz < 1100)
        strong = hz[lows][spectrum[lows] > 0.3 * spectrum[lows].max()]
        peaks.append(strong.min())
    assert peaks[1] / peaks[0] == pytest.approx(1.5, rel=0.06)


def log_mel(wave: np.ndarray) -> np.ndarray:
    """40 log band energies: mean and spread over the frames of one second, level removed."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 2048)[::1024] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(2048, 1 / RATE_HZ) / 700)
    band = np.digitize(mel, np.linspace(mel[1], 2595 * np.log10(1 + 10_000 / 700), 41)) - 1
    energy = np.stack([power[:, band == k].sum(axis=1) if (band == k).any() else power[:, 0] * 0 for k in range(40)], 1)
    logs = np.log(energy + 1e-3)
    return np.concatenate([logs.mean(0) - logs.mean(), logs.std(0)])


def test_categories_can_be_told_by_ear() -> None:
    rng = np.random.default_rng(0)
    features: dict[str, list[np.ndarray]] = {}
    for category in CATEGORIES:
        for take in range(12):
            register = float(rng.uniform(0.8, 1.25))
            wave = speak(category, np.random.default_rng(take), num_samples=RATE_HZ, register=register)
            noise = 0.0015 * rng.standard_normal(len(wave))
            features.setdefault(category, []).append(log_mel(wave + noise))
    centroids = np.stack([np.mean(features[category][:6], axis=0) for category in CATEGORIES])
    right = [
        int(np.argmin(np.linalg.norm(centroids - feature, axis=1))) == number
        for number, category in enumerate(CATEGORIES)
        for feature in features[category][6:]
    ]
    assert np.mean(right) >= 0.95, f"nearest centroid: {np.mean(right):.2f} right"


def test_equal_seeds_give_equal_samples() -> None:
    one, other = (mix(scene, stems(scene)) for scene in (plan_scene(OPTIONS, 2), plan_scene(OPTIONS, 2)))
    np.testing.assert_array_equal(one, other)
