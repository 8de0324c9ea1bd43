"""Clips that say what time it is: the picture shows its own number, and a tone that names the second marks each one.

Written with PyAV, packet by packet, so that every time stamp is known; nothing here uses the code under test.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

__all__ = ["BITS", "Clock", "click", "clock_picture", "even_times", "onset_error_s", "shown_number", "write_clocked"]

BITS = 12
_COLUMNS = 4
_DARK, _BRIGHT = 30, 225
_CLICK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What a clocked file holds; times in seconds on the file's own clock."""

    times_s: Sequence[Fraction]
    """When each picture comes on display; the number that it shows is its index."""
    last_s: Fraction = Fraction(1, 25)
    """How long the last picture is on display."""
    size_wh: tuple[int, int] = (128, 96)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "ultrafast", "crf": "12", "bf": "0", "g": "50"})
    time_base: Fraction = Fraction(1, 90000)
    rotation_deg: int = 0
    """Clockwise turn that a player must make; the picture is stored turned the other way."""
    sound_codec: str | None = "aac"
    sound_rate_hz: int = 44100
    sound_layout: str = "mono"
    sound_span_s: tuple[float, float] = (0.0, 10.0)
    """When the sound begins and ends; clicks are at every whole second in it."""
    shift_s: Fraction = Fraction(0)
    """Added to all time stamps in the file."""


def even_times(fps: Fraction | int, duration_s: float) -> list[Fraction]:
    """Pictures at a constant rate from time 0."""
    return [Fraction(index) / Fraction(fps) for index in range(round(float(duration_s * fps)))]


def clock_picture(number: int, size_wh: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3): the number as 3 rows of 4 blocks, bright for 1, most significant bit first."""
    bits = [(number >> (BITS - 1 - bit)) & 1 for bit in range(BITS)]
    blocks = np.where(np.array(bits).reshape(-1, _COLUMNS), _BRIGHT, _DARK).astype(np.uint8)
    width, height = size_wh
    rows = np.arange(height) * blocks.shape[0] // height
    columns = np.arange(width) * _COLUMNS // width
    return np.repeat(blocks[rows][:, columns][..., None], 3, axis=2)


def shown_number(still: Path) -> int:
    """The number that a still shows."""
    with Image.open(still) as image:
        picture = np.asarray(image.convert("L"), dtype=float)
    height, width = picture.shape
    rows = BITS // _COLUMNS
    number = 0
    for row in range(rows):
        for column in range(_COLUMNS):
            y, x = round((row + 0.5) * height / rows), round((column + 0.5) * width / _COLUMNS)
            level = picture[y - 3 : y + 3, x - 3 : x + 3].mean()
            assert abs(level - 128) > 50, f"{still}: block {row},{column} is neither dark nor bright ({level:.0f})"
            number = number * 2 + int(level > 128)
    return number


def click(second: int, rate_hz: int) -> np.ndarray:
    """float (n,): the sound that marks one second: a decaying tone whose pitch names it (modulo 8)."""
    time = np.arange(round(_CLICK_S * rate_hz)) / rate_hz
    return 0.7 * np.exp(-time * 60) * np.sin(2 * np.pi * (500 + 250 * (second % 8)) * time)


def onset_error_s(wav: Path, *, second: int, at_s: float) -> float:
    """How far from `at_s` the click of a second really is in a WAV file (s; positive: late); by cross-correlation."""
    with wave.open(str(wav)) as file:
        rate_hz = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    fine = 2
    template = click(second, rate_hz * fine)
    reach = round(0.2 * rate_hz)
    middle = round(at_s * rate_hz)
    padded = np.pad(samples, reach + len(template))
    window = padded[middle + len(template) : middle + 2 * reach + 2 * len(template)]
    window = np.interp(np.arange(len(window) * fine) / fine, np.arange(len(window)), window)
    score = np.correlate(window, template, mode="valid")
    return float(np.argmax(score) / (rate_hz * fine) - reach / rate_hz + (middle / rate_hz - at_s))


def write_clocked(path: Path, clock: Clock) -> Path:
    """Write the file; the container is chosen by the suffix."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(clock.codec, rate=25, options=clock.options)
        video.width, video.height = _stored_size(clock)
        video.pix_fmt = clock.pixel_format
        video.time_base = video.codec_context.time_base = clock.time_base
        if clock.rotation_deg:
            video.set_display_rotation(-clock.rotation_deg)
        sound = None
        if clock.sound_codec is not None:
            sound = container.add_stream(clock.sound_codec, rate=clock.sound_rate_hz, layout=clock.sound_layout)
        packets = [*_pictures(video, clock), *(_sounds(sound, clock) if sound is not None else [])]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _stored_size(clock: Clock) -> tuple[int, int]:
    width, height = clock.size_wh
    return (height, width) if clock.rotation_deg in (90, 270) else (width, height)


def _pictures(video: av.VideoStream, clock: Clock) -> list[av.Packet]:
    packets = []
    stamps = [round((time + clock.shift_s) / clock.time_base) for time in clock.times_s]
    ends = [*stamps[1:], stamps[-1] + round(clock.last_s / clock.time_base)]
    durations = {stamp: end - stamp for stamp, end in zip(stamps, ends, strict=True)}
    for number, stamp in enumerate(stamps):
        picture = np.rot90(clock_picture(number, clock.size_wh), clock.rotation_deg // 90)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(format=clock.pixel_format)
        frame.pts, frame.time_base = stamp, clock.time_base
        packets += video.encode(frame)
    packets += video.encode(None)
    for packet in packets:
        packet.duration = durations.get(packet.pts, 0)
    return packets


def _sounds(sound: av.AudioStream, clock: Clock) -> list[av.Packet]:
    rate_hz, (begin_s, end_s) = clock.sound_rate_hz, clock.sound_span_s
    samples = np.zeros(round((end_s - begin_s) * rate_hz))
    for second in range(int(np.ceil(begin_s)), int(np.ceil(end_s))):
        place = round((second - begin_s) * rate_hz)
        mark = click(second, rate_hz)[: len(samples) - place]
        samples[place : place + len(mark)] += mark
    channels = len(av.AudioLayout(clock.sound_layout).channels)
    planes = np.repeat(samples[None].astype(np.float32), channels, axis=0)
    resampler = av.AudioResampler(format=sound.format, layout=clock.sound_layout, rate=rate_hz, frame_size=None)
    packets = []
    first = round((begin_s + clock.shift_s) * rate_hz)
    block = sound.codec_context.frame_size or 1024
    for place in range(0, len(samples), block):
        part = np.ascontiguousarray(planes[:, place : place + block])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=clock.sound_layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, first + place, Fraction(1, rate_hz)
        for converted in resampler.resample(frame):
            packets += sound.encode(converted)
    return packets + sound.encode(None)
