"""The sound of a clip as a WAV file of exactly T seconds, and what there is to hear in it."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.errors import ItemError, Reason
from avis_data.records import SoundState, VideoStream

__all__ = ["SAMPLE_RATE_HZ", "Sound", "check_sound", "with_chosen_sound", "write_wav"]

SAMPLE_RATE_HZ = 16000
_BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ
_BYTES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """What was found of a clip's sound."""

    state: SoundState
    num_samples: int
    """Found in the source, leading silence and filled gaps included."""
    padded_samples: int
    """Zeros appended to make T whole seconds."""


def with_chosen_sound(media: VideoStream, wanted: str | int, *, name: str) -> VideoStream:
    """The video with the sound that a recipe's `extract.sound_track` asks for.

    Raises:
        ItemError: `no_audio` if the number is higher than that of the last sound.
    """
    if isinstance(wanted, int):
        if media.sounds and wanted >= len(media.sounds):
            message = (
                f"{name} has {len(media.sounds)} sound track(s), extract.sound_track in recipe.yaml asks for {wanted}"
            )
            raise ItemError(f"{message} (the first is 0)", reason=Reason.NO_AUDIO)
        return media.with_sound(media.sounds[wanted].index) if media.sounds else media
    spoken = [track for track in (media.sound, *media.other_sounds) if track is not None and track.language == wanted]
    return media.with_sound(spoken[0].index) if spoken else media


def write_wav(raw: Path, wav: Path, *, num_seconds: int, picture_s: float | None = None) -> Sound:
    """Write exactly T seconds of 16 kHz mono 16 bit sound: what `raw` holds, cut or followed by silence.

    Args:
        raw: little-endian 16 bit samples; may be missing, which is a clip without sound.
        wav: the file to write.
        num_seconds: T.
        picture_s: how long the stills go on, to tell sound that is short; None: T.
    """
    wanted = num_seconds * SAMPLE_RATE_HZ
    found, audible = 0, False
    with wave.open(str(wav), "wb") as out:
        out.setparams((1, _BYTES, SAMPLE_RATE_HZ, wanted, "NONE", "not compressed"))
        if raw.exists():
            with raw.open("rb") as file:
                while block := file.read(min(_BLOCK_SAMPLES, wanted - found) * _BYTES):
                    samples = np.frombuffer(block[: len(block) // _BYTES * _BYTES], dtype="<i2")
                    audible = audible or bool(samples.any())
                    out.writeframesraw(samples.tobytes())
                    found += len(samples)
        for begin in range(found, wanted, _BLOCK_SAMPLES):
            out.writeframesraw(bytes(min(_BLOCK_SAMPLES, wanted - begin) * _BYTES))
    covered = wanted if picture_s is None else min(round(picture_s * SAMPLE_RATE_HZ), wanted)
    return Sound(state=_state(found, audible, covered), num_samples=found, padded_samples=wanted - found)


def check_sound(sound: Sound, *, name: str, num_seconds: int) -> None:
    """Refuse a clip without sound, or whose sound ends a second or more before its picture.

    Raises:
        ItemError: `no_audio` or `audio_short`.
    """
    advice = "set extract.missing_sound: pad in recipe.yaml to take silence instead"
    if sound.state is SoundState.NONE:
        raise ItemError(f"{name}: no sound in the span; {advice}", reason=Reason.NO_AUDIO)
    if sound.state is SoundState.SHORT:
        raise ItemError(
            f"{name}: the sound ends at {sound.num_samples / SAMPLE_RATE_HZ:.2f} s of {num_seconds} s; {advice}",
            reason=Reason.AUDIO_SHORT,
        )


def _state(found: int, audible: bool, wanted: int) -> SoundState:
    if found == 0:
        return SoundState.NONE
    if wanted - found >= SAMPLE_RATE_HZ:
        return SoundState.SHORT
    return SoundState.COMPLETE if audible else SoundState.SILENT
