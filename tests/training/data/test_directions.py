"""What is said of the direction of a sound: louder on one side, earlier on one side, and nothing of a mono one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from avis_data.errors import ConfigError
from avis_data.features.logmel import mel_weights, spectra
from avis_data.training.config import load_config
from avis_data.training.data.audio_features import AudioFeatures, AudioKind
from avis_data.training.data.audio_summary import SecondSummaries, StereoSummaries, direction_cues
from avis_data.training.data.augment import AugmentConfig
from avis_data.training.data.clips import TrainingClip
from avis_data.training.data.frame_times import FrameTimes
from avis_data.training.data.loading import DataConfig, TrainingSamples
from avis_data.training.data.sampling import AroundAFrame
from avis_data.training.data.split import open_split
from avis_data.training.data.video_dataset import make_video_dataset
from support.media_files import ffmpeg

RATE = 16_000
TIMES = FrameTimes(fps=1.0, instants_s=(0.5, 1.5))
Rows = NDArray[np.float32]


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def cues(left: NDArray[np.float32], right: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    found = direction_cues(spectra(left), spectra(right))
    return found[:64], found[64:128], found[128:]


def read(path: Path, sound_NC: NDArray[np.float32], reader: StereoSummaries) -> NDArray[np.float32]:
    soundfile.write(path, sound_NC, RATE, subtype="FLOAT")
    return reader.read(path, [0, 1], TIMES)


@pytest.mark.parametrize("gain", [0.5, 2.0, 4.0])
def test_a_difference_of_level_is_the_logarithm_of_the_gain(gain: float) -> None:
    sound = noise(1)
    level, real, imag = cues(np.float32(gain) * sound, sound)
    np.testing.assert_allclose(level, 0.25 * 2 * np.log(gain), atol=2e-3)
    assert np.abs(real).max() < 2e-3 and np.abs(imag).max() < 1e-4


def test_one_silent_side_is_the_largest_difference() -> None:
    level, _, _ = cues(noise(1), np.zeros(RATE, dtype=np.float32))
    assert (level[8:] == 2.0).all()  # the lowest bands hold less than a bin


@pytest.mark.parametrize("later", [1, 3])
def test_what_comes_later_on_the_right_turns_the_cross_spectrum(later: int) -> None:
    """A tone that is d samples later has a phase that is 2 pi f d / 16000 behind."""
    frequency_hz = 1000.0
    clock = np.arange(RATE + 8) / RATE
    tone = (0.3 * np.sin(2 * np.pi * frequency_hz * clock)).astype(np.float32)
    _, real, imag = cues(tone[8 : RATE + 8], tone[8 - later : RATE + 8 - later])
    band = int(mel_weights()[round(frequency_hz / RATE * 512)].argmax())
    phase = 2 * np.pi * frequency_hz * later / RATE
    assert imag[band] == pytest.approx(np.sin(phase), abs=0.01)
    assert real[band] == pytest.approx(np.cos(phase) - 1, abs=0.01)


def test_a_mono_sound_has_no_direction_and_the_summary_that_it_had(tmp_path: Path) -> None:
    reader, sound = StereoSummaries(), noise(2)
    for channels in (1, 2):
        found = read(tmp_path / f"{channels}.wav", np.repeat(sound[:, None], channels, axis=1), reader)
        assert found.shape == (2, 320)
        assert not found[:, 128:].any()
        expected = SecondSummaries().read(tmp_path / f"{channels}.wav", [0, 1], TIMES)
        np.testing.assert_array_equal(found[:, :128], expected)


def test_changed_channels_change_the_signs(tmp_path: Path) -> None:
    reader = StereoSummaries()
    sound_N2 = np.stack((noise(2), 0.3 * noise(2, seed=1)), axis=1).astype(np.float32)
    found = read(tmp_path / "a.wav", sound_N2, reader)
    swapped = read(tmp_path / "b.wav", sound_N2[:, ::-1], reader)
    np.testing.assert_allclose(swapped[..., 128:192], -found[..., 128:192], atol=1e-5)
    np.testing.assert_allclose(swapped[..., 256:], -found[..., 256:], atol=1e-5)
    np.testing.assert_allclose(swapped[..., :128], found[..., :128], atol=1e-5)
    assert found[..., 128:192].mean() > 0.4


@pytest.mark.parametrize("parts", [1, 4])
def test_the_mirror_of_a_sound_is_that_of_changed_channels(parts: int, tmp_path: Path) -> None:
    reader = StereoSummaries(parts=parts)
    sound_N2 = np.stack((noise(2), 0.3 * noise(2, seed=1)), axis=1).astype(np.float32)
    found = read(tmp_path / "a.wav", sound_N2, reader)
    swapped = read(tmp_path / "b.wav", sound_N2[:, ::-1], reader)
    np.testing.assert_allclose(reader.mirrored(found), swapped, atol=1e-5)
    np.testing.assert_array_equal(reader.mirrored(reader.mirrored(found)), found)
    assert np.abs(found - swapped).max() > 0.5


@pytest.mark.parametrize("kind", ["logmel", "logmel-window", "slices", "stereo", "stereo-parts", "panorama"])
def test_a_picture_that_is_mirrored_is_heard_mirrored(kind: AudioKind, export_copy: Path) -> None:
    """What stands on the left after the change has to be heard from there: the sample is that of a mirrored clip."""
    write_sides(export_copy)
    mirrored, plain = sample(export_copy, kind, flip=1.0), sample(export_copy, kind, flip=0.0)
    np.testing.assert_array_equal(mirrored.frames_T3HW.numpy(), plain.frames_T3HW.numpy()[..., ::-1])
    assert mirrored.audio_TA is not None and plain.audio_TA is not None
    if kind in ("stereo", "stereo-parts", "panorama"):
        assert np.abs(mirrored.audio_TA.numpy() - plain.audio_TA.numpy()).max() > 0.5
    for path in (export_copy / "train" / "WAVAudios").iterdir():
        samples_N2, _ = soundfile.read(path, dtype="float32")
        soundfile.write(path, samples_N2[:, ::-1], RATE, subtype="FLOAT")
    swapped = sample(export_copy, kind, flip=0.0)
    assert swapped.audio_TA is not None
    np.testing.assert_allclose(mirrored.audio_TA.numpy(), swapped.audio_TA.numpy(), atol=1e-5)


def sample(
    export: Path,
    kind: AudioKind,
    *,
    flip: float = 0.0,
    mono: float = 0.0,
    directions: float = 0.0,
    number: int = 0,
) -> TrainingClip:
    """A sample of a split, of a picture that is as it was or mirrored, and of sound that is as it was or changed."""
    split = open_split(export, "train", num_classes=26, audio=AudioFeatures(kind))
    augment = AugmentConfig(crop_probability=0.0, flip_probability=flip)
    config = DataConfig(augment=augment, mono=mono, directions=directions)
    return TrainingSamples(split, config, 0, AroundAFrame(count=3, reach=20)).sample(number)


def heard(export: Path, kind: AudioKind, *, mono: float = 0.0, directions: float = 0.0, number: int = 0) -> Rows:
    """What is heard in such a sample, (T, A)."""
    found = sample(export, kind, mono=mono, directions=directions, number=number).audio_TA
    assert found is not None
    return found.numpy()


def write_sides(export: Path, gains: tuple[float, float] = (1.0, 0.3)) -> None:
    """Two channels of noise for each clip, each as loud as is said."""
    rng = np.random.default_rng(0)
    for path in (export / "train" / "WAVAudios").iterdir():
        samples_N2 = (rng.normal(scale=0.1, size=(4 * RATE, 2)) * gains).astype(np.float32)
        soundfile.write(path, samples_N2, RATE, subtype="FLOAT")


@pytest.mark.parametrize("kind", ["logmel", "stereo", "stereo-parts", "panorama"])
def test_some_samples_are_heard_in_mono(kind: AudioKind, export_copy: Path) -> None:
    """A sample of both channels mixed is that of a clip with one channel; half of the samples means about half."""
    write_sides(export_copy)
    two, mono = heard(export_copy, kind), heard(export_copy, kind, mono=1.0)
    changed = num_changed(export_copy, kind, mono=0.5)
    for path in (export_copy / "train" / "WAVAudios").iterdir():
        samples_N2, _ = soundfile.read(path, dtype="float32")
        soundfile.write(path, samples_N2.mean(axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(mono, heard(export_copy, kind), atol=1e-5)
    if kind == "logmel":
        assert changed == 0
    else:
        assert 12 <= changed <= 28 and np.abs(two - mono).max() > 0.5


def num_changed(export: Path, kind: AudioKind, *, mono: float = 0.0, directions: float = 0.0) -> int:
    """How many of 40 samples are heard in another way than without such a share."""
    pairs = [
        (heard(export, kind, mono=mono, directions=directions, number=number), heard(export, kind, number=number))
        for number in range(40)
    ]
    return sum(not np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("kind", ["vggish", "logmel", "slices", "stereo", "stereo-parts", "panorama"])
def test_some_samples_say_only_from_where(kind: AudioKind, export_copy: Path) -> None:
    """The same directions and no spectrum; a kind that knows no directions is left as it is."""
    write_sides(export_copy)
    plain, placed = heard(export_copy, kind), heard(export_copy, kind, directions=1.0)
    changed = num_changed(export_copy, kind, directions=0.5)
    if kind in ("stereo", "stereo-parts", "panorama"):
        rows = 6 if kind == "panorama" else 5
        plain_NPXM, placed_NPXM = (found.reshape(len(found), -1, rows, 64) for found in (plain, placed))
        assert not placed_NPXM[:, :, :2].any() and np.abs(plain_NPXM[:, :, :2]).min() > 0
        np.testing.assert_array_equal(placed_NPXM[:, :, 2:], plain_NPXM[:, :, 2:])
        assert 12 <= changed <= 28
    else:
        np.testing.assert_array_equal(placed, plain)
        assert changed == 0


def test_what_comes_from_the_middle_only_is_heard_as_it_is(export_copy: Path) -> None:
    """Of a sound without a direction nothing would be left."""
    for path in (export_copy / "train" / "WAVAudios").iterdir():
        soundfile.write(path, np.repeat(noise(4)[:, None], 2, axis=1), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(heard(export_copy, "stereo", directions=1.0), heard(export_copy, "stereo"))


def test_shares_of_more_than_all_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.mono and data\.directions.*more than 1 together"):
        load_config("heed_tiny", ["data.mono=0.6", "data.directions=0.6"])


def test_a_sample_is_mixed_or_says_only_from_where_and_never_both(export_copy: Path) -> None:
    """Both shares are of all samples, so halves of both leave none as it was."""
    write_sides(export_copy)
    for number in range(20):
        rows_NP5M = heard(export_copy, "stereo", mono=0.5, directions=0.5, number=number).reshape(3, 1, 5, 64)
        assert bool(rows_NP5M[:, :, :2].any()) != bool(rows_NP5M[:, :, 2:].any())


@pytest.mark.parametrize("kind", ["logmel", "stereo"])
def test_of_a_video_the_sides_are_heard(kind: AudioKind, tmp_path: Path) -> None:
    """A tone on the left alone: a model that hears from where is given it so, another one the mix."""
    ffmpeg(
        tmp_path, "-f", "lavfi", "-i", "testsrc=size=96x64:rate=8:duration=3",
        "-f", "lavfi", "-i", "aevalsrc=0.4*sin(2764*t)|0.01*sin(2000*t):s=48000:d=3", "-shortest", "a.mp4",
    )  # fmt: skip
    audio = AudioFeatures(kind)
    make_video_dataset(tmp_path / "a.mp4", tmp_path / "d", "test", categories={1: "a"}, audio=audio, vggish=None)
    path = tmp_path / "d" / "test" / "WAVAudios" / "a.wav"
    assert soundfile.info(path).channels == (2 if kind == "stereo" else 1)
    heard = audio.read(path, [0, 1], TIMES)
    if kind == "stereo":
        assert heard[:, 128:192].max() > 1.0, "louder on the left"


def test_silence_is_what_a_silent_file_gives(tmp_path: Path) -> None:
    reader, silent = StereoSummaries(), np.zeros((2 * RATE, 2), dtype=np.float32)
    np.testing.assert_allclose(read(tmp_path / "a.wav", silent, reader)[0], reader.silence, atol=1e-5)


def test_a_second_in_parts_says_where_each_is_heard(tmp_path: Path) -> None:
    """The first half of the second comes from the left, the other from the right; as a whole it comes from nowhere."""
    whole, parts = StereoSummaries(), StereoSummaries(parts=4)
    sound_N2 = np.zeros((2 * RATE, 2), dtype=np.float32)
    sound_N2[: RATE // 2, 0], sound_N2[RATE // 2 : RATE, 1] = noise(0.5), noise(0.5, seed=1)
    found = read(tmp_path / "a.wav", sound_N2, parts)[0].reshape(4, 320)
    level_P = found[:, 128:192].mean(axis=1)
    assert level_P[0] > 1.5 and level_P[1] > 1.0 and level_P[3] < -1.5
    assert abs(read(tmp_path / "b.wav", sound_N2, whole)[0][128:192].mean()) < 0.1
    np.testing.assert_allclose(found[:, :64].mean(axis=0), read(tmp_path / "c.wav", sound_N2, whole)[0][:64], atol=1e-5)
    np.testing.assert_allclose(read(tmp_path / "d.wav", 0 * sound_N2, parts)[0], parts.silence, atol=1e-5)
