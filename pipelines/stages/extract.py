"""The stage `extract`: one decode of a clip's span gives its stills, its sound, and the times of both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from avis_data.errors import ItemError, Reason
from avis_data.io import write_json
from avis_data.ledger import Ledger
from avis_data.media.claims import check_claim
from avis_data.media.clock import num_frames, seconds_of_sound
from avis_data.paths import STEREO_WAV
from avis_data.pipelines.engine.spec import Candidates, Current, StageSpec
from avis_data.pipelines.engine.stage import Input, Item, RecordText, Workbench, stage_key
from avis_data.recipe import ExtractOptions, Recipe
from avis_data.records import Fps, FrameAt, Record, SoundState, Span, VideoStream

if TYPE_CHECKING:
    from avis_data.media.decode import StillOptions
    from avis_data.media.sound import Sound
    from avis_data.media.times import FoundSpan

__all__ = ["SPEC", "ClipFacts", "ExtractFacts", "ExtractRequest", "ExtractStage", "extract_items", "found_span"]

END_TOLERANCE_S = 0.5
"""An asked end so little after the end of the video is taken as its end: lists round to whole seconds."""


class ExtractRequest(Record):
    """Which span of which measured file."""

    span: Span
    media: VideoStream


class ClipFacts(Record):
    """What was measured of a clip's stills and sound, wherever they came from."""

    start_s: float
    num_seconds: int = Field(gt=0)
    fps: Fps
    num_frames: int = Field(gt=0)
    width: int
    height: int
    frame_at: FrameAt | None = Field(description="Which instant of its period a still shows; null: not known.")
    sound: SoundState
    padded_samples: int = 0
    stereo_db: float | None = Field(
        default=None,
        description="How loud the difference of the two channels that are kept is beside their sum; null: none are.",
    )


class ExtractFacts(ClipFacts):
    """What was found out about an extracted clip."""

    missing_pictures: int = 0
    concealed_pictures: int = 0
    sound_index: int | None = None
    """Which stream of the source the sound is; None where there is none."""


class ExtractStage:
    """Take stills, sound and their times out of a source video, without re-encoding anything in between."""

    name = "extract"
    version = 1
    params: ExtractOptions

    def __init__(self, params: ExtractOptions, *, threads: int = 1) -> None:
        self.params = params
        self._threads = threads

    def run(self, bench: Workbench) -> ExtractFacts:
        """Write `frames/%05d.jpg`, `audio.wav` (`num_seconds`), `times.json`, and `audio_stereo.wav` where it is kept.

        Raises:
            ItemError: `span_outside_video`, `duration_mismatch`, `corrupt_media`, `no_audio`, `audio_short`,
                `bad_media`, and as `run_ffmpeg`.
        """
        request = bench.record
        if not isinstance(request, ExtractRequest):
            raise TypeError(f"extract takes an ExtractRequest, was given {type(request).__name__}")
        return self._extract(request, bench.inputs["source"], bench.out)

    def timeout_s(self, record: Record) -> float:
        """Generous: two minutes, and ten times the length of what is read."""
        if not isinstance(record, ExtractRequest):
            raise TypeError(f"extract takes an ExtractRequest, was given {type(record).__name__}")
        return 120.0 + 10.0 * record.media.duration_s

    def prepare(self) -> None:
        """Import what decodes."""
        import avis_data.media.damage
        import avis_data.media.times  # noqa: F401

    def _extract(self, request: ExtractRequest, source: Path, out: Path) -> ExtractFacts:
        from avis_data.media.damage import check_damage, measure_damage
        from avis_data.media.decode import FRAMES, SOUND, STEREO, RunLimits, StillOptions, decode_span
        from avis_data.media.ffmpeg import find_ffmpeg
        from avis_data.media.sound import with_chosen_sound
        from avis_data.media.span import read_span
        from avis_data.media.stereo import write_stereo
        from avis_data.media.times import clip_times

        found = found_span(request.span, request.media)
        options = StillOptions(
            num_frames=num_frames(found.duration_s, fps=self.params.fps),
            fps=self.params.fps,
            frame_at=self.params.frame_at,
            jpeg_quality=self.params.jpeg_quality,
            square=self.params.pixels == "square",
            stereo=self.params.stereo,
        )
        media = with_chosen_sound(request.media, self.params.sound_track, name=source.name)
        span = read_span(source, media, start_s=found.start_s, end_s=found.start_s + found.duration_s)
        if not span.picture_pts:
            message = f"{source.name}: no picture is shown in the {found.duration_s:.2f} s after {found.start_s:.2f} s"
            raise ItemError(message, reason=Reason.SPAN_OUTSIDE_VIDEO)
        limits = RunLimits(timeout_s=self.timeout_s(request), threads=self._threads)
        program = find_ffmpeg()
        with tempfile.TemporaryDirectory(dir=out) as scratch:
            folder = Path(scratch)
            decoded = decode_span(source, media, span, options, program=program, folder=folder, limits=limits)
            damage = measure_damage(span, decoded)
            if self.params.corrupt_media == "fail":
                check_damage(damage, span, name=source.name)
            sound = self._sound(folder / SOUND, out / "audio.wav", options, found, source.name)
            num_seconds = seconds_of_sound(options.num_frames, fps=options.fps)
            stereo_db = write_stereo(folder / STEREO, out / STEREO_WAV, num_seconds=num_seconds, mono=folder / SOUND)
            _keep_stills(folder / FRAMES, out / FRAMES, options, source.name)
        times = clip_times(
            request.span,
            media,
            found=found,
            options=options,
            span=span,
            decoded=decoded,
            sound=sound,
            program=program,
        )
        write_json(out / "times.json", times.model_dump(mode="json"))
        width, height = _size(out / FRAMES / "00000.jpg")
        return ExtractFacts(
            start_s=found.start_s,
            num_seconds=times.num_seconds,
            fps=times.fps,
            num_frames=times.num_frames,
            width=width,
            height=height,
            frame_at=options.frame_at,
            sound=sound.state,
            padded_samples=sound.padded_samples,
            stereo_db=stereo_db,
            missing_pictures=damage.missing_pictures,
            concealed_pictures=damage.concealed_pictures,
            sound_index=media.sound.index if media.sound else None,
        )

    def _sound(self, raw: Path, wav: Path, options: StillOptions, found: FoundSpan, name: str) -> Sound:
        from avis_data.media.sound import check_sound, write_wav

        num_seconds = seconds_of_sound(options.num_frames, fps=options.fps)
        # At one still a second each second is heard on its own, so the sound is to reach into the last one too.
        picture_s = None if options.fps == 1 else found.duration_s
        sound = write_wav(raw, wav, num_seconds=num_seconds, picture_s=picture_s)
        if self.params.missing_sound == "fail":
            check_sound(sound, name=name, num_seconds=num_seconds)
        return sound


