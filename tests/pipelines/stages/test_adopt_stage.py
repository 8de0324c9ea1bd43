"""The stage `adopt` on one video: stills byte for byte, sound as it should be, every fault with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from avis_data.errors import ItemError, Reason
from avis_data.media.stereo import read_stereo
from avis_data.records import Times
from support.adopting import adopt_one, samples_of
from support.ytvis_world import HEIGHT, SECONDS, WIDTH, write_split

RATE = 16_000


@pytest.fixture
def media(tmp_path: Path) -> Path:
    write_split(tmp_path, "train", ["alpha"])
    return tmp_path / "train"


def write_sound(media: Path, samples: np.ndarray, rate_hz: int = RATE, subtype: str = "PCM_16") -> None:
    soundfile.write(media / "WAVAudios" / "alpha.wav", samples, rate_hz, subtype=subtype)


def tone(hz: float, rate_hz: int, seconds: float, *, loud: float = 0.25) -> np.ndarray:
    return loud * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def test_stills_are_the_same_bytes_in_the_order_of_their_numbers(media: Path) -> None:
    folder = media / "JPEGImages" / "alpha"
    rng = np.random.default_rng(1)
    names = [f"{number}.jpg" for number in range(1, 12)]  # 10.jpg comes after 9.jpg, and nothing is called 0.jpg
    (folder / "0.jpg").unlink()
    for name in names:
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    write_sound(media, np.zeros((11 * RATE, 2)) + 0.1)
    adopted = adopt_one(media, "alpha", stills=names)
    for second, name in enumerate(names):
        assert (adopted.folder / "frames" / f"{second:05d}.jpg").read_bytes() == (folder / name).read_bytes()
    assert adopted.facts["num_seconds"] == 11 and adopted.facts["frame_at"] is None
    times = Times.model_validate(adopted.times)
    assert [still.source_file for still in times.stills] == names
    assert {(still.asked_s, still.source_pts, still.source_s) for still in times.stills} == {(None, None, None)}


def test_equal_channels_at_16_khz_keep_every_sample(media: Path) -> None:
    samples = np.random.default_rng(2).integers(-32768, 32768, SECONDS * RATE, dtype=np.int64).astype(np.int16)
    samples[:2] = (-32768, 32767)
    write_sound(media, np.stack([samples, samples], axis=1))
    adopted = adopt_one(media, "alpha")
    np.testing.assert_array_equal(samples_of(adopted.folder / "audio.wav"), samples)
    assert (adopted.facts["sound"], adopted.facts["sound_rate_hz"], adopted.facts["sound_channels"]) == (
        "complete",
        RATE,
        2,
    )


def test_other_channels_are_averaged(media: Path) -> None:
    rng = np.random.default_rng(3)
    channels = rng.integers(-20_000, 20_000, (SECONDS * RATE, 3), dtype=np.int16)
    write_sound(media, channels)
    found = samples_of(adopt_one(media, "alpha").folder / "audio.wav")
    assert np.abs(found - channels.astype(np.float64).mean(axis=1)).max() <= 0.51


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 22_050])
def test_stereo_of_another_rate_is_resampled_in_place(rate_hz: int, media: Path) -> None:
    """A tone in one channel, silence in the other: half of it, at the same instants, wherever the filter is in it."""
    left = tone(440, rate_hz, SECONDS)
    write_sound(media, np.stack([left, np.zeros_like(left)], axis=1), rate_hz)
    adopted = adopt_one(media, "alpha")
    found = samples_of(adopted.folder / "audio.wav")
    assert len(found) == SECONDS * RATE and adopted.facts["padded_samples"] == 0
    expected = 32768 * tone(440, RATE, SECONDS, loud=0.125)
    assert np.abs(found - expected)[400:-400].max() < 2
    both_N2 = read_stereo(adopted.folder / "audio_stereo.wav", num_seconds=SECONDS)
    assert np.abs(both_N2[:, 0] - 2 * expected)[400:-400].max() < 2 and not both_N2[:, 1].any()
    assert adopted.facts["stereo_db"] == 0.0


def test_what_16_khz_cannot_hold_is_taken_out(media: Path) -> None:
    write_sound(media, tone(10_000, 44_100, SECONDS, loud=0.9), 44_100)  # would fold down to 6 kHz
    found = samples_of(adopt_one(media, "alpha").folder / "audio.wav")
    assert np.abs(found[800:-800]).max() <= 1


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "PCM_U8"])
def test_other_codings_are_read(subtype: str, media: Path) -> None:
    write_sound(media, tone(440, RATE, SECONDS), subtype=subtype)
    found = samples_of(adopt_one(media, "alpha").folder / "audio.wav")
    assert np.abs(found - 32768 * tone(440, RATE, SECONDS)).max() < (300 if subtype == "PCM_U8" else 2)


def test_too_loud_floats_are_clipped_not_wrapped(media: Path) -> None:
    write_sound(media, tone(100, RATE, SECONDS, loud=3.0), subtype="FLOAT")
    found = samples_of(adopt_one(media, "alpha").folder / "audio.wav")
    assert (found.min(), found.max()) == (-32768, 32767) and np.abs(np.diff(found.astype(int))).max() < 5000


def test_sound_that_goes_on_is_cut_and_a_late_end_is_filled(media: Path) -> None:
    samples = np.random.default_rng(4).integers(1, 20_000, 5 * RATE, dtype=np.int16)
    write_sound(media, samples)
    np.testing.assert_array_equal(samples_of(adopt_one(media, "alpha").folder / "audio.wav"), samples[: 3 * RATE])
    write_sound(media, samples[: 3 * RATE - 700])
    adopted = adopt_one(media, "alpha")
    found = samples_of(adopted.folder / "audio.wav")
    assert len(found) == 3 * RATE and not found[-700:].any() and found[-701] != 0
    assert (adopted.facts["sound"], adopted.facts["padded_samples"]) == ("complete", 700)
    assert adopted.times["sound_end_s"] == pytest.approx(3 - 700 / RATE)


def test_what_there_is_to_hear_is_a_state(media: Path) -> None:
    write_sound(media, np.zeros((SECONDS * RATE, 2)))
    assert adopt_one(media, "alpha").facts["sound"] == "silent"
    write_sound(media, np.full(RATE, 0.5))
    assert adopt_one(media, "alpha", missing_sound="pad").facts["sound"] == "short"
    (media / "WAVAudios" / "alpha.wav").unlink()
    adopted = adopt_one(media, "alpha", missing_sound="pad")
    assert (adopted.facts["sound"], adopted.facts["sound_rate_hz"]) == ("none", None)
    assert adopted.times["sound_start_s"] is None and len(samples_of(adopted.folder / "audio.wav")) == 3 * RATE


def test_the_same_content_is_the_same_source_whatever_its_name(media: Path) -> None:
    first = adopt_one(media, "alpha").facts["source_sha256"]
    (media / "JPEGImages" / "alpha").rename(media / "JPEGImages" / "beta")
    (media / "WAVAudios" / "alpha.wav").rename(media / "WAVAudios" / "beta.wav")
    assert adopt_one(media, "beta").facts["source_sha256"] == first
    frames = media / "JPEGImages" / "beta"
    (frames / "0.jpg").write_bytes((frames / "1.jpg").read_bytes())
    assert adopt_one(media, "beta").facts["source_sha256"] != first


def no_folder(media: Path) -> None:
    (media / "JPEGImages" / "alpha").rename(media / "JPEGImages" / "elsewhere")


def still_missing(media: Path) -> None:
    (media / "JPEGImages" / "alpha" / "1.jpg").unlink()


def still_too_many(media: Path) -> None:
    frames = media / "JPEGImages" / "alpha"
    (frames / "3.jpg").write_bytes((frames / "2.jpg").read_bytes())


def still_too_large(media: Path) -> None:
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(media / "JPEGImages" / "alpha" / "2.jpg")


def still_torn(media: Path) -> None:
    path = media / "JPEGImages" / "alpha" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-60])


def still_empty(media: Path) -> None:
    (media / "JPEGImages" / "alpha" / "1.jpg").write_bytes(b"")


def still_no_jpeg(media: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(media / "JPEGImages" / "alpha" / "0.jpg", format="PNG")


def sound_missing(media: Path) -> None:
    (media / "WAVAudios" / "alpha.wav").unlink()


def sound_empty(media: Path) -> None:
    write_sound(media, np.zeros((0, 2)))


def sound_short(media: Path) -> None:
    write_sound(media, np.full((2 * RATE, 2), 0.1))


def sound_garbage(media: Path) -> None:
    (media / "WAVAudios" / "alpha.wav").write_bytes(b"RIFF....WAVE and then nothing")


def sound_no_numbers(media: Path) -> None:
    write_sound(media, np.full(SECONDS * RATE, np.nan), subtype="FLOAT")


FAULTS = [
    (no_folder, Reason.SOURCE_MISSING, "no folder JPEGImages/alpha"),
    (still_missing, Reason.SOURCE_MISSING, "1 of 3 stills are missing: 1.jpg"),
    (still_too_many, Reason.DURATION_MISMATCH, "4 files for 3 frames; not in the truth file: 3.jpg"),
    (still_too_large, Reason.BAD_MEDIA, "2.jpg: is 18 x 12, the truth file says 17 x 12"),
    (still_torn, Reason.CORRUPT_MEDIA, "JPEGImages/alpha/1.jpg: does not decode"),
    (still_empty, Reason.NOT_MEDIA, "JPEGImages/alpha/1.jpg: is no JPEG"),
    (still_no_jpeg, Reason.NOT_MEDIA, "JPEGImages/alpha/0.jpg: is no JPEG"),
    (sound_missing, Reason.NO_AUDIO, "no WAVAudios/alpha.wav; set extract.missing_sound: pad"),
    (sound_empty, Reason.NO_AUDIO, "WAVAudios/alpha.wav: no sound"),
    (sound_short, Reason.AUDIO_SHORT, "the sound ends at 2.00 s of 3 s"),
    (sound_garbage, Reason.NOT_MEDIA, "alpha.wav: cannot be read as sound"),
    (sound_no_numbers, Reason.CORRUPT_MEDIA, "no numbers"),
]


@pytest.mark.parametrize(("spoil", "reason", "words"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_every_fault_has_its_reason(spoil: Callable[[Path], None], reason: Reason, words: str, media: Path) -> None:
    spoil(media)
    with pytest.raises(ItemError) as caught:
        adopt_one(media, "alpha")
    assert caught.value.reason is reason and words in caught.value.message


@pytest.mark.parametrize("stills", [["1.jpg", "0.jpg", "2.jpg"], ["0.jpg", "00.jpg", "2.jpg"], ["a.jpg", "1.jpg"]])
def test_names_that_are_no_ascending_numbers_are_refused(stills: list[str], media: Path) -> None:
    frames = media / "JPEGImages" / "alpha"
    data = (frames / "0.jpg").read_bytes()
    for old in list(frames.iterdir()):
        old.unlink()
    for name in stills:
        (frames / name).write_bytes(data)
    with pytest.raises(ItemError, match="no ascending numbers") as caught:
        adopt_one(media, "alpha", stills=stills)
    assert caught.value.reason is Reason.BAD_MEDIA
