"""The stage `preview`: a small playable copy of a clip for annotators and reports, on the clip's own clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from avis_data.errors import ItemError, Reason
from avis_data.ledger import Ledger, Made, damaged
from avis_data.pipelines.engine.spec import Candidates, StageSpec, made_as_now
from avis_data.pipelines.engine.stage import Input, Item, Workbench
from avis_data.recipe import PreviewOptions, Recipe
from avis_data.records import Record, SafeId, VideoStream

if TYPE_CHECKING:
    from avis_data.media.span import SpanPackets

__all__ = ["SPEC", "PreviewFacts", "PreviewRequest", "PreviewStage", "preview_items"]

_FILE = "preview.mp4"
_SOUND_RATE_HZ = 48000
_LOWEST_FPS, _HIGHEST_FPS = 10.0, 30.0
"""A slide show is given more pictures, so that a player can stop anywhere; 60 Hz is halved."""


class PreviewRequest(Record):
    """Which span of which measured file; what `extract` found."""

    clip_id: SafeId
    start_s: float = Field(ge=0)
    num_seconds: int = Field(gt=0)
    width: int = Field(gt=0, description="Of the stills: the preview has their shape.")
    height: int = Field(gt=0)
    media: VideoStream


class PreviewFacts(Record):
    """What was found out about a preview."""

    has_sound: bool
    size_bytes: int


class PreviewStage:
    """Encode the span of a clip as H.264 and AAC that browsers play: time 0 is the clip's start, T seconds long."""

    name = "preview"
    version = 1
    params: PreviewOptions

    def __init__(self, params: PreviewOptions, *, threads: int = 1) -> None:
        self.params = params
        self._threads = threads

    def prepare(self) -> None:
        """Import what reads and encodes."""
        import avis_data.media.filters  # noqa: F401

    def run(self, bench: Workbench) -> PreviewFacts:
        """Write `preview.mp4`.

        Raises:
            ItemError: `span_outside_video`, `bad_media`, and as `run_ffmpeg`.
        """
        from avis_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
        from avis_data.media.span import read_span

        request = _request(bench.record)
        source = bench.inputs["source"]
        end_s = request.start_s + request.num_seconds
        span = read_span(source, request.media, start_s=request.start_s, end_s=end_s)
        if not span.picture_pts:
            message = f"{source.name}: no picture is shown in the {request.num_seconds} s after {request.start_s:.2f} s"
            raise ItemError(message, reason=Reason.SPAN_OUTSIDE_VIDEO)
        command = self._output(source, request, span).compile(cmd=find_ffmpeg().program)
        run_ffmpeg(command, cwd=bench.out, timeout_s=self.timeout_s(request), source=source.name)
        return PreviewFacts(has_sound=span.num_sound > 0, size_bytes=(bench.out / _FILE).stat().st_size)

    def timeout_s(self, record: Record) -> float:
        """Generous: two minutes, and twenty times the length of the clip with what must be read before it."""
        return 120.0 + 20.0 * _request(record).num_seconds + 10.0 * _request(record).media.duration_s

    def _output(self, source: Path, request: PreviewRequest, span: SpanPackets) -> Any:
        import ffmpeg

        from avis_data.media.filters import source_input

        pictures = source_input(source, span.picture_seek_s, threads=self._threads)
        streams = [pictures[str(request.media.video_index)]]
        options: dict[str, Any] = {"vf": self._picture_filters(request, span), "fps_mode": "passthrough"}
        sound = request.media.sound
        if span.num_sound and sound is not None:
            heard = source_input(source, span.sound_seek_s, threads=1)[str(sound.index)]
            streams.append(_heard(heard, request, span))
            options |= {"ac": min(sound.channels or 2, 2)}
            options |= {"c:a": "aac", "b:a": "96k"}
        return ffmpeg.output(
            *streams,
            _FILE,
            f="mp4",
            movflags="+faststart",
            map_metadata=-1,
            fflags="+bitexact",
            preset="veryfast",
            crf=self.params.crf,
            pix_fmt="yuv420p",
            threads=self._threads,
            **{"c:v": "libx264", "flags:v": "+bitexact", "flags:a": "+bitexact"},
            **options,
        )

    def _picture_filters(self, request: PreviewRequest, span: SpanPackets) -> str:
        from avis_data.media.filters import picture_filters

        fps = Fraction(min(max(request.media.fps, _LOWEST_FPS), _HIGHEST_FPS)).limit_denominator(1001)
        height = min(self.params.max_height_px, request.height)
        width = round(request.width * height / request.height / 2) * 2
        return ",".join(
            [
                *picture_filters(request.media, span),
                f"fps=fps={fps}:start_time=0:round=up",
                "tpad=stop_mode=clone:stop=-1",
                f"trim=end={request.num_seconds}",
                f"scale={max(width, 2)}:{height // 2 * 2},setsar=1",
            ]
        )


def _heard(heard: Any, request: PreviewRequest, span: SpanPackets) -> Any:
    from avis_data.media.filters import sound_on_clip_clock

    length = request.num_seconds * _SOUND_RATE_HZ
    clock = sound_on_clip_clock(heard, request.media, span, rate_hz=_SOUND_RATE_HZ)
    return clock.filter("apad", whole_len=length).filter("atrim", end_sample=length)


def _request(record: Record) -> PreviewRequest:
    if not isinstance(record, PreviewRequest):
        raise TypeError(f"preview takes a PreviewRequest, was given {type(record).__name__}")
    return record


_OF_FACTS = ("start_s", "num_seconds", "width", "height", "sound_index")


def preview_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip that was extracted: only then its exact span is known."""
    found = Candidates()
    found.items = _items(ledger, found)
    return found


def _items(ledger: Ledger, found: Candidates) -> Iterator[Item]:
    rows = zip(ledger.wanted_sources("fetch"), ledger.wanted_made("extract", *_OF_FACTS), strict=True)
    for (clip_id, _, source), (_, made) in rows:
        if source is None or source.facts == "null" or made is None:
            found.num_waiting += 1
            continue
        yield Item(
            item_id=clip_id,
            record=_request_of(clip_id, source, made),
            inputs={"source": Input.of(source.only_output("fetch"))},
            home=f"clips/{clip_id}",
        )


def _request_of(clip_id: str, source: Made, made: Made) -> PreviewRequest:
    try:
        start_s, num_seconds, width, height, sound_index = json.loads(made.facts)
        return PreviewRequest(
            clip_id=clip_id,
            start_s=start_s,
            num_seconds=num_seconds,
            width=width,
            height=height,
            media=_media(source.facts, sound_index),
        )
    except (ValueError, TypeError) as error:
        fault = str(error).splitlines()[0]
        raise damaged(made.ledger, f"what extract or fetch found out of {clip_id}: {fault:.200}") from None


@lru_cache(maxsize=64)
def _media(text: str, sound_index: int | None) -> VideoStream:
    """What a source holds, with the sound that was taken; clips of one source mostly follow each other."""
    return VideoStream.model_validate_json(text).with_sound(sound_index)


def _up_to_date(ledger: Ledger, recipe: Recipe) -> Iterator[str]:
    """Wanted clips whose preview is the one that the recipe makes of their source."""
    return made_as_now(ledger, PreviewStage(recipe.preview), preview_items(ledger).items)


SPEC = StageSpec(
    name=PreviewStage.name,
    summary="Make small playable copies of the clips.",
    make=lambda recipe, _: PreviewStage(recipe.preview),
    facts=PreviewFacts,
    items=lambda setting: preview_items(setting.ledger),
    covers=("clip",),
    after=("extract",),
    up_to_date=_up_to_date,
)
