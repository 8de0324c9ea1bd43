"""The stage `prelabel`: what machines alone make of a clip, kept as its machine labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from avis_data.annotation.labels.made_masks import MadeMask, made_lines, made_path
from avis_data.annotation.labels.records import LabelledTrack, PreLabels
from avis_data.annotation.labels.store import machine_path
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.prelabel.engines import DETECTORS, TAGGERS, FoundEngine, find_detector, find_tagger
from avis_data.annotation.prelabel.who_sounds import Choice
from avis_data.annotation.propagation import engines as carriers
from avis_data.annotation.propagation.footage import pictures_per_second
from avis_data.annotation.segmenters.engines import EngineChoice, choose_engine, load_segmenter, weights_sha256
from avis_data.errors import AvisError, DataError, ItemError, Reason, ToolError
from avis_data.extras import need_extra
from avis_data.ledger import Ledger, Output
from avis_data.pipelines.engine.spec import Candidates, Choices, Setting, StageSpec
from avis_data.pipelines.engine.stage import Input, Item, Workbench
from avis_data.pipelines.stages.fetch import fetched_videos
from avis_data.recipe import Recipe
from avis_data.records import Clip, FrameAt, Record, SafeId, Sha256, Video, VideoStream
from avis_data.weights import find, problem_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from avis_data.annotation.prelabel.label_clip import Engines

__all__ = ["SPEC", "PrelabelChoices", "PrelabelFacts", "PrelabelParams", "PrelabelRequest", "PrelabelStage"]

_MADE = "made.jsonl"
_KEPT_STILLS = 32
"""Decoded stills that are held; each is asked for up to three times."""


@dataclass(frozen=True, kw_only=True)
class PrelabelChoices:
    """What a person asks for. Weights that are not named are the registered ones."""

    clip_ids: Sequence[str] | None = None
    """None: all."""
    tagger: str = "yamnet"
    tagger_weights: Path | None = None
    detector: str = "ssd-mobilenet"
    detector_weights: Path | None = None
    engine: str = "auto"
    """The segmenter."""
    engine_weights: Path | None = None
    carrier: str = "optical-flow"
    choice: Choice = Choice.LARGEST
    """Who of several things of one category sounds."""
    video_fps: int = 6
    """Pictures per second of the source to look at, at most; 1: the stills only."""

    @cached_property
    def found(self) -> FoundEngines:
        """All engines, looked for once.

        Raises:
            ConfigError: if one of them is unknown, or its weights are not there.
            ToolError: if weights or packages are missing; names the command that brings them.
        """
        need_extra("annotate", "cv2", what="prelabel")
        return FoundEngines(
            tagger=find_tagger(self.tagger, self.tagger_weights),
            detector=find_detector(self.detector, self.detector_weights),
            segmenter=choose_engine(self.engine, self.engine_weights),
            carrier=carriers.find_engine(self.carrier, None),
            speech=_speech(),
        )


@dataclass(frozen=True, kw_only=True)
class FoundEngines:
    """Engines that are there with their weights, and are not loaded yet."""

    tagger: FoundEngine
    detector: FoundEngine
    segmenter: EngineChoice
    carrier: carriers.FoundEngine
    speech: FoundEngine | None
    """None: Silero VAD is not here, so the tagger alone says when somebody speaks."""

    def load(self, choice: Choice) -> Engines:
        """All of them. Raises AvisError if one cannot be loaded."""
        import cv2

        from avis_data.annotation.prelabel.label_clip import Engines
        from avis_data.features.speech import load_speech_detector

        cv2.setNumThreads(1)  # workers share the cores among them
        return Engines(
            tagger=TAGGERS[self.tagger.name].load(self.tagger.weights),
            detector=DETECTORS[self.detector.name].load(self.detector.weights),
            segmenter=load_segmenter(self.segmenter.engine, self.segmenter.weights),
            carrier=carriers.load_carrier(self.carrier),
            speech=None if self.speech is None else load_speech_detector(self.speech.weights),
            choice=choice,
        )


class PrelabelParams(Record):
    """What machine labels depend on besides the clip."""

    tagger: str
    tagger_sha256: Sha256
    detector: str
    detector_sha256: Sha256
    segmenter: str
    segmenter_sha256: Sha256 | None
    carrier: str
    carrier_version: int
    carrier_sha256: Sha256 | None
    speech_sha256: Sha256 | None
    choice: Choice

    def chain(self) -> str:
        """One line for people: which engines, in their order."""
        return ", ".join([self.tagger, self.detector, self.segmenter, self.carrier, f"{self.choice} sounds"])


class PrelabelRequest(Record):
    """One clip, and how its stills lie in its source."""

    clip_id: SafeId
    num_frames: int = Field(gt=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    start_s: float
    frame_at: FrameAt | None
    video_fps: int = Field(ge=1, description="Pictures per second that are looked at; 1: the stills only.")
    media: VideoStream | None = Field(description="Of the source; null: the stills only.")
    categories: tuple[str, ...] = Field(description="Of the recipe's set, in its order.")
    frames_sha256: Sha256 = Field(description="Of the stills.")


class PrelabelFacts(Record):
    """What was found in one clip."""

    engines: str = Field(description="Which, in their order.")
    heard: tuple[str, ...] = Field(description="Categories, in the order of the set.")
    not_findable: tuple[str, ...] = Field(description="Those of them that the detector does not know.")
    scores: dict[str, float] = Field(description="Identity to the mean score of its boxes, in [0, 1].")
    num_boxes: int
    num_masks: int
    num_sounding: int = Field(description="Stills of all things in which they sound.")


class PrelabelStage:
    """Label clips by engines, which each worker loads once."""

    name = "prelabel"
    version = 1

    def __init__(self, params: PrelabelParams, found: FoundEngines) -> None:
        """`found` are the engines that `params` tell of."""
        self.params = params
        self._found = found
        self._engines: Engines | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engines": None}  # each worker loads its own

    def timeout_s(self, record: Record) -> float:
        """Ten minutes, and one for each still: more than the largest engines take without a GPU."""
        assert isinstance(record, PrelabelRequest)
        return 600.0 + 60.0 * record.num_frames

    def prepare(self) -> None:
        """Load the engines."""
        self._loaded()

    def run(self, bench: Workbench) -> PrelabelFacts:
        """Write `<clip_id>.json`, the machine labels, and the lines of the masks that were made.

        Raises:
            ItemError: `torn_input` if a still or the sound cannot be read; what decoding the source gives.
            ToolError: if an engine cannot be loaded.
        """
        need_extra("annotate", "cv2", what="prelabel")
        from avis_data.annotation.prelabel.label_clip import ClipInput, label_clip
        from avis_data.annotation.propagation.footage import Footage
        from avis_data.features.activity import clip_sound

        request, engines = bench.record, self._loaded()
        assert isinstance(request, PrelabelRequest)
        frames = bench.inputs["frames"]
        try:
            samples_N = clip_sound(bench.inputs["audio"])
        except DataError as error:
            raise ItemError(str(error), reason=Reason.TORN_INPUT) from None
        footage = Footage(frames, request, bench.inputs.get("source"), request.media, fps=request.video_fps)
        stills = lru_cache(maxsize=_KEPT_STILLS)(partial(_still, footage))
        found = label_clip(
            ClipInput(
                stills=stills,
                footage=footage,
                samples_N=samples_N,
                num_frames=request.num_frames,
                size_hw=(request.height, request.width),
                categories=request.categories,
            ),
            engines,
        )
        labels = PreLabels(
            clip_id=request.clip_id,
            fps=1,
            num_frames=request.num_frames,
            height=request.height,
            width=request.width,
            tracks=found.tracks,
            source=f"prelabel: {self.params.chain()}",
            frames_sha256=request.frames_sha256,
        )
        (bench.out / f"{request.clip_id}.json").write_text(labels.model_dump_json() + "\n", encoding="utf-8")
        (bench.out / _MADE).write_text(made_lines(_made(found.tracks)), encoding="utf-8")
        return PrelabelFacts(
            engines=self.params.chain(),
            heard=found.heard,
            not_findable=found.not_findable,
            scores={track.identity: round(found.scores[track.identity], 4) for track in found.tracks},
            num_boxes=found.num_boxes,
            num_masks=sum(len(track.masks) for track in found.tracks),
            num_sounding=sum(state == "sounding" for track in found.tracks for state in track.states),
        )

    def _loaded(self) -> Engines:
        if self._engines is None:
            try:
                self._engines = self._found.load(self.params.choice)
            except AvisError as error:
                raise ToolError(f"the engines of prelabel cannot be loaded: {error}") from None
        return self._engines


def _still(footage: Any, frame: int) -> NDArray[np.uint8]:
    (shot,) = footage.shots(frame, frame)
    picture: NDArray[np.uint8] = shot.picture_HW3
    return picture


def _made(tracks: Sequence[LabelledTrack]) -> Iterator[MadeMask]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for track in tracks:
        for mask in track.masks:
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


def _speech() -> FoundEngine | None:
    entry = find("vad")
    if entry is None or problem_with(entry):
        return None
    return FoundEngine(name=entry.name, weights=Path(entry.path), weights_sha256=entry.sha256)


def _params(choices: PrelabelChoices) -> PrelabelParams:
    found = choices.found
    weights = found.segmenter.weights
    return PrelabelParams(
        tagger=found.tagger.name,
        tagger_sha256=found.tagger.weights_sha256,
        detector=found.detector.name,
        detector_sha256=found.detector.weights_sha256,
        segmenter=found.segmenter.engine,
        segmenter_sha256=None if weights is None else weights_sha256(weights),
        carrier=found.carrier.name,
        carrier_version=found.carrier.version,
        carrier_sha256=found.carrier.weights_sha256,
        speech_sha256=None if found.speech is None else found.speech.weights_sha256,
        choice=choices.choice,
    )


def _stage(recipe: Recipe, choices: Choices) -> PrelabelStage:
    chosen = choices.of(PrelabelChoices)
    return PrelabelStage(_params(chosen), chosen.found)


def _items(setting: Setting) -> Candidates:
    """One item per clip of the manifest that has its stills and its sound.

    Raises:
        ConfigError: if a clip that is asked for is not in the manifest, or there is none.
    """
    ledger, chosen = setting.ledger, setting.choices.of(PrelabelChoices)
    labels = WorkspaceLabels(setting.workspace)
    clips = labels.chosen_clips(chosen.clip_ids)
    media = _media(ledger)
    videos, files = fetched_videos(ledger), ledger.only_output("fetch")
    found, items = Candidates(), []
    for clip_id, clip in clips.items():
        left = media.get(clip_id, {})
        if not {"frames", "audio.wav"} <= left.keys():
            found.num_waiting += 1
            continue
        inputs = {"frames": Input.of(left["frames"]), "audio": Input.of(left["audio.wav"])}
        video = videos.get(clip.video_id)
        if video is not None and (setting.workspace.root / video.path).is_file():
            inputs["source"] = Input.of(files[clip.video_id])
        items.append(_item(setting, clip, video, inputs, labels.categories))
    found.items = items
    return found


def _item(
    setting: Setting, clip: Clip, video: Video | None, inputs: dict[str, Input], categories: Sequence[str]
) -> Item:
    workspace, chosen = setting.workspace, setting.choices.of(PrelabelChoices)
    media = video.media if video is not None and "source" in inputs else None
    video_fps = pictures_per_second(media, chosen.video_fps)
    if video_fps == 1:  # the source is not looked at, so nothing depends on it
        media = None
        inputs.pop("source", None)
    request = PrelabelRequest(
        clip_id=clip.clip_id,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        start_s=clip.start_s,
        frame_at=clip.frame_at,
        video_fps=video_fps,
        media=media,
        categories=tuple(categories),
        frames_sha256=clip.frames_sha256,
    )
    return Item(
        item_id=clip.clip_id,
        record=request,
        inputs=inputs,
        home=workspace.relative(machine_path(workspace, clip.clip_id).parent),
        logs={_MADE: workspace.relative(made_path(workspace, clip.clip_id))},
    )


def _media(ledger: Ledger) -> dict[str, dict[str, Output]]:
    """Stills and sound of every clip that there is, by the names of the files."""
    outputs = ledger.outputs("extract") | ledger.outputs("adopt")
    return {clip_id: {output.name: output for output in left} for clip_id, left in outputs.items()}


def _up_to_date(ledger: Ledger, recipe: Recipe) -> Iterator[str]:
    """Clips whose labels were made from the stills and the sound that they have now, by whichever engines."""
    media, made_from = _media(ledger), ledger.inputs("prelabel")
    for clip_id, inputs in made_from.items():
        left = media.get(clip_id, {})
        if all(name in left and inputs.get(key) == left[name].sha256 for key, name in _FROM):
            yield clip_id


_FROM = (("frames", "frames"), ("audio", "audio.wav"))

SPEC = StageSpec(
    name=PrelabelStage.name,
    summary="Let machines label clips that nobody has labelled: who is seen, and who of them sounds when.",
    make=_stage,
    facts=PrelabelFacts,
    items=_items,
    covers=("clip", "adopted"),
    every_row=False,
    after=("extract", "adopt"),
    up_to_date=_up_to_date,
)
