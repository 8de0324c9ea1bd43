"""Audio-visual instance segmentation as a task: clips in the AVISeg layout, tracks, result files.

Shapes: T frames of a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from avis_data.errors import ConfigError, DataError
from avis_data.formats.ytvis_records import withheld_error
from avis_data.metrics.table import headlines_of_tracks
from avis_data.training.config import RunConfig
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.augment import resized
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.loading import DataConfig, Samples, TrainingSamples
from avis_data.training.data.source import SplitClipSource
from avis_data.training.data.split import DatasetClip, SplitData, open_split
from avis_data.training.data.stills.coco import CocoStills, StillsConfig
from avis_data.training.data.stills.measured import still_split
from avis_data.training.data.stills.pseudo_clips import MixedSamples, StillSamples
from avis_data.training.data.video_dataset import make_video_dataset
from avis_data.training.models.spec import ModelConfig, audio_width
from avis_data.training.predict.results import write_results
from avis_data.training.predict.visualize import visualize
from avis_data.training.registry import MODELS
from avis_data.training.run.validation import draw_samples, predict_clip, validate_model
from avis_data.training.task import Figures, Sharing, VideoRequest

__all__ = ["TASK", "AvisSplit", "AvisTask", "TrackSummary"]


@dataclass(frozen=True, kw_only=True)
class TrackSummary:
    """What a prediction wrote."""

    out: str
    """The result file."""
    clips: int
    tracks: int
    silent_clips: int
    """Clips without any predicted track."""

    def __str__(self) -> str:
        return f"{self.out}: {self.tracks} tracks in {self.clips} clips, {self.silent_clips} without any"

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class AvisSplit:
    """A split in the AVISeg layout."""

    data: SplitData
    _read: dict[str, CocoStills] = field(default_factory=dict, repr=False, compare=False)
    """Stills that were opened: a large file is gone through once."""
    _measured: list[SplitData] = field(default_factory=list, repr=False, compare=False)

    @property
    def truth(self) -> Path:
        """The JSON file."""
        return self.data.truth

    @property
    def categories(self) -> dict[int, str]:
        """Category id -> name."""
        return self.data.categories

    def __len__(self) -> int:
        return len(self.data.clips)

    def need_labels(self) -> None:
        """Of a hidden test set they are withheld."""
        if not self.data.has_labels:
            raise withheld_error(self.truth)

    def fitted(self, config: RunConfig) -> ModelConfig:
        """The architecture with what the model's spec takes from a training set."""
        fitted = MODELS[config.model_name].fitted
        return config.model if fitted is None else fitted(config.model, self.data)

    def samples(self, config: RunConfig) -> Samples:
        """A few frames of a clip each, as the model draws them; or of a still, where the config has stills."""
        options, spec, seed = _options(config), MODELS[config.model_name], config.loop.seed
        if options.stills is None:
            return TrainingSamples(self.data, options, seed, spec.sampling(options, config.model))
        frames = options.frames if spec.frames is None else spec.frames(config.model)
        assert frames is not None  # a config without it is refused
        pictures = self._stills_of(options.stills)
        stills = StillSamples(pictures, options.stills, options.augment, frames=frames, seed=seed)
        if options.stills.share == 1:
            return stills
        clips = TrainingSamples(self.data, options, seed, spec.sampling(options, config.model))
        return MixedSamples(clips, stills, options.stills.share)

    def _stills_of(self, stills: StillsConfig) -> CocoStills:
        """The pictures of a COCO set that share classes with this one; a large file is gone through once."""
        key = repr(stills)
        if key not in self._read:
            self._read[key] = CocoStills(stills, self.categories)
        return self._read[key]

    @property
    def clip_ids(self) -> list[str]:
        """Of all clips, in order."""
        return [clip.clip_id for clip in self.data.clips]

    def sources(self, config: RunConfig, *, only: Container[str] | None = None) -> Iterator[SplitClipSource]:
        """Every clip, its frames decoded when they are asked for."""
        options = _options(config)
        for clip in self.data.clips:
            if only is None or clip.clip_id in only:
                yield SplitClipSource(self.data, clip, short=options.test_short, long=options.test_long)

    def validate(self, model: nn.Module, config: RunConfig, sharing: Sharing, device: torch.device) -> Figures:
        """Metrics of tracks; of masks in stills, where the config says which are measured."""
        stills, data = _options(config).stills, self.data
        if stills is not None and stills.measured is not None:
            if not self._measured:
                self._measured.append(still_split(stills, self.categories))
            data = self._measured[0]
        return validate_model(model, data, config, sharing, device)

    def draw(
        self, model: nn.Module, config: RunConfig, device: torch.device, folder: Path, iteration: int
    ) -> Sequence[Path]:
        """Contact sheets, truth above prediction."""
        return draw_samples(model, self.data, config, device, folder, iteration)

    def predict(
        self, model: nn.Module, config: RunConfig, device: torch.device, out: Path, *, on_clip: Callable[[int], None]
    ) -> TrackSummary:
        """Write a result file, clip by clip."""
        silent = tracks = 0

        def predicted() -> Iterator[tuple[DatasetClip, list[PredictedTrack]]]:
            nonlocal silent, tracks
            for clip in self.data.clips:
                found = predict_clip(model, self.data, clip, config, device)
                silent, tracks = silent + (not found), tracks + len(found)
                on_clip(len(self))
                yield clip, found

        write_results(out, predicted())
        return TrackSummary(out=str(out), clips=len(self), tracks=tracks, silent_clips=silent)


