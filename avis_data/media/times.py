"""How the stills and the samples of a clip lie on the clock of its source."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from avis_data.media.clock import frame_instants, on_display, seconds, seconds_of_sound
from avis_data.media.decode import Decoded, StillOptions
from avis_data.media.ffmpeg import Ffmpeg
from avis_data.media.sound import SAMPLE_RATE_HZ, Sound
from avis_data.media.span import SpanPackets
from avis_data.records import Span, StillTime, Times, VideoStream

__all__ = ["FoundSpan", "clip_times"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSpan:
    """What there really is of an asked span, in seconds after the container start."""

    start_s: float
    duration_s: float


def clip_times(
    asked: Span,
    media: VideoStream,
    *,
    found: FoundSpan,
    options: StillOptions,
    span: SpanPackets,
    decoded: Decoded,
    sound: Sound,
    program: Ffmpeg,
) -> Times:
    """The content of `times.json`; which picture each still is, is worked out from what was really decoded."""
    first_sound_s = None if media.sound is None else max(0.0, media.sound.start_s - found.start_s)
    return Times(
        clip_id=asked.clip_id,
        video_id=asked.video_id,
        asked_start_s=asked.start_s,
        asked_end_s=asked.end_s,
        found_start_s=found.start_s,
        found_duration_s=found.duration_s,
        num_seconds=seconds_of_sound(options.num_frames, fps=options.fps),
        fps=options.fps,
        num_frames=options.num_frames,
        frame_at=options.frame_at,
        time_base=str(span.time_base),
        picture_form=media.form,
        changes_form=decoded.log.changes_form,
        stills=_still_times(options, span, decoded, origin=seconds(media.start_s)),
        sound=sound.state,
        sound_track=media.sound,
        num_sound_tracks=len(media.other_sounds) + (media.sound is not None),
        sound_start_s=first_sound_s if sound.num_samples else None,
        sound_end_s=sound.num_samples / SAMPLE_RATE_HZ if sound.num_samples else None,
        padded_samples=sound.padded_samples,
        decoder=f"ffmpeg {program.version}",
    )


def _still_times(options: StillOptions, span: SpanPackets, decoded: Decoded, *, origin: Fraction) -> list[StillTime]:
    chosen = on_display(
        decoded.picture_pts,
        start=span.start,
        time_base=span.time_base,
        num_frames=options.num_frames,
        frame_at=options.frame_at,
        fps=options.fps,
    )
    instants = frame_instants(options.num_frames, fps=options.fps, frame_at=options.frame_at)
    return [
        StillTime(
            frame=number,
            asked_s=float(instant),
            source_pts=decoded.picture_pts[index],
            source_s=float(decoded.picture_pts[index] * span.time_base - origin),
        )
        for number, (instant, index) in enumerate(zip(instants, chosen, strict=True))
    ]