def found_span(span: Span, media: VideoStream) -> FoundSpan:
    """What there really is of an asked span.

    Raises:
        ItemError: `duration_mismatch` if the span has no end and the file promises clearly more than it holds (with
            an end, the user said how much to take); `span_outside_video` with the numbers.
    """
    from avis_data.media.times import FoundSpan

    if span.end_s is None:
        check_claim(media, name=span.video_id)
    end_s = media.duration_s if span.end_s is None else span.end_s
    asked = f"{span.clip_id} asks for {span.start_s:.2f} s to {end_s:.2f} s"
    if span.start_s >= end_s:
        raise ItemError(f"{asked}: the start must come before the end", reason=Reason.SPAN_OUTSIDE_VIDEO)
    if end_s > media.duration_s + END_TOLERANCE_S or span.start_s >= media.duration_s:
        raise ItemError(
            f"{asked}, but {span.video_id} has pictures to {media.duration_s:.2f} s only; correct the list",
            reason=Reason.SPAN_OUTSIDE_VIDEO,
        )
    return FoundSpan(start_s=span.start_s, duration_s=min(end_s, media.duration_s) - span.start_s)


def _keep_stills(made: Path, kept: Path, options: StillOptions, name: str) -> None:
    stills = sorted(made.iterdir())
    if [still.name for still in stills] != [f"{number:05d}.jpg" for number in range(options.num_frames)]:
        raise ItemError(
            f"{name}: {len(stills)} stills came out instead of {options.num_frames}; the pictures cannot be decoded",
            reason=Reason.BAD_MEDIA,
        )
    made.rename(kept)


def _size(still: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(still) as picture:
        return picture.size


def extract_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip whose source video is there."""
    found = Candidates()
    found.items = _items(ledger, found)
    return found


def _items(ledger: Ledger, found: Candidates) -> Iterator[Item]:
    for clip_id, span, source in ledger.wanted_sources("fetch"):
        if source is None or source.facts == "null":
            found.num_waiting += 1
            continue
        record = RecordText(ExtractRequest, f'{{"span":{span},"media":{source.facts}}}')
        inputs = {"source": Input.of(source.only_output("fetch"))}
        yield Item(item_id=clip_id, record=record, inputs=inputs, home=f"clips/{clip_id}")


def _up_to_date(ledger: Ledger, recipe: Recipe) -> Current:
    """Wanted clips whose stills and sound are those that the recipe takes from their source."""
    stage_hash = stage_key(ExtractStage(recipe.extract))
    texts = ledger.key_texts.of_sources(ExtractStage.name, "fetch")
    return Current(parts=((texts, lambda: extract_items(ledger).items),), stage_hash=lambda _: stage_hash)


SPEC = StageSpec(
    name=ExtractStage.name,
    summary="Take stills and sound out of the source videos.",
    make=lambda recipe, _: ExtractStage(recipe.extract),
    facts=ExtractFacts,
    items=lambda setting: extract_items(setting.ledger),
    covers=("clip",),
    after=("fetch",),
    usual=True,
    up_to_date=_up_to_date,
)