@dataclass(frozen=True)
class AvisTask:
    """Which objects sound, with identity and class."""

    name: str = "avis"
    data: type[DataConfig] = DataConfig
    default_out: str = "results.json"

    @property
    def metrics(self) -> list[str]:
        """The headlines of the table of figures."""
        return headlines_of_tracks()

    def check(self, config: RunConfig, where: str) -> None:
        """Raises ConfigError if the model asks for other clips than the data give."""
        _check_sound(config, where)
        _check_frames(config, where)
        _check_stills(config, where)
        low, high = _options(config).augment.crop_size
        if low > high:
            raise ConfigError(f"{where}: data.augment.crop_size must be [least, largest], is [{low}, {high}]")

    def open(self, data: Path, split: str, config: RunConfig) -> AvisSplit:
        """A split in the AVISeg layout."""
        return AvisSplit(open_split(data, split, num_classes=config.model.num_classes, audio=_heard(config)))

    def make_dataset(self, request: VideoRequest, root: Path, config: RunConfig, categories: Mapping[int, str]) -> None:
        """Stills, sound and features of a video, without annotations."""
        if request.video is None:
            raise DataError("there is no video to make a dataset of")
        make_video_dataset(
            request.video,
            root,
            request.split,
            categories=categories,
            audio=_heard(config),
            vggish=request.vggish,
            fps=request.fps or 1.0,
        )

    def network_size(self, config: RunConfig, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The size of frames at prediction."""
        return resized(size_hw, short=_options(config).test_short, long=_options(config).test_long)

    def sound_shape(self, config: RunConfig) -> tuple[int, ...]:
        """The shape of the kind of audio in the config."""
        return AudioFeatures(_options(config).audio).shape

    def reads(self, predictions: Path) -> bool:
        """A file."""
        return not predictions.is_dir()

    def visualize(
        self,
        data: Path,
        predictions: Mapping[str, Path],
        out: Path,
        *,
        split_name: str,
        clip_ids: Sequence[str],
        on_clip: Callable[[int], None],
    ) -> list[Path]:
        """Tracks in the colour of their identity."""
        return visualize(data, predictions, out, split_name=split_name, clip_ids=clip_ids, on_clip=on_clip)

    def training_hint(self, config: RunConfig) -> str:
        """Clips and frames in memory now, and the settings that need less."""
        clips = config.data.batch // config.loop.accumulate
        return (
            f"now data.batch={config.data.batch}, loop.accumulate={config.loop.accumulate} ({clips} clip(s) a pass), "
            f"data.frames={_options(config).frames}: raise --set loop.accumulate, or lower data.batch, data.frames "
            "or data.augment.short; --precision bf16 and --set model.checkpointing=true need less too"
        )

    def prediction_hint(self, config: RunConfig) -> str:
        """Frames that go through the network together now, and the settings that need less."""
        now = config.predict.frames_per_pass
        return (
            f"--set predict.frames_per_pass={max(1, now // 2)} (now {now}), --set predict.kept_frames=0, "
            "--precision bf16, or --set data.test_short=..."
        )


TASK = AvisTask()


def _options(config: RunConfig) -> DataConfig:
    if not isinstance(config.data, DataConfig):
        raise TypeError(f"data of a config of the task avis are a DataConfig, not a {type(config.data).__name__}")
    return config.data


def _heard(config: RunConfig) -> AudioFeatures | None:
    """Which audio a config's model needs; None for a model without audio."""
    if not config.model.needs_audio:
        return None
    options, dispensable = _options(config), MODELS[config.model_name].does_without_audio
    return AudioFeatures(options.audio, optional=options.audio_optional, dispensable=dispensable)


def _check_sound(config: RunConfig, where: str) -> None:
    if not config.model.needs_audio:
        if _options(config).negatives:
            raise ConfigError(
                f"{where}: data.negatives gives samples another sound, this {config.model_name} hears none",
                hint="--set data.negatives=0",
            )
        return
    spec, data, name = MODELS[config.model_name], _options(config), config.model_name
    if data.audio not in spec.audio_kinds:
        raise ConfigError(
            f"{where}: data.audio is {data.audio}, {name} hears {' or '.join(spec.audio_kinds)}",
            hint=f"--set data.audio={spec.audio_kinds[0]}",
        )
    if data.audio_optional and not spec.does_without_audio:
        raise ConfigError(f"{where}: {name} needs the sound of every clip", hint="--set data.audio_optional=false")
    width, heard = audio_width(config.model), AudioFeatures(data.audio).shape
    if width is not None and (width,) != heard:
        raise ConfigError(
            f"{where}: model.audio_channels is {width}, audio of the kind {data.audio} has {heard[0]} values",
            hint=f"--set model.audio_channels={heard[0]}",
        )
    if data.mono + data.directions > 1:
        raise ConfigError(f"{where}: data.mono and data.directions are shares of all samples, more than 1 together")


def _check_stills(config: RunConfig, where: str) -> None:
    able = MODELS[config.model_name].does_without_audio or not config.model.needs_audio
    stills = _options(config).stills
    if stills is None:
        return
    if not able:
        raise ConfigError(
            f"{where}: data.stills have no sound, and {config.model_name} needs that of every clip",
            hint="--set data.stills=null, or a model without sound",
        )
    if not stills.share:
        raise ConfigError(f"{where}: data.stills.share is 0: no sample would be a still", hint="--set data.stills=null")


def _check_frames(config: RunConfig, where: str) -> None:
    spec, data, name = MODELS[config.model_name], _options(config), config.model_name
    wanted = None if spec.frames is None else spec.frames(config.model)
    if wanted is not None and data.frames not in (wanted, None):
        raise ConfigError(
            f"{where}: data.frames is {data.frames}, this {name} trains on {wanted} frames of a clip",
            hint=f"--set data.frames={wanted}",
        )
    if wanted is None and data.frames is None:
        raise ConfigError(f"{where}: data.frames is null, {name} trains on any number", hint="--set data.frames=5")
