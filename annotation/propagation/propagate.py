"""The stage `propagate`: the drawn masks of a clip are carried to all its stills, and become its pre-labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import Field

from avis_data.annotation.labels.first_labels import flags_note
from avis_data.annotation.labels.made_masks import MadeMask, made_lines, made_path
from avis_data.annotation.labels.records import LabelledMask, LabelledTrack, MaskOrigin, PreLabels
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import prelabels_path, read_round
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.propagation.carrier import Carrier
from avis_data.annotation.propagation.engines import FoundEngine, find_engine, load_carrier
from avis_data.annotation.propagation.footage import pictures_per_second
from avis_data.annotation.propagation.start import Start, start_of
from avis_data.errors import AvisError, DataError, ItemError, Reason, ToolError
from avis_data.extras import need_extra
from avis_data.ledger import Ledger, Output
from avis_data.masks.rle import Rle
from avis_data.paths import Workspace
from avis_data.pipelines.engine.spec import Candidates, Choices, Setting, StageSpec
from avis_data.pipelines.engine.stage import Input, Item, Workbench
from avis_data.pipelines.stages.fetch import fetched_videos
from avis_data.recipe import Recipe
from avis_data.records import Clip, Fps, FrameAt, Record, SafeId, Sha256, Video, VideoStream

__all__ = ["SPEC", "PropagateChoices", "PropagateFacts", "PropagateParams", "PropagateRequest", "PropagateStage"]

_MADE = "made.jsonl"


@dataclass(frozen=True, kw_only=True)
class PropagateChoices:
    """What a person asks for."""

    clip_ids: Sequence[str] | None = None
    """None: all."""
    round_name: str | None = None
    """From whose labels; None: pre-labels, else imported truth."""
    engine: str = "optical-flow"
    weights: Path | None = None
    """Of the engine; None: the registered ones."""
    video_fps: int = 6
    """Pictures per second of the source to look at, at most; 1: the stills only."""

    @cached_property
    def found(self) -> FoundEngine:
        """The engine, looked for once. Raises as `find_engine`."""
        return find_engine(self.engine, self.weights)


class PropagateParams(Record):
    """What carried masks depend on besides what is drawn, and the pictures."""

    engine: str
    engine_version: int
    weights_sha256: Sha256 | None


class PropagateRequest(Record):
    """What is drawn of one clip, and how its stills lie in its source."""

    clip_id: SafeId
    fps: Fps
    num_frames: int = Field(gt=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    start_s: float
    frame_at: FrameAt | None
    video_fps: int = Field(ge=1, description="Pictures per second that are looked at; 1: the stills only.")
    media: VideoStream | None = Field(description="Of the source; null: the stills only.")
    tracks: tuple[LabelledTrack, ...] = Field(description="Without carried masks; some may have no mask at all.")
    source: str = Field(exclude=True, description="Where they are from, to be told: the same masks give the same.")
    drawn_on: Sha256 | None = Field(description="Hash of the stills that they were drawn on; null: not known.")

    @property
    def start(self) -> Start:
        """What is drawn."""
        return Start(tracks=self.tracks, source=self.source, frames_sha256=self.drawn_on)


class PropagateFacts(Record):
    """What became of one clip."""

    source: str
    engine: str
    weights_sha256: Sha256 | None
    video_fps: int
    num_drawn: int
    num_carried: int
    num_flags: int
    note: str = Field(description="The stills to look at, in words; empty if there are none.")


class PropagateStage:
    """Carry masks by an engine, which each worker loads once."""

    name = "propagate"
    version = 1

    def __init__(self, params: PropagateParams, found: FoundEngine) -> None:
        """`found` is the engine that `params` tell of."""
        self.params = params
        self._found = found
        self._carrier: Carrier | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_carrier": None}  # each worker loads its own

    def timeout_s(self, record: Record) -> float:
        """Ten minutes, and half a minute for each object on each picture: more than it takes without a GPU."""
        assert isinstance(record, PropagateRequest)
        return 600.0 + 30.0 * record.num_frames * record.video_fps * len(record.tracks)

    def prepare(self) -> None:
        """Load the engine."""
        self._loaded()

    def run(self, bench: Workbench) -> PropagateFacts:
        """Write `<clip_id>.json`, the pre-labels, and the lines of the masks that were made.

        Raises:
            ItemError: `torn_input` if a still cannot be read; what decoding the source gives.
            ToolError: if the weights of the engine cannot be loaded.
        """
        need_extra("annotate", "cv2", what="propagate")
        from avis_data.annotation.propagation.carry import carry
        from avis_data.annotation.propagation.flags import flags_of
        from avis_data.annotation.propagation.footage import Footage

        request, carrier = bench.record, self._loaded()
        assert isinstance(request, PropagateRequest)
        drawn = request.start.drawn
        source = bench.inputs.get("source")
        footage = Footage(bench.inputs["frames"], request, source, request.media, fps=request.video_fps)
        carried = carry(carrier, footage, drawn, num_frames=request.num_frames)
        arrived = {
            identity: {frame: (arrival.rle, arrival.confidence) for frame, arrival in arrivals.items()}
            for identity, arrivals in carried.arrivals.items()
        }
        labels = PreLabels(
            clip_id=request.clip_id,
            fps=request.fps,
            num_frames=request.num_frames,
            height=request.height,
            width=request.width,
            tracks=tuple(self._track(track, arrived.get(track.identity, {}), request) for track in request.tracks),
            flags=flags_of(carried, drawn),
            source=f"propagate: {carrier.name}, from {request.source}",
            frames_sha256=request.drawn_on,
        )
        (bench.out / f"{request.clip_id}.json").write_text(labels.model_dump_json() + "\n", encoding="utf-8")
        (bench.out / _MADE).write_text(made_lines(_made(labels)), encoding="utf-8")
        num_drawn = sum(map(len, drawn.values()))
        return PropagateFacts(
            source=request.source,
            engine=carrier.name,
            weights_sha256=carrier.weights_sha256,
            video_fps=footage.fps,
            num_drawn=num_drawn,
            num_carried=sum(len(track.masks) for track in labels.tracks) - num_drawn,
            num_flags=len(labels.flags),
            note=flags_note(labels.flags),
        )

    def _loaded(self) -> Carrier:
        if self._carrier is None:
            try:
                self._carrier = load_carrier(self._found)
            except AvisError as error:
                raise ToolError(f"the engine {self.params.engine} cannot be loaded: {error}") from None
        return self._carrier

    def _track(
        self, track: LabelledTrack, arrived: dict[int, tuple[Rle | None, float]], request: PropagateRequest
    ) -> LabelledTrack:
        new = (
            LabelledMask(
                frame=frame,
                height=rle.height,
                width=rle.width,
                counts=rle.counts,
                origin=MaskOrigin.PROPAGATED,
                engine=self.params.engine,
                weights_sha256=self.params.weights_sha256,
                confidence=round(confidence, 4),
            )
            for frame, (rle, confidence) in arrived.items()
            if rle is not None
        )
        return _with_masks(track, chain(track.masks, new), request.num_frames)


def _with_masks(track: LabelledTrack, masks: Iterable[LabelledMask], num_frames: int) -> LabelledTrack:
    """The track with these masks, and with the states that follow from them."""
    ordered = tuple(sorted(masks, key=lambda mask: mask.frame))
    seen = {mask.frame for mask in ordered}
    return track.model_copy(update={"masks": ordered, "states": states(track.intervals, seen, num_frames)})


def _made(labels: PreLabels) -> Iterator[MadeMask]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for track in labels.tracks:
        for mask in track.masks:
            if mask.origin is MaskOrigin.PROPAGATED and mask.engine is not None:
                yield MadeMask.of(
                    mask.rle,
                    identity=track.identity,
                    frame=mask.frame,
                    origin=mask.origin,
                    engine=mask.engine,
                    weights_sha256=mask.weights_sha256,
                    confidence=mask.confidence,
                    at=now,
                )


def _params(choices: PropagateChoices) -> PropagateParams:
    found = choices.found
    return PropagateParams(engine=found.name, engine_version=found.version, weights_sha256=found.weights_sha256)


def _stage(recipe: Recipe, choices: Choices) -> PropagateStage:
    chosen = choices.of(PropagateChoices)
    return PropagateStage(_params(chosen), chosen.found)


def _items(setting: Setting) -> Candidates:
    """One item per clip of the manifest of which something is drawn.

    Raises:
        ConfigError: if a clip that is asked for is not in the manifest, or there is none.
        DataError: if there is no such round.
    """
    workspace, ledger, chosen = setting.workspace, setting.ledger, setting.choices.of(PropagateChoices)
    labels = WorkspaceLabels(workspace)
    clips = labels.chosen_clips(chosen.clip_ids)
    if chosen.round_name is not None:
        read_round(workspace, chosen.round_name)
    found, items, stills = Candidates(), [], _stills(ledger)
    videos, files = fetched_videos(ledger), ledger.only_output("fetch")
    for clip_id, clip in clips.items():
        try:
            start = start_of(labels, clip, chosen.round_name)
        except (ItemError, DataError) as error:
            damaged = ItemError(str(error), reason=Reason.TORN_INPUT)
            found.unreadable[clip_id] = error if isinstance(error, ItemError) else damaged
            continue
        if start is None:
            found.nothing_to_do[clip_id] = "nothing drawn"
        elif clip_id not in stills:
            found.num_waiting += 1
        else:
            inputs = {"frames": Input.of(stills[clip_id])}
            video = videos.get(clip.video_id)
            source = None if video is None else files.get(clip.video_id)
            if source is not None and (source.key or (workspace.root / source.path).is_file()):
                inputs["source"] = Input.of(source)
            items.append(_item(workspace, clip, start, video, inputs, chosen))
    found.items = items
    return found


def _item(
    workspace: Workspace,
    clip: Clip,
    start: Start,
    video: Video | None,
    inputs: dict[str, Input],
    chosen: PropagateChoices,
) -> Item:
    media = video.media if video is not None and "source" in inputs else None
    video_fps = pictures_per_second(media, chosen.video_fps)
    if video_fps == 1:  # the source is not looked at, so nothing depends on it
        media = None
        inputs.pop("source", None)
    request = PropagateRequest(
        clip_id=clip.clip_id,
        fps=clip.fps,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        start_s=clip.start_s,
        frame_at=clip.frame_at,
        video_fps=video_fps,
        media=media,
        tracks=tuple(_with_masks(track, track.masks, clip.num_frames) for track in start.tracks),
        source=start.source,
        drawn_on=start.frames_sha256,
    )
    return Item(
        item_id=clip.clip_id,
        record=request,
        inputs=inputs,
        home=workspace.relative(prelabels_path(workspace, clip.clip_id).parent),
        logs={_MADE: workspace.relative(made_path(workspace, clip.clip_id))},
    )


def _stills(ledger: Ledger) -> dict[str, Output]:
    """The folder of stills of every clip that there is."""
    outputs = ledger.outputs("extract") | ledger.outputs("adopt")
    return {clip_id: output for clip_id, left in outputs.items() for output in left if output.name == "frames"}


def _up_to_date(ledger: Ledger, recipe: Recipe) -> Iterator[str]:
    """Clips whose masks were carried over the stills that they have now, whatever is drawn on them since."""
    stills = _stills(ledger)
    made_from = ledger.inputs("propagate")
    for clip_id, inputs in made_from.items():
        if clip_id in stills and inputs.get("frames") == stills[clip_id].sha256:
            yield clip_id


SPEC = StageSpec(
    name=PropagateStage.name,
    summary="Carry masks drawn on some stills to all others of a clip.",
    make=_stage,
    facts=PropagateFacts,
    items=_items,
    covers=("clip", "adopted"),
    every_row=False,
    after=("extract", "adopt"),
    up_to_date=_up_to_date,
    workers=1,
)
